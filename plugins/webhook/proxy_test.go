package webhook

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// httpProxy is an HTTP proxy that wants credentials, all of whose names lead to
// one address. It notes what it is asked for.
func httpProxy(t *testing.T, user, password, leadsTo string) (address string, asked chan string) {
	t.Helper()
	asked = make(chan string, 100)
	var mu sync.Mutex // orders the last Go before Wait
	var tunnels sync.WaitGroup
	inner := &http.Transport{DisableKeepAlives: true}
	forward := &httputil.ReverseProxy{
		Transport: inner,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Host = leadsTo
		},
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != want {
			asked <- "denied"
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		asked <- r.Method + " " + r.URL.Scheme + "://" + r.Host
		if r.Method != http.MethodConnect {
			forward.ServeHTTP(w, r)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("proxy: %v", err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		mu.Lock()
		defer mu.Unlock()
		tunnels.Go(func() { tunnel(t, conn, leadsTo) })
	}))
	t.Cleanup(func() {
		server.Close()
		mu.Lock()
		defer mu.Unlock()
		tunnels.Wait()
	})
	return server.Listener.Addr().String(), asked
}

// tunnel joins conn with a connection to address until both have ended.
func tunnel(t *testing.T, conn net.Conn, address string) {
	defer conn.Close()
	out, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("proxy: %v", err)
		return
	}
	defer out.Close()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(out, conn)
		_ = out.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(conn, out)
	_ = conn.Close()
	up.Wait()
}

// socksProxy is a SOCKS5 proxy (RFC 1928) that wants a name and a password (RFC
// 1929), all of whose names lead to one address. It notes what it is asked for.
func socksProxy(t *testing.T, user, password, leadsTo string) (address string, asked chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = make(chan string, 100)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				target := socksHandshake(conn, user, password)
				asked <- target
				if target == "denied" {
					_ = conn.Close()
					return
				}
				tunnel(t, conn, leadsTo)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String(), asked
}

// socksHandshake reads until the target is known, which must be a name.
func socksHandshake(conn net.Conn, user, password string) (target string) {
	_ = conn.SetDeadline(time.Now().Add(plugintest.Patience))
	defer conn.SetDeadline(time.Time{})
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(conn, b)
		return b
	}
	text := func() string { return string(read(int(read(1)[0]))) }
	if read(1)[0] != 5 || !strings.Contains(text(), "\x02") {
		_, _ = conn.Write([]byte{5, 0xff})
		return "denied"
	}
	_, _ = conn.Write([]byte{5, 2})
	version, name, word := read(1)[0], text(), text()
	if version != 1 || name != user || word != password {
		_, _ = conn.Write([]byte{1, 1})
		return "denied"
	}
	_, _ = conn.Write([]byte{1, 0})
	if string(read(4)) != "\x05\x01\x00\x03" {
		return "denied"
	}
	host := text()
	p := read(2)
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return fmt.Sprintf("%s:%d", host, int(p[0])<<8|int(p[1]))
}

// listenTLS is listen, over TLS; b's transports trust it afterwards.
func listenTLS(t *testing.T) (e *endpoint, trust func(b bench)) {
	t.Helper()
	e = &endpoint{requests: make(chan received, 100)}
	e.Server = httptest.NewTLSServer(e.handler(t, nil))
	t.Cleanup(e.Close)
	pool := x509.NewCertPool()
	pool.AddCert(e.Certificate())
	return e, func(b bench) {
		for _, transport := range b.plugin.transports {
			transport.TLSClientConfig = e.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			transport.TLSClientConfig.RootCAs = pool
		}
	}
}

