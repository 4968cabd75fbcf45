package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

// senderShows are the lines about what a receiver sends.
func senderShows() []show {
	return []show{
		{"`MESSAGE` from a receiver sends, with `from {method:\"websocket\",name}`; `MESSAGE_REPLY` comes back on the same socket", func(t *testing.T, w wire) {
			phone, tablet := w.phone(t, w.open), w.phone(t, w.open)
			tablet.Send(t, fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":%q,"message":{"text":"t","desp":"d","extra":%s}}}`, phone.Name, extras))
			mid := phone.Expect(t, fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":%q,"from":{"method":"websocket","name":%q},
				"mid":"<mid>","message":{"text":"t","desp":"d","extra":%s}}}`, phone.Name, tablet.Name, extras))["mid"]
			phone.Ack(t, mid)
			if got := tablet.Expect(t, harness.MessageReply(statuses{phone.Name: "ok"}))["mid"]; got != mid {
				t.Errorf("the reply is about %s, the message was %s", got, mid)
			}
		}},
		{"`MESSAGE` from a receiver to its own group, of which it is a member", func(t *testing.T, w wire) {
			group := w.name()
			phone, tablet := w.open.Member(t, w.name(), group), w.open.Member(t, w.name(), group)
			tablet.Send(t, `{"cmd":"MESSAGE","data":{"sendType":"group","target":"`+group+`","message":{"text":"t"}}}`)
			if phone.Take(t, "t") != tablet.Take(t, "t") {
				t.Error("the members got different mids")
			}
			tablet.Expect(t, harness.MessageReply(statuses{phone.Name: "ok", tablet.Name: "ok"}))
		}},
		{"`MESSAGE_REPLY` comes back within `websocket.waitTimeout`", func(t *testing.T, w wire) {
			away, tablet := w.name(), w.phone(t, w.lax)
			w.lax.Away(t, away, "")
			began := time.Now()
			tablet.Send(t, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"`+away+`","message":{"text":"t"}}}`)
			mid := tablet.Expect(t, harness.MessageReply(statuses{away: "ready"}))["mid"]
			if took := time.Since(began); took < 500*time.Millisecond || took > 14*time.Second { // 15 s is the default
				t.Errorf("the reply came after %v", took)
			}
			if got := w.lax.Receiver(t, away).Take(t, "t"); got != mid {
				t.Errorf("mid %s, expected %s", got, mid)
			}
		}},
		{"`MESSAGE` from a receiver to nobody: `no`", func(t *testing.T, w wire) {
			phone, ghost := w.phone(t, w.open), w.name()
			phone.Send(t, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"`+ghost+`","message":{}}}`)
			phone.Expect(t, `{"cmd":"MESSAGE_REPLY","data":{"status":{"`+ghost+`":"no"},"`+ghost+`":"no"}}`)
		}},
		{"a socket that waits for a reply is served meanwhile", func(t *testing.T, w wire) {
			phone, tablet := w.phone(t, w.open), w.phone(t, w.open)
			tablet.Send(t, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"`+phone.Name+`","message":{"text":"t"}}}`)
			mid := phone.ExpectText(t, "t")
			nothingMore(t, w.open, tablet)
			phone.Ack(t, mid)
			tablet.Expect(t, harness.MessageReply(statuses{phone.Name: "ok"}))
		}},
		{"`PING` → `{\"cmd\":\"PONG\",\"data\":\"\"}`", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			for _, ping := range []string{`{"cmd":"PING"}`, `{"cmd":"PING","data":""}`, ` {"data":{"x":1},"cmd":"PING"} `} {
				phone.Send(t, ping)
				phone.Expect(t, `{"cmd":"PONG","data":""}`)
			}
		}},
		{"protocol pings get pongs", func(t *testing.T, w wire) {
			stranger := w.open.Dial(t)
			stranger.Ping(t, "before AUTH")
			stranger.Auth(t, w.open.Token, w.name(), "")
			stranger.Ping(t, "")
			stranger.Ping(t, "after")
		}},
		{"Frames over the size limit: close 1009", func(t *testing.T, w wire) {
			frame := func(bytes int) string {
				const empty = `{"cmd":"PING","data":""}`
				return strings.Replace(empty, `""`, `"`+strings.Repeat("x", bytes-len(empty))+`"`, 1)
			}
			phone := w.phone(t, w.strict)
			phone.Send(t, frame(maxBytes))
			phone.Expect(t, `{"cmd":"PONG","data":""}`)
			phone.Send(t, frame(maxBytes+1))
			if code := phone.ExpectEnd(t); code != 1009 {
				t.Errorf("close code %d, expected 1009", code)
			}
			nothingMore(t, w.strict, w.strict.Receiver(t, phone.Name))
		}},
		{"Binary frames that hold JSON are read like text", func(t *testing.T, w wire) {
			phone := w.open.Dial(t)
			phone.SendAs(t, websocket.BinaryMessage, harness.AuthPacket(w.open.Token, w.name(), ""))
			phone.Expect(t, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)
			phone.SendAs(t, websocket.BinaryMessage, `{"cmd":"PING"}`)
			phone.Expect(t, `{"cmd":"PONG","data":""}`)
			phone.SendAs(t, websocket.BinaryMessage, "\x00\xff\x01")
			phone.ExpectInfo(t, "UTF-8")
			phone.ExpectNothing(t)
		}},
	}
}

