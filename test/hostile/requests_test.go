package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// raw is bytes on a connection of their own and what must be answered: an INFO
// with a status. To what is no proper HTTP several would do.
type raw struct {
	name     string
	bytes    string
	status   int
	info     string
	statuses []int // instead of the two before; 0 is a closed connection
}

const tenMegabytes = 10 << 20

// asked is a request whose target, headers and body are as they stand here.
func asked(method, target string, header []string, body string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: h\r\n" + strings.Join(append(header, "", ""), "\r\n") + body
}

func posted(kind, body string) string {
	return asked("POST", "/victim.send", []string{"Content-Type: " + kind, fmt.Sprintf("Content-Length: %d", len(body))}, body)
}

func chunked(kind, body string) string {
	return asked("POST", "/victim.send", []string{"Content-Type: " + kind, "Transfer-Encoding: chunked"}, body)
}

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
)

func requests() []raw {
	large := strings.Repeat("x", tenMegabytes)
	var chunks strings.Builder
	for range tenMegabytes >> 16 {
		chunks.WriteString("10000\r\n" + large[:1<<16] + "\r\n")
	}
	get := func(target string, header ...string) string { return asked("GET", target, header, "") }
	const tooLarge = "the body is larger than 1048576 bytes"
	rows := []raw{
		{name: "10 MB of JSON", bytes: posted(asJSON, `{"text":"`+large+`"}`), status: 413, info: tooLarge},
		{name: "10 MB of form", bytes: posted(asForm, "text="+large), status: 413, info: tooLarge},
		{name: "10 MB of JSON in chunks", bytes: chunked(asJSON, chunks.String()+"0\r\n\r\n"), status: 413, info: tooLarge},
		{name: "10 MB of form in chunks", bytes: chunked(asForm, chunks.String()+"0\r\n\r\n"), status: 413, info: tooLarge},
		{name: "a chunk of 2^63", bytes: chunked(asJSON, "7fffffffffffffff\r\n"+large), status: 413, info: tooLarge},
		{name: "10 MB announced", bytes: asked("POST", "/victim.send", []string{"Content-Type: " + asJSON, "Content-Length: 10485760"}, ""), status: 413, info: tooLarge},
		{name: "10 MB of brackets", bytes: posted(asJSON, strings.Repeat("[", tenMegabytes)), status: 413, info: tooLarge},
		{name: "1 MiB of brackets", bytes: posted(asJSON, strings.Repeat("[", 1<<20)), status: 400, info: "nested deeper than 64 levels"},
		{name: "1 MiB of text, and its JSON", bytes: posted(asJSON, `{"text":"`+large[:1<<20]+`"}`), status: 413, info: tooLarge},
		{name: "1 MiB of pairs", bytes: posted(asForm, strings.Repeat("a&", 1<<19)), status: 400, info: "more than 1024 parameters"},
		{name: "1 MiB of escapes", bytes: posted(asForm, strings.Repeat("%", 1<<20)), status: 400, info: "percent-encoding"},
		{name: "10 MB of target", bytes: get("/victim.send?text=" + large), statuses: []int{431}},
		{name: "10 MB of method", bytes: large + " / HTTP/1.1\r\n\r\n", statuses: []int{400, 431}},
		{name: "10 MB of header", bytes: get("/victim.send", "X-Large: "+large), statuses: []int{431}},
		{name: "100,000 headers", bytes: get("/victim.send", strings.Repeat("A: b\r\n", 100_000)+"Z: z"), statuses: []int{431}},
		{name: "10 MB of nothing", bytes: strings.Repeat("\x00", tenMegabytes), statuses: []int{400, 431}},
		{name: "10 MB of line breaks", bytes: strings.Repeat("\r\n", tenMegabytes/2), statuses: []int{0, 400, 431}},

		{name: "UTF-8: path", bytes: get("/victim%ff.send?text=t"), status: 400, info: "path: not valid UTF-8"},
		{name: "UTF-8: raw path", bytes: get("/victim\xff.send?text=t"), status: 400, info: "path: not valid UTF-8"},
		{name: "UTF-8: another path", bytes: get("/\xff"), status: 400, info: "path: not valid UTF-8"},
		{name: "UTF-8: overlong NUL", bytes: get("/victim%c0%80.send"), status: 400, info: "path: not valid UTF-8"},
		{name: "UTF-8: surrogate", bytes: get("/victim%ed%a0%80.send"), status: 400, info: "path: not valid UTF-8"},
		{name: "UTF-8: value", bytes: get("/victim.send?text=%ff"), status: 400, info: "not valid UTF-8"},
		{name: "UTF-8: raw value", bytes: get("/victim.send?text=\xff"), status: 400, info: "not valid UTF-8"},
		{name: "UTF-8: parameter", bytes: get("/victim.send?%ff=t"), status: 400, info: "parameter 1: not valid UTF-8"},
		{name: "UTF-8: form", bytes: posted(asForm, "text=t&desp=%ff"), status: 400, info: "not valid UTF-8"},
		{name: "UTF-8: form's cmd", bytes: posted(asForm, "cmd=%ff"), status: 400, info: "not valid UTF-8"},
		{name: "UTF-8: form's data", bytes: posted(asForm, "cmd=MESSAGE&data=%22%ff%22"), status: 400, info: "not valid UTF-8"},
		{name: "UTF-8: form's auth", bytes: posted(asForm, "cmd=MESSAGE&auth=%ff"), status: 400, info: "not valid UTF-8"},
		{name: "UTF-8: flat", bytes: posted(asJSON, "{\"text\":\"\xff\"}"), status: 400, info: "not valid UTF-8"},
		{name: "UTF-8: content type", bytes: posted("\xff", "{}"), status: 415, info: "content-type"},
		{name: "escapes: path", bytes: get("/victim%.send"), statuses: []int{400}},
		{name: "escapes: value", bytes: get("/victim.send?text=%zz"), status: 400, info: "percent-encoding"},

		{name: "NUL in a raw target", bytes: get("/victim\x00.send"), statuses: []int{400}},
		{name: "NUL in a header", bytes: get("/victim.send", "X-A: \x00"), statuses: []int{400}},
		{name: "NUL in a header's name", bytes: get("/victim.send", "X\x00A: a"), statuses: []int{400}},
		{name: "a folded header", bytes: get("/victim.send", "X-A: a", " b: c", "Content-Length: x"), statuses: []int{400}},
		{name: "no host", bytes: "GET /victim.send HTTP/1.1\r\n\r\n", statuses: []int{400}},
		{name: "two hosts", bytes: get("/victim.send", "Host: i"), statuses: []int{400}},
		{name: "two lengths", bytes: asked("POST", "/victim.send", []string{"Content-Type: " + asJSON, "Content-Length: 2", "Content-Length: 3"}, "{} "), statuses: []int{400}},
		{name: "a negative length", bytes: asked("POST", "/victim.send", []string{"Content-Type: " + asJSON, "Content-Length: -2"}, "{}"), statuses: []int{400}},
		{name: "a huge length", bytes: asked("POST", "/victim.send", []string{"Content-Type: " + asJSON, "Content-Length: 99999999999999999999"}, "{}"), statuses: []int{400}},
		{name: "another encoding", bytes: asked("POST", "/victim.send", []string{"Content-Type: " + asJSON, "Transfer-Encoding: gzip, chunked"}, "2\r\n{}\r\n0\r\n\r\n"), statuses: []int{400, 501}},
		{name: "a chunk that is none", bytes: chunked(asJSON, "zz\r\n{}\r\n0\r\n\r\n"), status: 400, info: "the body ended early"},
		{name: "a negative chunk", bytes: chunked(asJSON, "-2\r\n{}\r\n0\r\n\r\n"), status: 400, info: "the body ended early"},
		{name: "a chunk that lies", bytes: chunked(asJSON, "1\r\n{}\r\n0\r\n\r\n"), status: 400, info: "the body ended early"},
		{name: "an expectation", bytes: asked("POST", "/victim.send", []string{"Content-Type: " + asJSON, "Content-Length: 2", "Expect: nothing"}, "{}"), statuses: []int{417}},
		{name: "HTTP/2 at once", bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", statuses: []int{0, 400, 404, 405, 505}},
		{name: "HTTP/9", bytes: "GET /victim.send HTTP/9.0\r\n\r\n", statuses: []int{505}},
		{name: "HTTP/0.9", bytes: "GET /victim.send\r\n\r\n", statuses: []int{400}},
		{name: "TLS", bytes: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + large[:500] + "\r\n\r\n", statuses: []int{400}},
		{name: "an asterisk", bytes: asked("GET", "*", nil, ""), statuses: []int{400, 404}},
		{name: "a tunnel", bytes: asked("CONNECT", "victim.send:80", nil, ""), status: 405, info: "GET or POST"},
		{name: "another method", bytes: asked("SEND", "/victim.send", nil, ""), status: 405, info: "GET or POST"},
		{name: "a method of control characters", bytes: asked("G\x01T", "/victim.send", nil, ""), statuses: []int{400}},
		{name: "an upgrade", bytes: get("/nobody", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="), status: 404, info: "no such path"},
	}
	for r := range rune(0xa0) {
		if r >= 0x20 && r < 0x7f {
			continue
		}
		escaped := ""
		for _, b := range []byte(string(r)) {
			escaped += fmt.Sprintf("%%%02X", b)
		}
		for _, kind := range []string{"send", "group"} {
			rows = append(rows, raw{name: fmt.Sprintf("%U in a %s", r, kind), bytes: get("/" + victim + escaped + "." + kind), status: 400, info: "path: control characters are not allowed"})
		}
	}
	return rows
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	for _, row := range requests() {
		status, answer, err := exchange(w.Address(t, "http"), row.bytes)
		switch {
		case row.statuses != nil:
			// An expectation is refused by net/http without a body.
			told := status == 0 || status == http.StatusExpectationFailed || strings.HasPrefix(answer, `{"cmd":"INFO","data":"`)
			if !told || !slices.Contains(row.statuses, status) {
				t.Errorf("%s: got %d %s, %v; want one of %v", row.name, status, answer, err, row.statuses)
			}
		case status != row.status || !strings.HasPrefix(answer, `{"cmd":"INFO","data":"`) || !strings.Contains(unquoted(answer), row.info):
			t.Errorf("%s: got %d %s, %v; want %d with %q", row.name, status, answer, err, row.status, row.info)
		}
	}
	w.unharmed(t)
}

// What is in a header is not echoed, believed or logged as it comes.
func TestBadHeadersOfGoodRequests(t *testing.T) {
	t.Parallel()
	w := startWitness(t, harness.Object{"http": harness.Object{"verifyToken": true}})
	for _, row := range []struct {
		header string
		status int
	}{
		{"Authorization: \xff", 401},
		{"Authorization: Bearer \xff\xfe", 401},
		{"Authorization: " + strings.Repeat("x", 60_000), 401},
		{"Authorization: Bearer", 401},
		{"Authorization:", 401},
		{"Authorization: " + w.Token + "\xff", 401},
		{"Authorization: " + w.Token + "\r\nX-Forwarded-For: \xff, ,[::1, 999.1.1.1, %", 200},
		{"Authorization: " + w.Token + "\r\nX-Forwarded-For: " + strings.Repeat("127.0.0.1,", 5000), 200},
		{"Authorization: " + w.Token + "\r\nPrefer: wait=\xff, wait=99999999999999999999, wait=-1;;;,,\"", 200},
		{"Authorization: " + w.Token + "\r\nOrigin: \xff\xfe", 200},
		{"Authorization: " + w.Token + "\r\nContent-Type: \xff", 200},
		{"Authorization: " + w.Token + "\r\nCookie: \xff=\xff\r\nX-\xff: a", 400},
	} {
		status, answer, err := exchange(w.Address(t, "http"), asked("GET", "/ghost.send", []string{row.header}, ""))
		if status != row.status {
			t.Errorf("%.60q: got %d %s, %v; want %d", row.header, status, answer, err, row.status)
		}
	}
	answer := w.Begin(t, harness.Request{Target: "/phone.send?text=hello", Header: []string{"Authorization: " + w.Token}})
	w.phone.Take(t, "hello")
	answer().ExpectStatuses(t, map[string]string{"phone": "ok"})
}

// exchange writes bytes and reads one answer, whatever happens to the rest of
// the bytes. A connection that is closed without an answer has the status 0.
func exchange(address, text string) (status int, body string, err error) {
	conn, err := net.DialTimeout("tcp", address, harness.Patience)
	if err != nil {
		return 0, "", err
	}
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		return 0, "", err
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, text) // it may be answered before its end
	}()
	defer func() {
		_ = conn.Close()
		<-written
	}()
	reader := bufio.NewReader(conn)
	if _, err := reader.Peek(1); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return -1, "", err
		}
		return 0, "", nil
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return -1, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}