// The names of these endpoints are resolved by the proxy alone. example.com is
// in the certificate of httptest.
func TestProxies(t *testing.T) {
	const password = "pa:ss@" + private
	for _, test := range []struct {
		name   string
		proxy  string // with an address in place of %s
		socks  bool
		secure bool
		want   string // what the proxy is asked for
	}{
		{"http, url", `"http://user:pa%%3Ass%%40` + private + `@%s"`, false, false, "POST http://example.com"},
		{"http, object", `{"host":"127.0.0.1","port":%s,"auth":{"username":"user","password":"` + password + `"},"protocol":"http"}`, false, false, "POST http://example.com"},
		{"CONNECT, url", `"http://user:pa%%3Ass%%40` + private + `@%s"`, false, true, "CONNECT ://example.com:443"},
		{"CONNECT, object", `{"host":"127.0.0.1","port":%s,"auth":{"username":"user","password":"` + password + `"}}`, false, true, "CONNECT ://example.com:443"},
		{"socks5, url", `"socks5://user:pa%%3Ass%%40` + private + `@%s"`, true, false, "example.com:80"},
		{"socks5h, TLS", `"socks5h://user:pa%%3Ass%%40` + private + `@%s"`, true, true, "example.com:443"},
		{"socks5, object", `{"host":"127.0.0.1","port":%s,"auth":{"username":"user","password":"` + password + `"},"protocol":"socks5"}`, true, true, "example.com:443"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, url, trust := listen(t, nil), "http://example.com/path", func(bench) {}
			if test.secure {
				e, trust = listenTLS(t)
				url = "https://example.com/path"
			}
			run := httpProxy
			if test.socks {
				run = socksProxy
			}
			address, asked := run(t, "user", password, e.Listener.Addr().String())
			if strings.HasPrefix(test.proxy, "{") {
				_, address, _ = strings.Cut(address, ":")
			}
			b := start(t, `"proxy":`+fmt.Sprintf(test.proxy, address)+`,`+clientsOf(clientOf("wh1", url)), plugintest.Options{})
			trust(b)
			b.Deliver("wh1", &pluginpb.Message{Text: "x"})
			b.expect(t, acked)
			if got := <-asked; got != test.want {
				t.Errorf("the proxy was asked for %q, want %q", got, test.want)
			}
			got := e.next(t)
			if got.uri != "/path" || got.host != "example.com" || !strings.Contains(got.body, `"text":"x"`) || got.header.Get("Authorization") != token {
				t.Errorf("the endpoint got %v", got)
			}
			if got.header.Get("Proxy-Authorization") != "" {
				t.Error("the endpoint got the proxy's credentials")
			}
		})
	}
}

func TestEachClientMayHaveItsProxy(t *testing.T) {
	e := listen(t, nil)
	address := e.Listener.Addr().String()
	common, askedCommon := httpProxy(t, "c", "c", address)
	own, askedOwn := socksProxy(t, "o", "o", address)
	b := start(t, `"proxy":"http://c:c@`+common+`",`+clientsOf(
		clientOf("common", "http://localhost/common"),
		clientOf("own", "http://localhost/own", `"proxy":"socks5://o:o@`+own+`"`),
		clientOf("empty", e.URL+"/empty", `"proxy":{}`),
		clientOf("null", e.URL+"/null", `"proxy":null`),
	), plugintest.Options{})
	if n := len(b.plugin.transports); n != 3 {
		t.Errorf("%d transports for 3 ways to go", n)
	}
	for _, name := range []string{"common", "own", "empty", "null"} {
		b.Deliver(name, &pluginpb.Message{})
		b.expect(t, acked)
		if got := e.next(t); got.uri != "/"+name {
			t.Errorf("%s: got %s", name, got.uri)
		}
	}
	if len(askedCommon) != 1 || <-askedCommon != "POST http://localhost" || len(askedOwn) != 1 || <-askedOwn != "localhost:80" {
		t.Error("the proxies were asked by others")
	}
}

func TestFailingProxiesAreNamed(t *testing.T) {
	e := listen(t, nil)
	http1, _ := httpProxy(t, "user", "right", e.Listener.Addr().String())
	socks, _ := socksProxy(t, "user", "right", e.Listener.Addr().String())
	for name, test := range map[string]struct{ proxy, url, want string }{
		"nobody there":      {"http://127.0.0.1:1", e.URL, "the proxy: connection refused"},
		"http, wrong":       {"http://user:" + private + "@" + http1, e.URL, "answered 407 Proxy Authentication Required"},
		"CONNECT, wrong":    {"http://user:" + private + "@" + http1, "https://example.com", "Proxy Authentication Required"},
		"socks, wrong":      {"socks5://user:" + private + "@" + socks, e.URL, "the proxy: username/password authentication failed"},
		"socks, none given": {"socks5://" + socks, e.URL, "the proxy: no acceptable authentication methods"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, `"proxy":"`+test.proxy+`",`+clientsOf(clientOf("wh1", test.url)), plugintest.Options{})
			b.Deliver("wh1", &pluginpb.Message{})
			if got := b.expect(t, retry); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	e.quiet(t)
}
