package foreign

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long an expected event may take. Only a failing test ever
// waits so long.
const Patience = 60 * time.Second

// FarSide is an HTTP service that receivers' messages are handed to, at a path
// for each. It notes what it is posted, whatever it answers.
type FarSide struct {
	// Answer answers a request, if set before the first: the default is status
	// 200 and "ok".
	Answer func(w http.ResponseWriter, receiver, text string)

	server *httptest.Server
	read   func(body []byte) (text string, err error)

	mu     sync.Mutex
	posted map[string][]string
	grown  chan struct{} // closed at the next request
}

// NewFarSide makes one that listens on loopback until the test is over. read
// takes a message's text out of a body.
func NewFarSide(t testing.TB, read func(body []byte) (string, error)) *FarSide {
	t.Helper()
	f := &FarSide{read: read, posted: make(map[string][]string), grown: make(chan struct{})}
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the plugin was killed
		}
		text, err := f.read(body)
		if err != nil {
			t.Errorf("%s: %v in %s", r.URL, err, body)
		}
		receiver := strings.Trim(r.URL.Path, "/")
		f.note(receiver, text)
		if f.Answer != nil {
			f.Answer(w, receiver, text)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(f.server.Close)
	return f
}

// Host is where it listens.
func (f *FarSide) Host() string { return strings.TrimPrefix(f.server.URL, "http://") }

func (f *FarSide) note(receiver, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.posted[receiver] = append(f.posted[receiver], text)
	close(f.grown)
	f.grown = make(chan struct{})
}

// Posted returns the texts that a receiver was posted, in their order.
func (f *FarSide) Posted(receiver string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posted[receiver])
}

// Total is how many requests there were.
func (f *FarSide) Total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	total := 0
	for _, texts := range f.posted {
		total += len(texts)
	}
	return total
}

// Until waits for a condition to hold after one of the requests.
func (f *FarSide) Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		f.mu.Lock()
		grown := f.grown
		f.mu.Unlock()
		if condition() {
			return
		}
		select {
		case <-grown:
		case <-timer.C:
			t.Fatalf("in vain: %s; it was posted %v", what, f.posted)
		}
	}
}

// Expect waits until the last that a receiver was posted is this text.
func (f *FarSide) Expect(t testing.TB, receiver, text string) {
	t.Helper()
	f.Until(t, receiver+" gets "+text, func() bool {
		posted := f.Posted(receiver)
		return len(posted) > 0 && posted[len(posted)-1] == text
	})
}
