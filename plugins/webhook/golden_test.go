package webhook

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpush/sdk/packet/golden"
	"mpush/sdk/plugintest"
)

func TestGoldenExchanges(t *testing.T) {
	for _, e := range golden.Load(t, "webhook") {
		t.Run(e.Name, func(t *testing.T) {
			endpoint := newGoldenEndpoint(t)
			e := e.With("endpoint", endpoint.server.URL)
			core := plugintest.Start(t, New(), plugintest.Options{Config: "{" + e.Config + "}", Answer: e.Answer(t)})
			e.Play(t, core, map[string]golden.Party{"endpoint": endpoint})
		})
	}
}

// goldenEndpoint is a receiver's HTTP server. Each request waits for its answer
// to be said.
type goldenEndpoint struct {
	server   *httptest.Server
	requests chan goldenRequest
	answers  chan golden.HTTP
}

type goldenRequest struct {
	*http.Request
	body string
}

func newGoldenEndpoint(t *testing.T) *goldenEndpoint {
	e := &goldenEndpoint{requests: make(chan goldenRequest, 8), answers: make(chan golden.HTTP, 8)}
	e.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the body: %v", err)
		}
		e.requests <- goldenRequest{r, string(body)}
		select {
		case answer := <-e.answers:
			status, err := strconv.Atoi(answer.Status())
			if err != nil {
				t.Errorf("status: %v", err)
			}
			for name, values := range answer.Header {
				w.Header()[name] = values
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer.Body)
		case <-r.Context().Done(): // nothing more is said
		}
	}))
	t.Cleanup(e.server.Close)
	return e
}

// Say answers the request that was heard.
func (e *goldenEndpoint) Say(t testing.TB, text string) {
	t.Helper()
	answer, err := golden.ParseHTTP(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	e.answers <- answer
}

// Hear compares the next request. Parameters may come in any order.
func (e *goldenEndpoint) Hear(t testing.TB, text string) {
	t.Helper()
	want, err := golden.ParseHTTP(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var got goldenRequest
	select {
	case got = <-e.requests:
	case <-time.After(plugintest.Patience):
		t.Fatalf("no request within %v", plugintest.Patience)
	}
	words := strings.Split(want.Line, " ")
	wantURL, err := url.ParseRequestURI(words[1])
	if err != nil {
		t.Fatalf("%v", err)
	}
	wantQuery, err := url.ParseQuery(wantURL.RawQuery)
	if err != nil {
		t.Fatalf("%v", err)
	}
	gotQuery, err := url.ParseQuery(got.URL.RawQuery)
	if err != nil {
		t.Errorf("query %s: %v", got.URL.RawQuery, err)
	}
	if got.Method != words[0] || got.URL.EscapedPath() != wantURL.EscapedPath() || !reflect.DeepEqual(gotQuery, wantQuery) {
		t.Errorf("\n got %s %s\nwant %s", got.Method, got.RequestURI, want.Line)
	}
	if err := want.Compare(got.Header, got.body); err != nil {
		t.Errorf("%v", err)
	}
}
