//go:build linux

package chaos

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// endpoints are the far sides of webhooks: receivers that are asked, each at the
// path of its name.
type endpoints struct {
	// servers has one for each name: else a request may be made again because
	// another's, which was taken back, has closed the connection that both used
	// (see dial.Transport).
	servers map[string]*httptest.Server
	ledger  *ledger
	token   string // the relay's

	mu     sync.Mutex
	rand   *rand.Rand
	ways   map[string][]way // for the next requests to each
	mended chan struct{}    // closed: what hangs ends
}

// way is what an endpoint does with a request instead of taking it.
type way string

const (
	fails     way = "fail"
	busy      way = "busy" // and says for how long
	hangs     way = "hang" // until the relay gives up, or all is mended
	resets    way = "reset"
	redirects way = "redirect" // to where it is taken
	loops     way = "loop"     // redirects for ever
	slow      way = "slow"     // takes it in the end
)

const (
	// attemptTime is how long the webhook channel waits for an answer; sureTime
	// is so much less that it has surely read one that was given by then.
	attemptTime = 8 * time.Second
	sureTime    = attemptTime / 2
	slowTime    = 300 * time.Millisecond
)

func newEndpoints(t *testing.T, random *rand.Rand) *endpoints {
	e := &endpoints{rand: random, ways: make(map[string][]way), mended: make(chan struct{})}
	e.servers = map[string]*httptest.Server{"hook": httptest.NewServer(e), "query": httptest.NewServer(e)}
	t.Cleanup(func() {
		e.mend()
		for _, server := range e.servers {
			server.Close()
		}
	})
	return e
}

// client is the configuration of one.
func (e *endpoints) client(name, group, method string) harness.Object {
	return harness.Object{"name": name, "group": group, "method": method, "url": e.servers[name].URL + "/" + name}
}

// trouble has the next requests to one handled so.
func (e *endpoints) trouble(name string, ways ...way) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ways[name] = append(e.ways[name], ways...)
}

// mend ends all trouble.
func (e *endpoints) mend() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.ways)
	close(e.mended)
	e.mended = make(chan struct{})
}

func (e *endpoints) next(name string) (w way, slowness time.Duration, mended <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ways := e.ways[name]; len(ways) > 0 {
		w, e.ways[name] = ways[0], ways[1:]
	}
	return w, time.Duration(e.rand.Int64N(int64(slowTime))), e.mended
}

// ServeHTTP takes a request to /NAME, where trouble may be, or to where that
// redirects.
func (e *endpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the relay's process was killed, or gave up
	}
	name, moved := strings.CutPrefix(r.URL.Path, "/moved")
	name, looped := strings.CutPrefix(name, "/loop")
	name = name[1:]
	if r.Header.Get("Authorization") != e.token {
		e.ledger.wrong(name, "was asked with another token than the relay's")
	}
	does, slowness, mended := way(""), time.Duration(0), (<-chan struct{})(nil)
	if !moved && !looped {
		does, slowness, mended = e.next(name)
	}
	switch {
	case does == redirects:
		http.Redirect(w, r, "/moved"+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		return
	case does == loops:
		http.Redirect(w, r, "/loop"+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		return
	case looped:
		http.Redirect(w, r, r.URL.RequestURI(), http.StatusTemporaryRedirect)
		return
	}
	p, err := packetOf(r, body)
	if err != nil {
		e.ledger.wrong(name, "was asked with %q %q: %v", r.URL.RawQuery, body, err)
		return
	}
	e.ledger.delivered(time.Now(), &connection{inbox: name, opened: arrived}, p)
	switch does {
	case fails:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case busy:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case hangs:
		select {
		case <-r.Context().Done():
		case <-mended:
			// Were its connection closed instead, the attempt would make its request
			// again, whose answer may come when its time is over.
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		panic(http.ErrAbortHandler)
	case resets:
		panic(http.ErrAbortHandler)
	case slow:
		rest(r.Context(), mended, slowness)
	}
	if r.Context().Err() != nil {
		return
	}
	now := time.Now()
	e.ledger.confirms(now, name, p.mid, " by its answer", now.Sub(arrived) > sureTime)
	w.WriteHeader(http.StatusNoContent)
}

// packetOf reads what a webhook is asked with: a packet, or a query.
func packetOf(r *http.Request, body []byte) (p packet, err error) {
	if r.Method == http.MethodPost {
		return parsePacket(body)
	}
	q := r.URL.Query()
	p = packet{
		text: q.Get("text"), desp: q.Get("desp"), sendType: q.Get("sendType"), target: q.Get("target"),
		method: q.Get("fromMethod"), from: q.Get("fromName"),
	}
	p.mid, err = strconv.ParseInt(q.Get("mid"), 10, 64)
	return p, err
}
