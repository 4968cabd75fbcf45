package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestTheAnswerIsTheOutcome(t *testing.T) {
	var code atomic.Int32
	e := listen(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) })
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	for _, test := range []struct {
		code  int
		kind  pluginpb.OutcomeKind
		error string
	}{
		{200, acked, ""},
		{204, acked, ""},
		{299, acked, ""},
		{300, retry, "answered 300 Multiple Choices"},
		{302, retry, "answered 302 Found"}, // to nowhere
		{304, retry, "answered 304 Not Modified"},
		{400, retry, "answered 400 Bad Request"},
		{401, retry, "answered 401 Unauthorized"},
		{404, retry, "answered 404 Not Found"},
		{500, retry, "answered 500 Internal Server Error"},
		{503, retry, "answered 503 Service Unavailable"},
		{599, retry, "answered 599"},
	} {
		code.Store(int32(test.code))
		b.Deliver("wh1", &pluginpb.Message{})
		if got := b.expect(t, test.kind); got != test.error {
			t.Errorf("%d: error %q, want %q", test.code, got, test.error)
		}
	}
}

func TestFailedMessageIsSentAgainAsItWas(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		var fails atomic.Int32
		fails.Store(2)
		e := listen(t, func(w http.ResponseWriter, _ *http.Request) {
			if fails.Add(-1) >= 0 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		b := start(t, clientsOf(clientOf("wh1", e.URL, `"method":"`+method+`"`)), plugintest.Options{})
		mid := b.Deliver("wh1", &pluginpb.Message{Text: "x"})
		b.expect(t, retry)
		b.Resend("wh1", mid)
		b.expect(t, retry)
		b.Resend("wh1", mid)
		b.expect(t, acked)
		first := e.next(t)
		for range 2 {
			if again := e.next(t); again.uri != first.uri || again.body != first.body || headersOf(again.header) != headersOf(first.header) {
				t.Errorf("first %v\nagain %v", first, again)
			}
		}
		e.quiet(t)
	}
}

func TestOneRequestAtATimeAndInOrder(t *testing.T) {
	var running atomic.Int32
	e := listen(t, func(http.ResponseWriter, *http.Request) {
		if running.Add(1) > 1 {
			t.Error("two requests at once")
		}
		running.Add(-1)
	})
	b := start(t, clientsOf(clientOf("wh1", e.URL, `"method":"GET"`)), plugintest.Options{})
	for i := range 50 {
		b.Deliver("wh1", &pluginpb.Message{Text: fmt.Sprint("m", i)})
	}
	for i := range 50 {
		b.expect(t, acked)
		if r := e.next(t); !strings.Contains(r.uri, fmt.Sprintf("&text=m%d&", i)) {
			t.Errorf("request %d: %s", i, r.uri)
		}
	}
}

func TestClientsDoNotWaitForOneThatHangs(t *testing.T) {
	slow, quick := listen(t, hang), listen(t, nil)
	clients := []string{clientOf("slow", slow.URL)}
	for i := range 9 {
		clients = append(clients, clientOf(fmt.Sprint("quick", i), quick.URL))
	}
	b := start(t, `"timeout":600000,`+clientsOf(clients...), plugintest.Options{})
	b.Deliver("slow", &pluginpb.Message{})
	slow.next(t)
	for i := range 9 {
		b.Deliver(fmt.Sprint("quick", i), &pluginpb.Message{})
		if got := b.Outcome(); got.GetReceiver() != fmt.Sprint("quick", i) || got.GetKind() != acked {
			t.Errorf("outcome %v", got)
		}
	}
	b.Evict("slow", sdk.Eviction{Reason: "the test ends"})
}

func TestAnAttemptMayTakeTheRetryInterval(t *testing.T) {
	ended := make(chan struct{}, 10)
	e := listen(t, func(w http.ResponseWriter, r *http.Request) {
		hang(w, r)
		ended <- struct{}{}
	})
	b := start(t, `"retryTimeout":1000,`+clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	came := 0
	for i, interval := range []time.Duration{time.Second, 2 * time.Second} {
		begun := time.Now()
		b.within("wh1", 7, uint32(i), interval)
		if got, want := b.expect(t, retry), "no answer within "+interval.String(); got != want {
			t.Errorf("attempt %d: %q, want %q", i, got, want)
		}
		if took := time.Since(begun); took < interval {
			t.Errorf("attempt %d took %v only", i, took)
		}
		// The request is not left to run, if there was the time for one.
		for ; len(e.requests) > 0; came++ {
			e.next(t)
			select {
			case <-ended:
			case <-time.After(plugintest.Patience):
				t.Fatalf("attempt %d: the endpoint knows of no end", i)
			}
		}
	}
	if came == 0 {
		t.Error("the endpoint was never asked")
	}
}

func TestTimeoutFixesHowLongAnAttemptMayTake(t *testing.T) {
	e := listen(t, hang)
	b := start(t, `"timeout":150,`+clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	for i, interval := range []time.Duration{100 * time.Millisecond, time.Hour} {
		b.within("wh1", 7, uint32(i), interval)
		if got := b.expect(t, retry); got != "no answer within 150ms" {
			t.Errorf("interval %v: %q", interval, got)
		}
	}
}

func TestRecallEndsTheRequest(t *testing.T) {
	ended := make(chan struct{})
	var once sync.Once
	e := listen(t, func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			hang(w, r)
			close(ended)
		})
	})
	b := start(t, `"timeout":600000,`+clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	mid := b.Deliver("wh1", &pluginpb.Message{})
	e.next(t)
	b.Recall("wh1", mid)
	<-ended
	next := b.Deliver("wh1", &pluginpb.Message{})
	if got := b.Outcome(); got.GetMid() != next || got.GetKind() != acked {
		t.Errorf("outcome %v", got)
	}
	if err := b.Health(); err != nil || len(b.logs.lines("WARN", "wh1")) > 0 {
		t.Errorf("a recall counts as a failure: %v\n%v", err, b.logs)
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	var value atomic.Value
	e := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", value.Load().(string))
		w.WriteHeader(http.StatusTooManyRequests)
	})
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	now := time.Date(2020, time.August, 4, 12, 0, 0, 0, time.UTC)
	b.plugin.now = func() time.Time { return now }
	for given, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "0": 0, "": 0, "soon": 0, "99999999": 24 * time.Hour, "Tue, 04 Aug 2020 12:00:07 GMT": 7 * time.Second,
	} {
		value.Store(given)
		b.Deliver("wh1", &pluginpb.Message{})
		got := b.Outcome()
		if after := time.Duration(got.GetRetryAfterMs()) * time.Millisecond; got.GetKind() != retry || after != want {
			t.Errorf("%q: %v", given, got)
		}
	}
}

