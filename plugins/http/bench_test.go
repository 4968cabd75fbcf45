package http

import (
	"bytes"
	"context"
	"io"
	nethttp "net/http"
	"testing"

	"mpush/sdk"
)

// answered is a core that has every message acknowledged at once.
type answered struct {
	sdk.Host
	statuses []sdk.Status
}

func (a *answered) Publish(context.Context, sdk.Publish) (sdk.Published, error) {
	return sdk.Published{MID: 1596543210123, Statuses: a.statuses}, nil
}

type writer struct {
	header nethttp.Header
	bytes  int
}

func (w *writer) Header() nethttp.Header          { return w.header }
func (w *writer) WriteHeader(int)                 {}
func (w *writer) Write(b []byte) (n int, _ error) { w.bytes += len(b); return len(b), nil }

// sends returns a function that sends once, without net/http's own share.
func sends(tb testing.TB, raw nethttp.Request, body []byte) func() {
	s := defaults()
	h := newHandler(&answered{statuses: []sdk.Status{{Receiver: "phone", Status: "ok"}}}, s, nil, nil)
	w := &writer{header: nethttp.Header{}}
	reader := bytes.NewReader(body)
	request := raw.WithContext(context.Background())
	request.Body = io.NopCloser(reader)
	request.ContentLength = int64(len(body))
	return func() {
		clear(w.header)
		reader.Reset(body)
		w.bytes = 0
		h.ServeHTTP(w, request)
		if w.bytes != len(`{"cmd":"MESSAGE_REPLY","data":{"mid":"1596543210123","status":{"phone":"ok"},"phone":"ok"}}`) {
			tb.Fatalf("the answer has %d bytes", w.bytes)
		}
	}
}

func getRequest(tb testing.TB) nethttp.Request {
	r, err := nethttp.NewRequest("GET", "/phone.send?text=hello&desp=world", nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.RequestURI, r.RemoteAddr = "/phone.send?text=hello&desp=world", "127.0.0.1:5"
	return *r
}

func postRequest(tb testing.TB) (nethttp.Request, []byte) {
	r, err := nethttp.NewRequest("POST", "/", nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.RequestURI, r.RemoteAddr = "/", "127.0.0.1:5"
	r.Header.Set("Content-Type", "application/json")
	return *r, []byte(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"hello","desp":"world","extra":{"a":1}}}}`)
}

// A budget: allocations do not depend on the machine.
func TestSendAllocatesLittle(t *testing.T) {
	r := getRequest(t)
	if n := testing.AllocsPerRun(200, sends(t, r, nil)); n > 6 {
		t.Errorf("GET: %v allocations", n)
	}
	r, body := postRequest(t)
	if n := testing.AllocsPerRun(200, sends(t, r, body)); n > 8 {
		t.Errorf("POST: %v allocations", n)
	}
}

func BenchmarkSendGet(b *testing.B) {
	send := sends(b, getRequest(b), nil)
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}

func BenchmarkSendPost(b *testing.B) {
	r, body := postRequest(b)
	send := sends(b, r, body)
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}
