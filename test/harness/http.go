package harness

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Request is an HTTP request as it goes over the wire: nothing is escaped,
// checked or mended, so that a test can also send a bad one.
type Request struct {
	Method string   // "": GET, or POST if there is a body
	Target string   // path and query
	Header []string // "Name: value"
	Body   string
}

// Reply is the answer to a Request.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Get sends a GET request and waits for its answer.
func (r *Relay) Get(t testing.TB, target string) Reply {
	t.Helper()
	return r.Do(t, Request{Target: target})
}

// OpsAddress is where the present process has health and metrics, by its log.
func (r *Relay) OpsAddress(t testing.TB) string {
	t.Helper()
	line := r.WaitLog(t, `msg="health and metrics"`)
	m := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no address in %q", line)
	}
	return m[1]
}

// GetFrom is Get from another listener, as that of health and metrics.
func GetFrom(t testing.TB, address, target string) Reply {
	t.Helper()
	reply, err := Request{Target: target}.send(address)
	if err != nil {
		t.Fatalf("GET %s from %s: %v", clip(target), address, err)
	}
	return reply
}

// PostJSON posts a JSON body and waits for the answer.
func (r *Relay) PostJSON(t testing.TB, target, body string) Reply {
	t.Helper()
	return r.Do(t, Request{Target: target, Header: []string{"Content-Type: application/json"}, Body: body})
}

// Do sends a request and waits for its answer.
func (r *Relay) Do(t testing.TB, request Request) Reply {
	t.Helper()
	return r.Begin(t, request)()
}

// Begin sends a request in a goroutine of its own; the returned function waits
// for the answer.
func (r *Relay) Begin(t testing.TB, request Request) func() Reply {
	t.Helper()
	type result struct {
		reply Reply
		err   error
	}
	address, answered := r.Address(t, "http"), make(chan result, 1)
	go func() {
		reply, err := request.send(address)
		answered <- result{reply, err}
	}()
	return func() Reply {
		t.Helper()
		got := <-answered
		if got.err != nil {
			t.Fatalf("%s %s: %v", request.method(), clip(request.Target), got.err)
		}
		return got.reply
	}
}

func (q Request) method() string {
	switch {
	case q.Method != "":
		return q.Method
	case q.Body != "":
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

// send makes the request over a connection of its own.
func (q Request) send(address string) (Reply, error) {
	conn, err := net.DialTimeout("tcp", address, Patience)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return Reply{}, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", q.method(), q.Target, address)
	framed := false
	for _, line := range q.Header {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		framed = framed || name == "content-length" || name == "transfer-encoding"
		text.WriteString(line + "\r\n")
	}
	if !framed && (q.Body != "" || q.method() == http.MethodPost) {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(q.Body))
	}
	text.WriteString("\r\n" + q.Body)
	// An answer may come before the whole request is read: then writing fails.
	_, writeErr := io.WriteString(conn, text.String())
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: q.method()})
	if err != nil {
		return Reply{}, errors.Join(writeErr, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Reply{Status: response.StatusCode, Header: response.Header, Body: string(body)}, err
}

// Expect checks the status and compares the body as Match does, "" being an
// empty one.
func (p Reply) Expect(t testing.TB, status int, want string) map[string]string {
	t.Helper()
	if p.Status != status {
		t.Fatalf("HTTP status %d, not %d: %s", p.Status, status, p.Body)
	}
	if want == "" && p.Body == "" {
		return nil
	}
	return Match(t, p.Body, want)
}

// ExpectInfo checks that the answer is an INFO packet whose text has all these
// parts.
func (p Reply) ExpectInfo(t testing.TB, status int, parts ...string) {
	t.Helper()
	info := p.Expect(t, status, `{"cmd":"INFO","data":"<info>"}`)["info"]
	for _, part := range parts {
		if !strings.Contains(info, part) {
			t.Errorf("INFO %q does not say %q", info, part)
		}
	}
	if got := p.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
}

// ExpectStatuses checks that the answer is a MESSAGE_REPLY with exactly these
// statuses, in both forms, and a mid. It returns the mid.
func (p Reply) ExpectStatuses(t testing.TB, statuses map[string]string) (mid string) {
	t.Helper()
	if got := p.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	mid = p.Expect(t, http.StatusOK, MessageReply(statuses))["mid"]
	if err := checkMID(mid); err != nil {
		t.Error(err)
	}
	return mid
}

// MessageReply is the MESSAGE_REPLY with these statuses in both forms and the
// mid "<mid>", for Match. A receiver called mid or status is in one form only.
func MessageReply(statuses map[string]string) string {
	data := Object{"mid": "<mid>", "status": statuses}
	for _, name := range slices.Sorted(maps.Keys(statuses)) {
		if _, taken := data[name]; !taken {
			data[name] = statuses[name]
		}
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(Object{"cmd": "MESSAGE_REPLY", "data": data}) // strings and maps
	return text.String()
}

// clip bounds what a failing test says of its input.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
