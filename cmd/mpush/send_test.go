package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mpush/core/control"
)

func TestVerdictTellsInTimeFromNever(t *testing.T) {
	for _, row := range []struct {
		now  []progress
		code int
		says string
	}{
		{[]progress{{Status: "ok", Final: true}}, 0, ""},
		{[]progress{{Status: "ok", Final: true}, {Status: "wait"}}, 3, "1 of 2 within 1s"},
		{[]progress{{Status: "failed", Final: true}, {Status: "ready"}}, 3, "2 of 2 within"},
		{[]progress{{Status: "webpush-ok", Final: true}}, 3, "not delivered to 1 of 1"},
	} {
		err := verdict(row.now, time.Second)
		if row.code == 0 {
			if err != nil {
				t.Errorf("%+v: %v", row.now, err)
			}
		} else if err == nil || exitCode(err) != row.code || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%+v: %v", row.now, err)
		}
	}
}

func TestStatusesThatDoNotChangeAreNotPrintedAgain(t *testing.T) {
	var out bytes.Buffer
	w := newWatch(&out, false)
	w.begin(7)
	for _, status := range []string{"ready", "ready", "wait", "ok"} {
		w.show([]progress{{Receiver: "a\x1b[2J", Status: status}, {Receiver: "bob", Status: "ready"}})
	}
	const want = "mid 7\na [2J  ready\nbob    ready\na [2J  wait\na [2J  ok\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestScreenDrawsOverWhatItHasShown(t *testing.T) {
	var out bytes.Buffer
	s := screen{out: &out}
	s.show([]string{"a", "b"})
	s.show([]string{"c"})
	const want = "\r\x1b[2Ka\n\r\x1b[2Kb\n\x1b[2A\r\x1b[2Kc\n\x1b[2K\n\x1b[1A"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestTraceTellsWhereAnOpenMessageIs(t *testing.T) {
	at := func(ms int64) control.Time { return control.At(time.UnixMilli(ms)) }
	trace := control.Trace{Message: control.Message{MID: 7, AcceptedAt: at(1_000)}, Deliveries: []control.Delivery{{
		Receiver: "a", State: "open", Status: "wait", Seq: 4, Tries: 3, SentAt: at(1_500), Error: "refused",
		Routes: []control.Way{{Channel: "hook", State: "paused", Attempt: 3, Next: at(9_000)}, {Channel: "sock", State: "down"}, {Channel: "push", State: "passed"}},
	}}}
	var out bytes.Buffer
	printTrace(&out, &trace)
	for _, part := range []string{
		"place 4 in the queue", "sent for the first time, 500ms after it was accepted", "3 attempts in all", "the last failure: refused",
		"hook: attempt 3 failed, the next is at " + instant(at(9_000)), "sock: the receiver is away", "push: done with it here",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("it does not say %q:\n%s", part, out.String())
		}
	}
}
