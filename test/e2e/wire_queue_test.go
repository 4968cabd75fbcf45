package e2e

import (
	"testing"
	"time"

	"mpush/test/harness"
)

// queueShows are the lines about takeover, order, resends, callbacks and absence.
func queueShows() []show {
	return []show{
		{"It always precedes any resent MESSAGE", func(t *testing.T, w wire) {
			name := w.name()
			w.open.Away(t, name, "")
			mid := queue(t, w.open, name, "t")[0]
			for range 3 {
				phone := w.open.Receiver(t, name) // expects the reply as the first packet
				if got := phone.ExpectText(t, "t"); got != mid {
					t.Errorf("mid %s, expected %s", got, mid)
				}
			}
		}},
		{"A second connection with the same name takes over: the older socket is closed, the queue stays", func(t *testing.T, w wire) {
			older := w.phone(t, w.open)
			mids := queue(t, w.open, older.Name, "one", "two")
			older.ExpectText(t, "one")
			newer := w.open.Receiver(t, older.Name)
			older.ExpectEnd(t)
			for i, text := range []string{"one", "two"} {
				if got := newer.Take(t, text); got != mids[i] {
					t.Errorf("mid %s, expected %s", got, mids[i])
				}
			}
			nothingMore(t, w.open, newer)
		}},
		{"The server sends MESSAGE packets in the order accepted, **one in flight per receiver**", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			texts := []string{"one", "two", "three", "four"}
			mids := queue(t, w.open, phone.Name, texts...)
			for i, text := range texts {
				got := phone.ExpectText(t, text)
				if got != mids[i] {
					t.Errorf("mid %s, expected %s", got, mids[i])
				}
				phone.ExpectNothing(t)
				phone.Ack(t, got)
			}
			nothingMore(t, w.open, phone)
		}},
		{"and resends the same packet (same mid) after `retryTimeout` until MESSAGE_CALLBACK comes", func(t *testing.T, w wire) {
			phone := w.phone(t, w.lax)
			began := time.Now()
			answer := w.lax.Begin(t, get("/"+phone.Name+".send?text=t&x=1"))
			first := phone.Next(t)
			for range 2 {
				if again := phone.Next(t); again != first {
					t.Errorf("first came %s, then %s", first, again)
				}
			}
			if took := time.Since(began); took < 390*time.Millisecond {
				t.Errorf("two resends came within %v", took)
			}
			mid := harness.Match(t, first, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"`+phone.Name+`","from":{"method":"http","name":""},
				"mid":"<mid>","message":{"text":"t","desp":"","extra":{"x":"1"}}}}`)["mid"]
			phone.Ack(t, mid)
			answer().ExpectStatuses(t, statuses{phone.Name: "ok"})
			next := queue(t, w.lax, phone.Name, "next")[0]
			if got := newsAfter(t, phone, mid); got.MID != next {
				t.Errorf("%+v follows", got)
			}
			if got := phone.ExpectText(t, "next"); got != next {
				t.Errorf("mid %s, expected a resend of %s", got, next)
			}
		}},
		{"The receiver's own callback counts for any message that was sent to it, also late, on a new socket before the resend", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			answer := w.open.Begin(t, get("/"+phone.Name+".send?text=t"))
			mid := phone.ExpectText(t, "t")
			phone.Close()
			again := w.open.Dial(t)
			again.Name = phone.Name
			again.Send(t, harness.AuthPacket(w.open.Token, phone.Name, ""))
			again.Ack(t, mid) // without having read anything
			again.Expect(t, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)
			answer().ExpectStatuses(t, statuses{phone.Name: "ok"})
			next := queue(t, w.open, phone.Name, "next")[0]
			if got := newsAfter(t, again, mid); got.MID != next {
				t.Errorf("%+v follows", got)
			}
		}},
		{"counts for any message that was sent to it, also late: twice is once", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			mids := queue(t, w.open, phone.Name, "one", "two", "three")
			phone.Take(t, "one")
			phone.Ack(t, mids[0])
			phone.ExpectText(t, "two")
			phone.Ack(t, mids[0]) // does not end the second
			phone.ExpectNothing(t)
			phone = w.open.Receiver(t, phone.Name)
			for i, text := range []string{"two", "three"} {
				if got := phone.Take(t, text); got != mids[i+1] {
					t.Errorf("mid %s, expected %s", got, mids[i+1])
				}
			}
			nothingMore(t, w.open, phone)
		}},
		{"one for a message never sent to it is ignored", func(t *testing.T, w wire) {
			phone := w.phone(t, w.open)
			mids := queue(t, w.open, phone.Name, "one", "two")
			phone.ExpectText(t, "one")
			phone.Ack(t, mids[1])
			phone.Ack(t, "1")
			phone.Ack(t, mids[0])
			if got := phone.Take(t, "two"); got != mids[1] {
				t.Errorf("mid %s, expected %s", got, mids[1])
			}
			nothingMore(t, w.open, phone)
		}},
		{"or from somebody else, is ignored", func(t *testing.T, w wire) {
			phone, other := w.phone(t, w.open), w.phone(t, w.open)
			mid := queue(t, w.open, phone.Name, "t")[0]
			phone.ExpectText(t, "t")
			other.Ack(t, mid)
			nothingMore(t, w.open, other) // the core has had it
			phone = w.open.Receiver(t, phone.Name)
			if got := phone.Take(t, "t"); got != mid {
				t.Errorf("mid %s, expected %s again", got, mid)
			}
			nothingMore(t, w.open, phone)
		}},
		{"from somebody else: a member of the same group acks for itself alone", func(t *testing.T, w wire) {
			group := w.name()
			one, two := w.open.Member(t, w.name(), group), w.open.Member(t, w.name(), group)
			answer := w.open.Begin(t, get("/"+group+".group?text=t"))
			mid := one.Take(t, "t")
			nothingMore(t, w.open, one)
			two.ExpectText(t, "t")
			two = w.open.Member(t, two.Name, group)
			if got := two.Take(t, "t"); got != mid {
				t.Errorf("mid %s, expected %s again", got, mid)
			}
			answer().ExpectStatuses(t, statuses{one.Name: "ok", two.Name: "ok"})
		}},
		{"A known receiver that is away keeps its queue; on its next AUTH it is sent on", func(t *testing.T, w wire) {
			name := w.name()
			w.open.Away(t, name, "")
			texts := []string{"one", "two", "three", "four"}
			mids := queue(t, w.open, name, texts...)
			phone := w.open.Receiver(t, name)
			for i, text := range texts {
				if got := phone.Take(t, text); got != mids[i] {
					t.Errorf("mid %s, expected %s", got, mids[i])
				}
				if i+1 < len(texts) { // it has the next when it leaves, and gets that again
					phone.ExpectText(t, texts[i+1])
					phone.Close()
					phone = w.open.Receiver(t, name)
				}
			}
			nothingMore(t, w.open, phone)
		}},
		{"`UNREGISTER` forgets the receiver, its routes and its queue", func(t *testing.T, w wire) {
			name, group := w.name(), w.name()
			phone := w.open.Member(t, name, group)
			waiting := w.open.Begin(t, get("/"+name+".send?text=one"))
			phone.ExpectText(t, "one")
			queue(t, w.open, name, "two")
			phone.Send(t, `{"cmd":"UNREGISTER"}`)
			waiting().ExpectStatuses(t, statuses{name: "failed"})
			w.open.Get(t, "/"+name+".send?text=t").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"`+name+`":"no"},"`+name+`":"no"}}`)
			w.open.Get(t, "/"+group+".group?text=t").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`)
			phone.Send(t, `{"cmd":"PING"}`)
			phone.Expect(t, needAuth) // the socket is still open, a stranger's
			phone.Auth(t, w.open.Token, name, "")
			nothingMore(t, w.open, phone)
		}},
	}
}