func TestAConnectionIsUsedAgainAfterUpTo64KiB(t *testing.T) {
	for name, test := range map[string]struct {
		code, size int
		chunked    bool
		kind       pluginpb.OutcomeKind
		reused     bool
	}{
		"empty":   {204, 0, false, acked, true},
		"short":   {200, 10, false, acked, true},
		"failure": {500, 10, false, retry, true},
		"64 KiB":  {200, maxDiscard, false, acked, true},
		"chunks":  {200, maxDiscard - 1, true, acked, true},
		"8 MiB":   {200, 8 << 20, false, acked, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := listen(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.code)
				if test.chunked {
					_ = http.NewResponseController(w).Flush()
				}
				// The channel may hang up before it has all.
				_, _ = io.WriteString(w, strings.Repeat("x", test.size))
			})
			b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
			connections := map[string]bool{}
			for range 4 {
				b.Deliver("wh1", &pluginpb.Message{})
				b.expect(t, test.kind)
				connections[e.next(t).remote] = true
			}
			// Not each: net/http gives one up that is held for 50 ms after its answer.
			if reused := len(connections) < 4; reused != test.reused {
				t.Errorf("%d connections", len(connections))
			}
		})
	}
}

func TestClientsShareConnections(t *testing.T) {
	e := listen(t, answering(http.StatusInternalServerError))
	b := start(t, clientsOf(clientOf("wh1", e.URL), clientOf("wh2", e.URL, `"method":"GET"`)), plugintest.Options{})
	users := map[string]string{} // by connection
	for i := range 8 {
		b.Deliver([]string{"wh1", "wh2"}[i%2], &pluginpb.Message{})
		b.expect(t, retry)
		got := e.next(t)
		users[got.remote] += got.method + " "
	}
	for _, methods := range users {
		if strings.Contains(methods, "GET") && strings.Contains(methods, "POST") {
			return
		}
	}
	t.Errorf("connections %q", users)
}

