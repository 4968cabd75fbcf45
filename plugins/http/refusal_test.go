package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"mpush/sdk/plugintest"
)

func TestRequestsThatAreNoneAreAnsweredByAPacketToo(t *testing.T) {
	core := plugintest.Start(t, New(), plugintest.Options{Config: `{"host": "127.0.0.1", "port": 0}`})
	for _, row := range []struct {
		name, request string
		status        int
		says          string
	}{
		{"garbage", "\x00\x01\x02\r\n\r\n", 400, "Bad Request"},
		{"bad escape", "GET /%zz.send HTTP/1.1\r\nHost: a\r\n\r\n", 400, "Bad Request"},
		{"no host", "GET /a.send HTTP/1.1\r\n\r\n", 400, "missing required Host header"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "Bad Request"},
		{"unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: brotli\r\n\r\n", 501, "Unsupported transfer encoding"},
		{"large header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 128<<10) + "\r\n\r\n", 431, "Too Large"},
	} {
		conn, err := net.Dial("tcp", core.Endpoints()[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		go func() { _, _ = fmt.Fprint(conn, row.request) }()
		answer, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		body, err := io.ReadAll(answer.Body)
		conn.Close()
		if err != nil || answer.StatusCode != row.status || answer.Header.Get("Content-Type") != contentType ||
			!strings.HasPrefix(string(body), `{"cmd":"INFO","data":"not a proper HTTP request: `) || !strings.Contains(string(body), row.says) {
			t.Errorf("%s: %d %v %q, %v", row.name, answer.StatusCode, answer.Header, body, err)
		}
	}
}
