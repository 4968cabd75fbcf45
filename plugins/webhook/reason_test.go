package webhook

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// raw runs a server that answers each connection's first bytes with answer and
// what was asked, and hangs up.
func raw(t *testing.T, answer string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(plugintest.Patience))
			question := make([]byte, 4096)
			n, _ := conn.Read(question)
			_, _ = io.WriteString(conn, answer+string(question[:n]))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

// An endpoint may say back what it was told: nothing of it is logged, which
// captureLogs sees to.
func TestFailuresAreNamedWithoutWhatTheEndpointSays(t *testing.T) {
	resetting := listen(t, func(w http.ResponseWriter, _ *http.Request) { hangUp(t, w, true) })
	closing := listen(t, func(w http.ResponseWriter, _ *http.Request) { hangUp(t, w, false) })
	plain := listen(t, nil)
	secure := httptest.NewUnstartedServer(answering(http.StatusNoContent))
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	defer secure.Close()
	for name, test := range map[string]struct{ url, want string }{
		"refused":       {"http://127.0.0.1:1", "connection refused"},
		"reset":         {resetting.URL, "connection reset"},
		"closed":        {closing.URL, "connection closed before an answer"},
		"echo":          {raw(t, ""), "the answer is not HTTP"},
		"echo, header":  {raw(t, "HTTP/1.1 200 OK\r\n"), "the answer is not HTTP"},
		"echo, status":  {raw(t, "HTTP/1.1 "), "the answer is not HTTP"},
		"not TLS":       {strings.Replace(plain.URL, "http:", "https:", 1), "TLS: it does not speak TLS"},
		"unknown":       {secure.URL, "TLS: its certificate is signed by an unknown authority"},
		"too much head": {raw(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n"), "net/http: server response headers exceeded 65536 bytes; aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, clientsOf(clientOf("wh1", test.url+"/path?key="+private, `"method":"GET"`)), plugintest.Options{})
			b.Deliver("wh1", &pluginpb.Message{Text: private})
			got := b.expect(t, retry)
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if lines := b.logs.lines("WARN", "wh1"); len(lines) != 1 || !strings.Contains(lines[0], test.want) {
				t.Errorf("logged %q", lines)
			}
		})
	}
}

func TestFailuresAreLoggedOnceAndTheRecoveryToo(t *testing.T) {
	fail := true
	e := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		if fail {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{Channel: "hooks"})
	deliver := func(kind pluginpb.OutcomeKind) {
		t.Helper()
		b.Deliver("wh1", &pluginpb.Message{Text: private})
		b.expect(t, kind)
	}
	count := func(warn, debug, info int) {
		t.Helper()
		for level, want := range map[string]int{"WARN": warn, "DEBUG": debug, "INFO": info} {
			if got := b.logs.lines(level, "wh1"); len(got) != want {
				t.Errorf("%d lines at %s, want %d: %q", len(got), level, want, got)
			}
		}
	}
	deliver(retry)
	count(1, 0, 0)
	for _, word := range []string{"channel=hooks", "mid=", "attempt=0", `err="answered 502 Bad Gateway"`} {
		if line := b.logs.lines("WARN", "wh1")[0]; !strings.Contains(line, word) {
			t.Errorf("%s is not in %s", word, line)
		}
	}
	deliver(retry)
	deliver(retry)
	count(1, 2, 0)
	fail = false
	deliver(acked)
	deliver(acked)
	count(1, 2, 1)
	fail = true
	deliver(retry)
	count(2, 2, 1)
}
