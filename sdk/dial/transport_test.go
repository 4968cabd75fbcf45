package dial_test

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpush/sdk/dial"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get returns what the answer to a request for url says.
func get(t *testing.T, transport *dial.Transport, url string) (body string, reused bool) {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), reused
}

func TestTransportReusesConnectionsAndIgnoresTheEnvironment(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Accept-Encoding"))
	}))
	defer server.Close()
	transport := dial.NewTransport(dial.Proxy{}, nil)
	defer transport.CloseIdleConnections()
	if transport.Proxy != nil {
		t.Error("without a proxy there is one all the same")
	}
	// net/http gives a connection up that is held for 50 ms after its answer.
	for i, again := 0, false; !again; i++ {
		var body string
		if body, again = get(t, transport, server.URL); body != "" || i == 10 {
			t.Fatalf("request %d: Accept-Encoding %q, reused %v", i, body, again)
		}
	}
}

func TestTransportCallsThroughTheProxyWhichControlSees(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization"))
	}))
	defer proxy.Close()
	var through dial.Proxy
	address := proxy.Listener.Addr().String()
	if err := through.UnmarshalJSON([]byte(`"http://u:p%40@` + address + `"`)); err != nil {
		t.Fatal(err)
	}
	var dialed []string
	transport := dial.NewTransport(through, func(_, to string, _ syscall.RawConn) error {
		dialed = append(dialed, to)
		return nil
	})
	defer transport.CloseIdleConnections()
	body, _ := get(t, transport, "http://127.0.0.1:9/path?q=1")
	if want := "GET http://127.0.0.1:9/path?q=1 Basic " + base64.StdEncoding.EncodeToString([]byte("u:p@")); body != want {
		t.Errorf("the proxy got %q\nwant %q", body, want)
	}
	if len(dialed) != 1 || dialed[0] != address {
		t.Errorf("dialed %v, want %s", dialed, address)
	}
}

func TestTransportSpeaksHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	transport := dial.NewTransport(dial.Proxy{}, nil)
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	if body, _ := get(t, transport, server.URL); body != "HTTP/2.0" {
		t.Errorf("spoke %s", body)
	}
}

// The order of events that https://go.dev/issue/41600 is about, by hooks.
func TestRequestOutlivesTheOneBeforeItOnItsConnection(t *testing.T) {
	arrived := make(chan string, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- r.RemoteAddr + " " + string(body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer server.Close()
	transport := dial.NewTransport(dial.Proxy{}, nil)
	defer transport.CloseIdleConnections()
	post := func(ctx context.Context, text string) <-chan error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			answer, err := transport.RoundTrip(request)
			if err == nil {
				_ = answer.Body.Close()
			}
			ended <- err
		}()
		return ended
	}
	next := func() (connection, text string) {
		t.Helper()
		select {
		case got := <-arrived:
			connection, text, _ = strings.Cut(got, " ")
		case <-time.After(patience):
			t.Fatal("no request has come")
		}
		return connection, text
	}

	isIdle, goOn := make(chan struct{}, 1), make(chan struct{})
	trace := &httptrace.ClientTrace{PutIdleConn: func(error) {
		isIdle <- struct{}{}
		<-goOn
	}}
	ctx, cancel := context.WithCancel(httptrace.WithClientTrace(t.Context(), trace))
	defer cancel()
	var first <-chan error
	var connection string
	for try, idle := 1, false; !idle; try++ {
		first = post(ctx, "first")
		connection, _ = next()
		select {
		case <-isIdle:
			idle = true
		case err := <-first: // net/http gives a connection up that is held for 50 ms after its answer
			if err != nil || try == 10 {
				t.Fatalf("try %d: its connection is not kept: %v", try, err)
			}
		}
	}
	second := post(t.Context(), "second")
	if at, text := next(); at != connection || text != "second" {
		t.Fatalf("%q came on another connection", text)
	}
	cancel()
	if err := <-first; err != context.Canceled {
		t.Errorf("the canceled one: %v", err)
	}
	close(goOn)
	if err := <-second; err != nil {
		t.Fatalf("the other: %v", err)
	}
	if at, text := next(); at == connection || text != "second" {
		t.Errorf("%q came again, on the closed connection: %v", text, at == connection)
	}
}

func TestRequestWhoseContextHasEndedIsNotMadeAgain(t *testing.T) {
	var arrived atomic.Int32
	come := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == 1 {
			return // the next one's connection is used already
		}
		come <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	transport := dial.NewTransport(dial.Proxy{}, nil)
	defer transport.CloseIdleConnections()
	get(t, transport, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-come
		cancel()
	}()
	if err := ended(t, transport, ctx, server.URL); err != context.Canceled {
		t.Error(err)
	}
	server.Close() // after the last handler
	if n := arrived.Load(); n != 2 {
		t.Errorf("it came %d times", n-1)
	}
}

// What dials may say the same of itself, as the way through a proxy does.
func TestRequestWhoseDialFailsIsNotMadeAgain(t *testing.T) {
	transport := dial.NewTransport(dial.Proxy{}, nil)
	var dials atomic.Int32
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		return nil, context.DeadlineExceeded
	}
	if err := ended(t, transport, t.Context(), "http://127.0.0.1:9"); err != context.DeadlineExceeded || dials.Load() != 1 {
		t.Errorf("after %d dials: %v", dials.Load(), err)
	}
}

// ended makes a request, which must fail, and returns its error.
func ended(t *testing.T, transport *dial.Transport, ctx context.Context, url string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		answer, err := transport.RoundTrip(request)
		if err == nil {
			_ = answer.Body.Close()
		}
		failed <- err
	}()
	select {
	case err := <-failed:
		return err
	case <-time.After(patience):
		t.Fatal("it goes on and on")
		return nil
	}
}