// fault is a frame of an authenticated receiver that is answered with an INFO
// packet; the socket stays open and nothing is queued.
type fault struct {
	line  string
	frame string // NAME is the receiver's own
	info  string // part of what the answer says
}

func faults() []fault {
	const toNAME = `"sendType":"personal","target":"NAME"`
	return []fault{
		{"Bad JSON: an INFO packet that names the fault", `{"cmd":`, "not JSON"},
		{"Bad JSON: nothing", ``, "not JSON"},
		{"Bad JSON: text", `hello`, "not JSON"},
		{"Bad JSON: two", `{"cmd":"PING"}{"cmd":"PING"}`, "not JSON"},
		{"Bad JSON: no object", `["PING"]`, "expected a packet"},
		{"Bad JSON: nested too deep", strings.Repeat("[", 10_000), "nested deeper"},
		{"Everything is valid UTF-8 (frame), else INFO", "{\"cmd\":\"PING\",\"data\":\"\xff\"}", "UTF-8"},
		{"unknown `cmd`", `{"cmd":"DANCE"}`, `unknown cmd "DANCE"`},
		{"unknown `cmd`: those of the server", `{"cmd":"MESSAGE_REPLY","data":{}}`, `unknown cmd "MESSAGE_REPLY"`},
		{"unknown `cmd`: none", `{"data":{}}`, "cmd"},
		{"unknown `cmd`: null", `{"cmd":null}`, "cmd"},
		{"wrong types: cmd", `{"cmd":["PING"]}`, "cmd"},
		{"wrong types: cmd, a number", `{"cmd":1}`, "cmd"},
		{"wrong types: AUTH without data", `{"cmd":"AUTH"}`, "data"},
		{"wrong types: AUTH data", `{"cmd":"AUTH","data":"x"}`, "data"},
		{"wrong types: AUTH name", `{"cmd":"AUTH","data":{"name":{}}}`, "data.name"},
		{"wrong types: AUTH group", `{"cmd":"AUTH","data":{"name":"x","group":[]}}`, "data.group"},
		{"wrong types: AUTH token", `{"cmd":"AUTH","data":{"name":"x","token":{}}}`, "data.token"},
		{"Names, groups: 1–256 bytes: AUTH", `{"cmd":"AUTH","data":{"name":"` + strings.Repeat("n", 257) + `"}}`, "256"},
		{"Names, groups: no control characters: AUTH", `{"cmd":"AUTH","data":{"name":"x","group":"a\u0000b"}}`, "control"},
		{"wrong types: MESSAGE data", `{"cmd":"MESSAGE","data":[]}`, "data: expected an object"},
		{"wrong types: MESSAGE sendType", `{"cmd":"MESSAGE","data":{"sendType":1,"target":"NAME","message":{}}}`, "data.sendType"},
		{"wrong types: MESSAGE target", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":{},"message":{}}}`, "data.target"},
		{"wrong types: MESSAGE without target", `{"cmd":"MESSAGE","data":{"sendType":"group","message":{}}}`, "data.target"},
		{"wrong types: MESSAGE message", `{"cmd":"MESSAGE","data":{` + toNAME + `,"message":"t"}}`, "data.message"},
		{"wrong types: MESSAGE text", `{"cmd":"MESSAGE","data":{` + toNAME + `,"message":{"text":["t"]}}}`, "data.message.text"},
		{"wrong types: MESSAGE desp", `{"cmd":"MESSAGE","data":{` + toNAME + `,"message":{"desp":{}}}}`, "data.message.desp"},
		{"a message that is too large", `{"cmd":"MESSAGE","data":{` + toNAME + `,"message":{"text":"` + strings.Repeat("x", 1<<20) + `"}}}`, "1048576"},
		{"wrong types: MESSAGE_CALLBACK data", `{"cmd":"MESSAGE_CALLBACK"}`, "data"},
		{"wrong types: MESSAGE_CALLBACK mid", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":{}}}`, "data.mid"},
		{"wrong types: MESSAGE_CALLBACK mid, no digits", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"-1"}}`, "data.mid"},
		{"`REGISTER_FCM` with a *web push subscription*, that no channel claims", `{"cmd":"REGISTER_FCM","data":{"endpoint":"https://push.example/x","keys":{"auth":"a","p256dh":"p"}}}`, "REGISTER_FCM"},
		{"`REGISTER_FCM` with a `token` and no FCM channel: the answer is an INFO packet", `{"cmd":"REGISTER_FCM","data":{"token":"x"}}`, "REGISTER_FCM"},
		{"`REGISTER_WEBPUSH` that no channel claims", `{"cmd":"REGISTER_WEBPUSH","data":{"endpoint":"https://push.example/x"}}`, "REGISTER_WEBPUSH"},
		{"`MESSAGE_FCM_CALLBACK` that no channel claims", `{"cmd":"MESSAGE_FCM_CALLBACK","data":{"mid":"1"}}`, "MESSAGE_FCM_CALLBACK"},
		{"`MESSAGE_WEBPUSH_CALLBACK` that no channel claims", `{"cmd":"MESSAGE_WEBPUSH_CALLBACK","data":{"mid":"1"}}`, "MESSAGE_WEBPUSH_CALLBACK"},
	}
}

func (row fault) run(t *testing.T, w wire) {
	phone := w.phone(t, w.open)
	phone.Send(t, strings.ReplaceAll(row.frame, "NAME", phone.Name))
	phone.ExpectInfo(t, row.info)
	nothingMore(t, w.open, phone)
}
