package dial_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"mpush/sdk/dial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get returns what the answer to a request for url says.
func get(t *testing.T, transport *http.Transport, url string) (body string, reused bool) {
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
	transport := dial.Transport(dial.Proxy{}, nil)
	defer transport.CloseIdleConnections()
	if transport.Proxy != nil {
		t.Error("without a proxy there is one all the same")
	}
	for i := range 3 {
		body, reused := get(t, transport, server.URL)
		if body != "" || reused != (i > 0) {
			t.Errorf("request %d: Accept-Encoding %q, reused %v", i, body, reused)
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
	transport := dial.Transport(through, func(_, to string, _ syscall.RawConn) error {
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
	transport := dial.Transport(dial.Proxy{}, nil)
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	if body, _ := get(t, transport, server.URL); body != "HTTP/2.0" {
		t.Errorf("spoke %s", body)
	}
}