func TestABodyWithoutEndDelaysNoAckAndTheNextMessageALittle(t *testing.T) {
	e := listen(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	})
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	for range 3 {
		b.Deliver("wh1", &pluginpb.Message{})
		b.expect(t, acked)
		e.next(t)
	}
	e.quiet(t)
}

// After a 101 the body is the connection itself, which ends when the endpoint
// likes and not with the attempt.
func TestASwitchOfProtocolsHoldsNothingUp(t *testing.T) {
	for name, path := range map[string]string{"at once": "/switch", "behind a redirect": "/307/switch"} {
		t.Run(name, func(t *testing.T) {
			var switched atomic.Bool
			redirect := redirecting(map[string]string{"switch": "/switch"})
			e := listen(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/switch" {
					redirect(w, r)
					return
				}
				if !switched.Swap(true) {
					switchProtocols(t, w)
				}
			})
			b := start(t, `"timeout":60000,`+clientsOf(clientOf("wh1", e.URL+path)), plugintest.Options{})
			b.Deliver("wh1", &pluginpb.Message{})
			if got := b.expect(t, retry); got != "answered 101 Switching Protocols" {
				t.Errorf("error %q", got)
			}
			begun := time.Now()
			b.Deliver("wh1", &pluginpb.Message{})
			b.expect(t, acked)
			if took := time.Since(begun); took > plugintest.Patience/2 {
				t.Errorf("the next message took %v", took)
			}
		})
	}
}

func TestARequestOnAConnectionThatWasClosedIsMadeAnewAtOnce(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		var mu sync.Mutex
		seen := map[string]bool{}
		e := listen(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			again := seen[r.RemoteAddr]
			seen[r.RemoteAddr] = true
			mu.Unlock()
			if again {
				hangUp(t, w, false)
			}
		})
		b := start(t, clientsOf(clientOf("wh1", e.URL, `"method":"`+method+`"`)), plugintest.Options{})
		b.Deliver("wh1", &pluginpb.Message{Text: "1"})
		b.expect(t, acked)
		b.Deliver("wh1", &pluginpb.Message{Text: "2"})
		if got := b.expect(t, acked); got != "" {
			t.Errorf("%s: %s", method, got)
		}
	}
}

// late is a context that ends without telling anybody until it is asked.
type late struct {
	context.Context
	over *atomic.Bool
}

func (l late) Err() error {
	if l.over.Load() {
		return context.Canceled
	}
	return nil
}

// The answer is there and the end comes before anybody looks: it is an ack all
// the same, or the message would come again after a restart.
func TestAckCountsThoughTheEndHasCome(t *testing.T) {
	var over atomic.Bool
	e := listen(t, func(http.ResponseWriter, *http.Request) { over.Store(true) })
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	d := &sdk.Delivery{Message: &sdk.Message{MID: 1}, Receiver: "wh1", Interval: plugintest.Patience}
	if err := b.plugin.Deliver(late{t.Context(), &over}, d); err != nil {
		t.Errorf("outcome %v, want an ack", err)
	}
}
