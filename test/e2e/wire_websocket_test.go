package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

func showWebsocketChannel(t *testing.T, w wire) {
	t.Parallel()
	for _, row := range faults() {
		t.Run(row.line, func(t *testing.T) {
			t.Parallel()
			row.run(t, w)
		})
	}
	runAll(t, w, authShows())
	runAll(t, w, queueShows())
	runAll(t, w, senderShows())
}

const needAuth = `{"cmd":"AUTH","data":{"code":401,"msg":"Need Auth"}}`

func authShows() []show {
	return []show{
		{"(default port 9094, any path)", func(t *testing.T, w wire) {
			w.open.DialPath(t, "/any/path?x=1").Auth(t, w.open.Token, w.name(), "")
		}},
		{"`auth` is an HS256 JWT over `{name, group, iat}`, not keyed with the bare token, without expiry", func(t *testing.T, w wire) {
			name := w.name()
			auth := w.open.Dial(t).Auth(t, w.open.Token, name, "family")
			parts := strings.Split(auth, ".")
			if len(parts) != 3 {
				t.Fatalf("auth has %d parts", len(parts))
			}
			var decoded [3]string
			for i, part := range parts {
				raw, err := base64.RawURLEncoding.DecodeString(part)
				if err != nil {
					t.Fatal(err)
				}
				decoded[i] = string(raw)
			}
			harness.Match(t, decoded[0], `{"alg":"HS256","typ":"JWT"}`)
			_, iat, _ := strings.Cut(decoded[1], `"iat":`)
			iat = strings.TrimRight(iat, "}")
			harness.Match(t, decoded[1], fmt.Sprintf(`{"name":%q,"group":"family","iat":%s}`, name, iat))
			mac := hmac.New(sha256.New, []byte(w.open.Token))
			mac.Write([]byte(parts[0] + "." + parts[1]))
			if string(mac.Sum(nil)) == decoded[2] {
				t.Error("the bare token is the key")
			}
		}},
		{"Bad token: `code` 403 `Token invalid`, the socket stays open and may try again", func(t *testing.T, w wire) {
			phone := w.open.Dial(t)
			for _, packet := range []string{harness.AuthPacket("wrong", w.name(), ""), `{"cmd":"AUTH","data":{"name":"x"}}`, `{"cmd":"AUTH","data":{"name":"x","token":null}}`} {
				phone.Send(t, packet)
				phone.Expect(t, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`)
			}
			phone.Auth(t, w.open.Token, w.name(), "")
			nothingMore(t, w.open, phone)
		}},
		{"Bad token (only when `websocket.verifyToken`)", func(t *testing.T, w wire) {
			w.lax.Dial(t).Auth(t, "wrong", w.name(), "")
			phone := w.lax.Dial(t)
			phone.Send(t, `{"cmd":"AUTH","data":{"name":"`+w.name()+`"}}`)
			phone.Expect(t, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)
		}},
		{"Empty name: an INFO packet saying so", func(t *testing.T, w wire) {
			phone := w.open.Dial(t)
			for _, name := range []string{`"name":"",`, ``, `"name":null,`} {
				phone.Send(t, `{"cmd":"AUTH","data":{`+name+`"token":"`+w.open.Token+`"}}`)
				phone.ExpectInfo(t, "name")
			}
			phone.Auth(t, w.open.Token, w.name(), "")
		}},
		{"a scalar given for a name, group is taken as its JSON text", func(t *testing.T, w wire) {
			name := strings.TrimPrefix(w.name(), "n") + "000"
			phone := w.open.Dial(t)
			phone.Send(t, `{"cmd":"AUTH","data":{"token":"`+w.open.Token+`","name":`+name+`,"group":`+name+`1}}`)
			phone.Expect(t, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)
			answer := w.open.Begin(t, get("/"+name+"1.group?text=t"))
			phone.Take(t, "t")
			answer().ExpectStatuses(t, statuses{name: "ok"})
		}},
		{"Any other packet before that: `code` 401 `Need Auth`", func(t *testing.T, w wire) {
			phone := w.open.Dial(t)
			for _, packet := range []string{
				`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"x","message":{}}}`, `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"}}`,
				`{"cmd":"PING"}`, `{"cmd":"UNREGISTER"}`, `{"cmd":"REGISTER_WEBPUSH","data":{}}`, `{"cmd":"DANCE"}`,
			} {
				phone.Send(t, packet)
				phone.Expect(t, needAuth)
			}
			phone.Auth(t, w.open.Token, w.name(), "")
		}},
		{"No AUTH within `authTimeout`: the socket is closed", func(t *testing.T, _ wire) {
			const limit = 5 * time.Second
			relay := harness.Start(t, harness.Object{"websocket": harness.Object{"authTimeout": limit.Milliseconds()}})
			phone := relay.Receiver(t, "phone")
			began, stranger := time.Now(), relay.Dial(t)
			stranger.Send(t, `{"cmd":"PING"}`)
			stranger.Expect(t, needAuth)
			if code := stranger.ExpectEnd(t); code != 1008 {
				t.Errorf("close code %d, expected 1008", code)
			}
			if took := time.Since(began); took < limit {
				t.Errorf("closed after %v", took)
			}
			nothingMore(t, relay, phone) // who has authenticated stays, though older
		}},
		{"A new AUTH changes the receiver's group", func(t *testing.T, w wire) {
			name, before, after, last := w.name(), w.name(), w.name(), w.name()
			phone := w.open.Member(t, name, before)
			inGroup := func(group string) {
				t.Helper()
				answer := w.open.Begin(t, get("/"+group+".group?text=t"))
				phone.Take(t, "t")
				answer().ExpectStatuses(t, statuses{name: "ok"})
			}
			nobody := func(group string) {
				t.Helper()
				w.open.Get(t, "/"+group+".group?text=t").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`)
			}
			inGroup(before)
			phone.Auth(t, w.open.Token, name, after) // on the same socket
			nobody(before)
			inGroup(after)
			phone = w.open.Member(t, name, last) // on a new one
			nobody(after)
			inGroup(last)
			phone.Auth(t, w.open.Token, name, "") // and out
			nobody(last)
			nothingMore(t, w.open, phone)
		}},
		{"a repeated AUTH on the same socket renews it", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			answer := w.open.Begin(t, get("/"+phone.Name+".send?text=t"))
			mid := phone.ExpectText(t, "t")
			phone.Auth(t, w.open.Token, phone.Name, "")
			if got := phone.Take(t, "t"); got != mid { // at once, as on a new socket
				t.Errorf("mid %s, expected %s", got, mid)
			}
			answer().ExpectStatuses(t, statuses{phone.Name: "ok"})
			nothingMore(t, w.open, phone)
		}},
		{"one with another name moves the socket to that name", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			before := phone.Name
			phone.Auth(t, w.open.Token, w.name(), "")
			nothingMore(t, w.open, phone)
			mid := queue(t, w.open, before, "left")[0]
			nothingMore(t, w.open, phone)
			if got := w.open.Receiver(t, before).Take(t, "left"); got != mid {
				t.Errorf("mid %s, expected %s", got, mid)
			}
			nothingMore(t, w.open, phone) // nobody took it over
		}},
		{"the group `\"null\"` when it has none: a group like any other", func(t *testing.T, w wire) {
			phone := w.open.Member(t, w.name(), "null")
			answer := w.open.Begin(t, get("/null.group?text=t"))
			phone.Take(t, "t")
			answer().ExpectStatuses(t, statuses{phone.Name: "ok"})
		}},
		{"The empty group is no group: `\"\"` and `null` are none", func(t *testing.T, w wire) {
			for _, group := range []string{`""`, `null`} {
				phone := w.open.Dial(t)
				phone.Send(t, `{"cmd":"AUTH","data":{"token":"`+w.open.Token+`","name":"`+w.name()+`","group":`+group+`}}`)
				phone.Expect(t, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)
			}
			w.open.Get(t, "/.group?text=t").ExpectInfo(t, 400, "name")
		}},
	}
}
