package webhook

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token = "relay-t0ken"
	// private is part of what no log may hold.
	private = "pr1vate"

	acked = pluginpb.OutcomeKind_OUTCOME_KIND_ACKED
	retry = pluginpb.OutcomeKind_OUTCOME_KIND_RETRY
	gone  = pluginpb.OutcomeKind_OUTCOME_KIND_GONE
)

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines returns those of a level, "WARN", for a receiver.
func (l *logs) lines(level, receiver string) (found []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, "level="+level+" ") && strings.Contains(line, "receiver="+receiver+" ") {
			found = append(found, line)
		}
	}
	return found
}

// captureLogs collects the logs of a test, and fails it if they hold what no
// log may.
func captureLogs(t testing.TB) *logs {
	t.Helper()
	l := &logs{}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(before)
		for _, secret := range []string{token, private} {
			if text := l.String(); strings.Contains(text, secret) {
				t.Errorf("%q is in the log:\n%s", secret, text)
			}
		}
	})
	return l
}

// bench is a channel with the core and the logs around it.
type bench struct {
	*plugintest.Core
	plugin *plugin
	logs   *logs
}

// start runs the channel. config is the inside of its section. Where it does not
// say how long an attempt may take, that is long: a busy machine fails none.
func start(t testing.TB, config string, o plugintest.Options) bench {
	t.Helper()
	if !strings.Contains(config, `"timeout"`) && !strings.Contains(config, `"retryTimeout"`) {
		config = strings.TrimSuffix(`"timeout":60000,`+config, ",")
	}
	b := bench{plugin: New().(*plugin), logs: captureLogs(t)}
	o.Config, o.Token = "{"+config+"}", token
	b.Core = plugintest.Start(t, b.plugin, o)
	return b
}

// clientOf is an entry of clients in a section. more are further members.
func clientOf(name, url string, more ...string) string {
	return fmt.Sprintf(`{"name":%q,"url":%q%s}`, name, url, strings.Join(append([]string{""}, more...), ","))
}

func clientsOf(clients ...string) string { return `"clients":[` + strings.Join(clients, ",") + `]` }

// expect waits for the next outcome and returns its error.
func (b bench) expect(t testing.TB, kind pluginpb.OutcomeKind) string {
	t.Helper()
	got := b.Outcome()
	if got.GetKind() != kind {
		t.Errorf("outcome %v, want %v", got, kind)
	}
	return got.GetError()
}

// within leases a message with another retry interval than the policy's.
func (b bench) within(receiver string, mid int64, attempt uint32, interval time.Duration) {
	b.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: &pluginpb.Deliver{
		Message: &pluginpb.Message{Mid: mid, Target: receiver, FromMethod: "http"},
		Routes: []*pluginpb.DeliverRoute{{
			Receiver: receiver, Generation: b.Generation(receiver), Attempt: attempt, IntervalMs: uint32(interval.Milliseconds()),
		}},
	}}})
}

// received is a request as an endpoint got it.
type received struct {
	method, uri, host, body string
	header                  http.Header
	remote                  string
}

// endpoint is a receiver's server. It notes each request before it answers.
type endpoint struct {
	*httptest.Server
	requests chan received
}

// listen runs an endpoint that answers as told; nil is 204.
func listen(t testing.TB, answer http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{requests: make(chan received, 1000)}
	e.Server = httptest.NewServer(e.handler(t, answer))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) handler(t testing.TB, answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("endpoint: %v", err)
		}
		e.requests <- received{r.Method, r.RequestURI, r.Host, string(body), r.Header.Clone(), r.RemoteAddr}
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, r)
	})
}

// next waits for the next request.
func (e *endpoint) next(t testing.TB) received {
	t.Helper()
	select {
	case r := <-e.requests:
		return r
	case <-time.After(plugintest.Patience):
		t.Fatal("no request came")
		return received{}
	}
}

// quiet fails the test if there was a request that it has not looked at.
func (e *endpoint) quiet(t testing.TB) {
	t.Helper()
	select {
	case r := <-e.requests:
		t.Errorf("a request too many: %s %s", r.method, r.uri)
	default:
	}
}

// answering answers with a status code.
func answering(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers when the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// hangUp ends the connection without an answer; with a reset, if asked for.
func hangUp(t testing.TB, w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("endpoint: %v", err)
		return
	}
	if linger, ok := conn.(interface{ SetLinger(int) error }); ok && reset {
		_ = linger.SetLinger(0)
	}
	_ = conn.Close()
}

// switchProtocols answers 101 and leaves the connection open.
func switchProtocols(t testing.TB, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("endpoint: %v", err)
		return
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
}
