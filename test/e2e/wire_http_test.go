package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

func showHTTPIngress(t *testing.T, w wire) {
	t.Parallel()
	for _, row := range deliveries() {
		t.Run(row.line, func(t *testing.T) {
			t.Parallel()
			row.run(t, w)
		})
	}
	for _, row := range refusals() {
		t.Run(row.line, func(t *testing.T) {
			t.Parallel()
			row.run(t, w)
		})
	}
	runAll(t, w, httpShows())
}

func httpShows() []show {
	return []show{
		{"a scalar given for a target is taken as its JSON text", func(t *testing.T, w wire) {
			name := strings.TrimPrefix(w.name(), "n") + "000"
			phone := w.open.Receiver(t, name)
			answer := w.open.Begin(t, messagePacket(`{"sendType":"personal","target":`+name+`,"message":{"text":"t"}}`))
			phone.Take(t, "t")
			answer().ExpectStatuses(t, statuses{name: "ok"})
		}},
		{"`AUTH` → `AUTH` reply, as on the websocket, without registering a receiver", func(t *testing.T, w wire) {
			name := w.name()
			for _, request := range []harness.Request{
				postJSON("/", `{"cmd":"AUTH","data":{"token":"TOKEN","name":"NAME","group":"GROUP"}}`),
				postForm("/", "cmd=AUTH&data=%7B%22token%22:%22TOKEN%22,%22name%22:%22NAME%22%7D"),
			} {
				request = newFill(name, w.name(), "", w.open.Token).request(request)
				auth := w.open.Do(t, request).Expect(t, 200, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)["auth"]
				w.open.PostJSON(t, "/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"},"auth":"`+auth+`"}`).ExpectInfo(t, 200, "ok")
			}
			w.open.Get(t, "/"+name+".send?text=t").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"`+name+`":"no"},"`+name+`":"no"}}`)
		}},
		{"a failed one has HTTP status 403 and always checks the token", func(t *testing.T, w wire) {
			for _, data := range []string{`{"name":"x"}`, `{"name":"x","token":null}`, `{"name":"x","token":"wrong"}`} {
				w.open.PostJSON(t, "/", `{"cmd":"AUTH","data":`+data+`}`).Expect(t, 403, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`)
			}
		}},
		{"`MESSAGE_CALLBACK` `{mid}` with `auth` → acks for `auth`'s name: the resends end and the next message follows → `INFO` `ok`", func(t *testing.T, w wire) {
			phone := w.lax.Dial(t) // resends, soon
			auth := phone.Auth(t, "", w.name(), "")
			first := w.lax.Begin(t, get("/"+phone.Name+".send?text=first"))
			mid := phone.ExpectText(t, "first")
			next := queue(t, w.lax, phone.Name, "next")[0]
			w.lax.PostJSON(t, "/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"`+mid+`"},"auth":"`+auth+`"}`).ExpectInfo(t, 200, "ok")
			if got := first().ExpectStatuses(t, statuses{phone.Name: "ok"}); got != mid {
				t.Errorf("the sender is told of %s", got)
			}
			if got := newsAfter(t, phone, mid); got.MID != next || got.Text != "next" {
				t.Errorf("%+v follows", got)
			}
			if got := phone.ExpectText(t, "next"); got != next { // its resend
				t.Errorf("after that comes %s", got)
			}
		}},
		{"`MESSAGE_CALLBACK`: a mid that is a number", func(t *testing.T, w wire) {
			phone := w.open.Dial(t)
			auth := phone.Auth(t, w.open.Token, w.name(), "")
			answer := w.open.Begin(t, get("/"+phone.Name+".send?text=t"))
			w.open.PostJSON(t, "/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":`+phone.ExpectText(t, "t")+`},"auth":"`+auth+`"}`).ExpectInfo(t, 200, "ok")
			answer().ExpectStatuses(t, statuses{phone.Name: "ok"})
		}},
		{"`MESSAGE_CALLBACK` acks for `auth`'s name alone", func(t *testing.T, w wire) {
			phone, other := w.phone(t, w.open), w.open.Dial(t)
			auth := other.Auth(t, w.open.Token, w.name(), "")
			mid := queue(t, w.open, phone.Name, "t")[0]
			phone.ExpectText(t, "t")
			w.open.PostJSON(t, "/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"`+mid+`"},"auth":"`+auth+`"}`).ExpectInfo(t, 200, "ok")
			if got := w.open.Receiver(t, phone.Name).Take(t, "t"); got != mid {
				t.Errorf("mid %s, expected %s again", got, mid)
			}
		}},
		{"`MESSAGE_CALLBACK` for a message never sent is ignored", func(t *testing.T, w wire) {
			phone := w.open.Dial(t)
			auth := phone.Auth(t, w.open.Token, w.name(), "")
			mids := queue(t, w.open, phone.Name, "one", "two")
			phone.ExpectText(t, "one")
			w.open.PostJSON(t, "/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"`+mids[1]+`"},"auth":"`+auth+`"}`).ExpectInfo(t, 200, "ok")
			for i, text := range []string{"one", "two"} {
				phone = w.open.Receiver(t, phone.Name)
				if got := phone.Take(t, text); got != mids[i] {
					t.Errorf("mid %s, expected %s", got, mids[i])
				}
				if i == 0 {
					phone.ExpectText(t, "two")
				}
			}
			nothingMore(t, w.open, phone)
		}},
		{"other channel commands with `auth` → as on the websocket: UNREGISTER", func(t *testing.T, w wire) {
			phone := w.open.Dial(t)
			auth := phone.Auth(t, w.open.Token, w.name(), "")
			w.open.PostJSON(t, "/", `{"cmd":"UNREGISTER"}`).ExpectInfo(t, 401, "auth")
			w.open.PostJSON(t, "/", `{"cmd":"UNREGISTER","auth":"`+auth+`"}`).ExpectInfo(t, 200, "ok")
			phone.ExpectEnd(t)
			w.open.Get(t, "/"+phone.Name+".send?text=t").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"`+phone.Name+`":"no"},"`+phone.Name+`":"no"}}`)
		}},
		{"`TEST_HTTP` → 200, empty body", func(t *testing.T, w wire) {
			w.open.PostJSON(t, "/", `{"cmd":"TEST_HTTP"}`).Expect(t, 200, "")
			w.open.Do(t, postForm("/", "cmd=TEST_HTTP")).Expect(t, 200, "")
		}},
		{"the header `authorization: <token>` (also `Bearer <token>`)", func(t *testing.T, w wire) {
			phone := w.phone(t, w.strict)
			for _, header := range []string{"authorization: " + w.strict.Token, "Authorization: Bearer " + w.strict.Token, "authorization: bearer  " + w.strict.Token} {
				answer := w.strict.Begin(t, get("/"+phone.Name+".send?text=t", header))
				phone.Take(t, "t")
				answer().ExpectStatuses(t, statuses{phone.Name: "ok"})
			}
			w.strict.Do(t, postJSON("/", `{"cmd":"TEST_HTTP"}`, "authorization: "+w.strict.Token)).Expect(t, 200, "")
		}},
		{"`http.cors`: `Access-Control-Allow-Origin` = the request's `Origin`", func(t *testing.T, w wire) {
			for _, request := range []harness.Request{get("/ghost.send"), get("/"), postJSON("/", "{")} {
				request.Header = append(request.Header, "Origin: https://app.example:8443")
				if got := w.open.Do(t, request).Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "https://app.example:8443" {
					t.Errorf("%s %s: %q", request.Method, request.Target, got)
				}
			}
		}},
		{"OPTIONS answers 200 with allow-headers and allow-methods as asked", func(t *testing.T, w wire) {
			reply := w.open.Do(t, harness.Request{Method: "OPTIONS", Target: "/phone.send", Header: []string{
				"Origin: null", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,x-any",
			}})
			reply.Expect(t, 200, "")
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin": "null", "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "authorization,x-any",
			} {
				if got := reply.Header.Get(name); got != want {
					t.Errorf("%s: %q, expected %q", name, got, want)
				}
			}
		}},
		{"every request but OPTIONS needs the header … Off: OPTIONS is 403 and no CORS header is set", func(t *testing.T, w wire) {
			options := harness.Request{Method: "OPTIONS", Target: "/x.send", Header: []string{"Origin: https://app.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: a"}}
			preflight := w.strict.Do(t, options)
			if preflight.Status != 403 {
				t.Errorf("OPTIONS has the status %d", preflight.Status)
			}
			answer := w.strict.Do(t, get("/ghost.send", "Origin: https://app.example", "Authorization: "+w.strict.Token))
			for _, reply := range []harness.Reply{preflight, answer} {
				for name := range reply.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("header %s", name)
					}
				}
			}
		}},
		{"431: a header that is too large", func(t *testing.T, w wire) {
			if reply := w.open.Do(t, get("/x.send", "X-Large: "+strings.Repeat("x", 80<<10))); reply.Status != 431 {
				t.Errorf("status %d", reply.Status)
			}
		}},
		{"400: a request line that is none, or a path that can not be decoded", func(t *testing.T, w wire) {
			for _, request := range []harness.Request{get("/%zz.send"), get("/a b.send"), {Method: "G=T", Target: "/x.send"}} {
				if reply := w.open.Do(t, request); reply.Status != 400 && reply.Status != 405 {
					t.Errorf("%s %s: status %d", request.Method, request.Target, reply.Status)
				}
			}
		}},
		{"The sender gets it as soon as every target is final, else at `waitTimeout` … `Prefer: wait=N` (seconds) shortens that", func(t *testing.T, w wire) {
			name := w.name()
			w.open.Away(t, name, "")
			began := time.Now()
			w.open.Do(t, get("/"+name+".send", "Prefer: respond-async, wait=1")).ExpectStatuses(t, statuses{name: "ready"})
			if took := time.Since(began); took < time.Second || took > 10*time.Second {
				t.Errorf("the answer took %v", took)
			}
		}},
		{"`wait=0` answers as soon as the message is safe on disk", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			mids := queue(t, w.open, phone.Name, "one", "two")
			for i, text := range []string{"one", "two"} {
				if got := phone.Take(t, text); got != mids[i] {
					t.Errorf("mid %s, expected %s", got, mids[i])
				}
			}
		}},
		{"both forms are sent, and where a receiver is called `mid` or `status` the field keeps its 2.1 meaning", func(t *testing.T, w wire) {
			for _, name := range []string{"mid", "status", "data", "cmd"} {
				phone := w.open.Receiver(t, name)
				answer := w.open.Begin(t, get("/"+name+".send?text=t"))
				mid := phone.Take(t, "t")
				if got := answer().ExpectStatuses(t, statuses{name: "ok"}); got != mid {
					t.Errorf("mid %s, expected %s", got, mid)
				}
			}
		}},
		{"A personal send to nobody: `no`, HTTP 200", func(t *testing.T, w wire) {
			name := w.name()
			reply := `{"cmd":"MESSAGE_REPLY","data":{"status":{"` + name + `":"no"},"` + name + `":"no"}}`
			w.open.Get(t, "/"+name+".send?text=t").Expect(t, 200, reply)
			w.open.PostJSON(t, "/", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"`+name+`","message":{}}}`).Expect(t, 200, reply)
		}},
		{"A group without members: `\"status\":{}`, HTTP 200", func(t *testing.T, w wire) {
			w.open.Get(t, "/"+w.name()+".group?text=t").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`)
		}},
		{"`full`: refused, this receiver's queue is at its limit", func(t *testing.T, _ wire) {
			relay := harness.Start(t, harness.Object{"limits": harness.Object{"queueLength": 2}})
			relay.Away(t, "phone", "")
			mids := queue(t, relay, "phone", "one", "two")
			relay.Get(t, "/phone.send?text=three").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"phone":"full"},"phone":"full"}}`)
			phone := relay.Receiver(t, "phone")
			for i, text := range []string{"one", "two"} {
				if got := phone.Take(t, text); got != mids[i] {
					t.Errorf("mid %s, expected %s", got, mids[i])
				}
			}
			phone.ExpectNothing(t)
			phone = relay.Receiver(t, "phone") // by now the core knows that there is room
			nothingMore(t, relay, phone)
		}},
		{"503 not ready: too many connections, on either channel", func(t *testing.T, _ wire) {
			relay := harness.Start(t, harness.Object{
				"http":      harness.Object{"maxConnections": 1},
				"websocket": harness.Object{"maxConnections": 1},
			})
			phone := relay.Receiver(t, "phone")
			waiting := relay.Begin(t, get("/phone.send?text=t"))
			mid := phone.ExpectText(t, "t") // so the only connection is in use
			relay.Get(t, "/phone.send?text=t").ExpectInfo(t, http.StatusServiceUnavailable, "too many connections")
			if status, body := relay.RefusedDial(t); status != http.StatusServiceUnavailable || !strings.Contains(body, "too many connections") {
				t.Errorf("a second websocket is answered with %s: %s", strconv.Itoa(status), body)
			}
			phone.Ack(t, mid)
			waiting().ExpectStatuses(t, statuses{"phone": "ok"})
		}},
	}
}

// newsAfter skips further copies of the message in flight, which a busy machine
// may have let be sent again, and returns the first other one.
func newsAfter(t *testing.T, phone *harness.Client, mid string) harness.Message {
	t.Helper()
	for {
		if m := phone.NextMessage(t); m.MID != mid {
			return m
		}
	}
}
