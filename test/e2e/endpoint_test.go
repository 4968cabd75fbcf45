package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// endpoint is a webhook's far side: an HTTP server that answers as a test says
// and keeps what it was asked.
type endpoint struct {
	t      *testing.T
	server *httptest.Server
	got    chan *hook

	mu     sync.Mutex
	script []answer // for the next requests, in order of arrival
	always answer
}

// hook is one request that an endpoint got.
type hook struct {
	method, path, query, token, body string
	at                               time.Time
}

// answer is what an endpoint does with a request. The zero value is 200.
type answer struct {
	status   int
	location string        // of a redirect
	reset    bool          // break the connection
	until    chan struct{} // hang until it is closed or the client gives up
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{t: t, got: make(chan *hook, 10_000)}
	e.server = httptest.NewServer(e)
	t.Cleanup(e.server.Close)
	return e
}

// then has the next requests answered so, and those after them as before.
func (e *endpoint) then(answers ...answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.script = append(e.script, answers...)
}

// from has all requests answered so that no script is for.
func (e *endpoint) from(now answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.always = now
}

// ServeHTTP takes a request.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		e.t.Errorf("the endpoint got half a request: %v", err)
	}
	e.mu.Lock()
	a := e.always
	if len(e.script) > 0 {
		a, e.script = e.script[0], e.script[1:]
	}
	e.mu.Unlock()
	e.got <- &hook{
		method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, token: r.Header.Get("Authorization"),
		body: string(body), at: time.Now(),
	}
	switch {
	case a.reset:
		panic(http.ErrAbortHandler)
	case a.until != nil:
		select {
		case <-a.until:
		case <-r.Context().Done():
			return
		}
	case a.location != "":
		w.Header().Set("Location", a.location)
	}
	w.WriteHeader(max(a.status, 200))
}

// next waits for the next request.
func (e *endpoint) next() *hook {
	e.t.Helper()
	select {
	case h := <-e.got:
		return h
	case <-time.After(harness.Patience):
		e.t.Fatal("the endpoint got no request")
		return nil
	}
}

// none makes sure that there was no request that next has not returned.
func (e *endpoint) none() {
	e.t.Helper()
	select {
	case h := <-e.got:
		e.t.Errorf("the endpoint was asked again: %s %s?%s %s", h.method, h.path, h.query, h.body)
	default:
	}
}

// mid is that of the message in a POST request.
func (h *hook) mid(t *testing.T, text string) string {
	t.Helper()
	return harness.Match(t, h.body, fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"<type>","target":"<target>",
		"from":{"method":"<method>","name":"<name>"},"mid":"<mid>","message":{"text":%q,"desp":"","extra":{}}}}`, text))["mid"]
}

// hooks is a webhook section with these clients.
func hooks(retryTimeout int, clients ...harness.Object) harness.Object {
	// A busy machine repeats nothing.
	return harness.Object{"retryTimeout": retryTimeout, "timeout": max(20_000, retryTimeout), "clients": clients}
}

// client is a webhook client that posts to an endpoint.
func (e *endpoint) client(name string) harness.Object {
	return harness.Object{"name": name, "url": e.server.URL + "/" + name, "method": "POST"}
}
