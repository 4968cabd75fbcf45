package engine

import (
	"errors"
	"fmt"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

// answerOf makes one step, and what it asks of the store, and returns the only
// answer.
func answerOf[T AnswerBody](d *desk, event Event) T {
	d.t.Helper()
	d.forget()
	d.answers = nil
	d.do(event)
	if len(d.answers) != 1 {
		d.t.Fatalf("%d answers to %T", len(d.answers), event)
	}
	body, ok := d.answers[0].(T)
	if !ok {
		d.t.Fatalf("%T was answered %T", event, d.answers[0])
	}
	return body
}

// sendAs sends as somebody, for whom nothing is awaited.
func (d *desk) sendAs(from, target, text string) *desk {
	d.t.Helper()
	return d.do(&Publish{Link: socketLink, Request: d.request(), FromName: from, SendType: message.Personal, Target: target, Text: text})
}

func TestStatusIsForItsSenderAlone(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").sendAs("bob", "ann", "bob's").sendAs("", "ann", "nobody's").forget()
	ask := func(from string, any bool, mid message.MID) *desk {
		d.t.Helper()
		return d.do(&Status{Link: socketLink, Request: d.request(), From: from, Any: any, MID: mid})
	}
	none := fmt.Sprintf("refused %d", NotFound)
	ask("bob", false, firstMID).got("told ann=wait")
	ask("", true, firstMID).got("told ann=wait")
	ask("", true, firstMID+1).got("told ann=ready")
	ask("ann", false, firstMID).got(none) // a receiver is not its sender
	ask("bob", false, firstMID+1).got(none)
	ask("", false, firstMID+1).got(none) // who has no name has not sent what nobody has
	ask("", true, 77).got(none)
}

// An ack may wait for company before it is written. Who asks meanwhile is told
// of it.
func TestStatusIsNewerThanTheDisk(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0)
	traces := d.e.Step(d.now, &Status{Link: socketLink, Request: d.request(), Any: true, MID: firstMID})
	token := traces[0].(*Trace).Token
	m, items, err := d.mem.Trace(t.Context(), firstMID)
	if err != nil || items[0].State != record.Open {
		t.Fatalf("%+v, %v", items, err)
	}
	d.outcome(socketLink, "ann", Acked, 0).forget()
	d.do(&Traced{Token: token, Message: m, Items: items}).got("told ann=ok")
	if d.e.traces != 0 || len(d.e.tracing) != 0 {
		t.Errorf("%d traces under way, of %d messages", d.e.traces, len(d.e.tracing))
	}
}

// Some Trace may be under way all the time: only what is written of its message is
// remembered.
func TestStatusRemembersNothingOfOtherMessages(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0)
	d.e.Step(d.now, &Status{Link: socketLink, Request: d.request(), Any: true, MID: firstMID})
	d.outcome(socketLink, "ann", Retry, 0).wait(1000).outcome(socketLink, "ann", Acked, 0)
	for range 100 {
		d.send("ann", "x", 0).outcome(socketLink, "ann", Acked, 0)
	}
	places := 0
	for _, tracing := range d.e.tracing {
		places += len(tracing.settled)
	}
	if places != 1 {
		t.Errorf("%d places are remembered, want that of the message asked for", places)
	}
}

func TestTooManyStatusesAtOnceAreRefused(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann")
	for range MaxTraces/tracesOfOne + 1 {
		d.sendAs("bob", "ann", "a")
	}
	send := d.keyed("bob", "key", "ann", "b")
	again := d.keyed("bob", "key", "ann", "b")
	d.do(send).forget()
	var tokens []uint64
	ask := func(i int) []Effect {
		return d.e.Step(d.now, &Status{Link: socketLink, Request: d.request(), From: "bob", MID: firstMID + message.MID(i)})
	}
	for range 1000 { // who asks for one message's takes few of the places
		if trace, ok := ask(0)[0].(*Trace); ok {
			tokens = append(tokens, trace.Token)
		}
	}
	if len(tokens) != tracesOfOne {
		t.Errorf("%d statuses of one message are under way", len(tokens))
	}
	for range tracesOfOne { // nor has a sender that repeats its message to wait for others
		d.e.Step(d.now, &Status{Link: socketLink, Request: d.request(), Any: true, MID: firstMID + MaxTraces/tracesOfOne + 1})
	}
	d.do(again).got("told ann=ready")
	for i := range MaxTraces - 2*tracesOfOne {
		tokens = append(tokens, ask(1 + i/tracesOfOne)[0].(*Trace).Token)
	}
	last := MaxTraces / tracesOfOne
	d.take(ask(last))
	d.got(fmt.Sprintf("refused %d", Unavailable))
	m, items, err := d.mem.Trace(t.Context(), firstMID)
	d.do(&Traced{Token: tokens[0], Message: m, Items: items, Err: err}).got("told ann=wait")
	d.take(ask(last))
	d.got("told ann=ready")
	d.take(ask(0)) // its place is free, too
	d.got("told ann=wait")
}

func TestStatusGoesOnAfterItsReceiverIsForgotten(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").attach("bob").sendGroup("g", "a", 0).do(&Unregister{Link: socketLink, Receiver: "ann"}).forget()
	d.do(&Status{Link: socketLink, Request: d.request(), Any: true, MID: firstMID}).got("told ann=failed bob=wait")
}

func TestStatusThatCanNotBeReadIsRefused(t *testing.T) {
	d := newDesk(t, Config{})
	token := d.e.Step(d.now, &Status{Link: socketLink, Request: d.request(), Any: true, MID: firstMID})[0].(*Trace).Token
	d.forget().do(&Traced{Token: token, Err: errors.New("unreadable")}).got(fmt.Sprintf("refused %d", Unavailable))
	d.do(&Traced{Token: token, Err: errors.New("again")}).got() // it was answered
}

func TestLookTellsAllOfAMessage(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").sendAs("bob", "ann", "a").outcome(socketLink, "ann", Retry, 0)
	looked := answerOf[Looked](d, &Look{Link: socketLink, Request: d.request(), MID: firstMID})
	if looked.Message.Text != "a" || looked.Message.FromName != "bob" || len(looked.Items) != 1 {
		t.Fatalf("%+v", looked)
	}
	if it := looked.Items[0]; it.Receiver != "ann" || it.Tries != 1 || it.SentAt != d.now || it.Error != "why" || it.State != record.Open {
		t.Errorf("%+v", it)
	}
	if refusal := answerOf[*Refusal](d, &Look{Link: socketLink, Request: d.request(), MID: 5}); refusal.Code != NotFound {
		t.Errorf("%+v", refusal)
	}
}

func TestSurveyCountsAndNamesWhatFails(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").attach("bob").detached("cid").send("ann", "a", 0).send("bob", "b", 0).send("cid", "c", 0)
	d.outcome(socketLink, "bob", Retry, 60_000)
	s := answerOf[Surveyed](d, &Survey{Link: socketLink, Request: d.request()})
	if s.Receivers != 3 || s.Routes != 2 || s.Queued != 3 || len(s.Failing) != 1 {
		t.Fatalf("%+v", s)
	}
	if f := s.Failing[0]; f.Receiver != "bob" || f.Channel != "sock" || f.Failures != 1 || f.Next != d.now+60_000 || f.Error != "why" {
		t.Errorf("%+v", f)
	}
	d.wait(60_000).outcome(socketLink, "bob", Acked, 0)
	if s := answerOf[Surveyed](d, &Survey{Link: socketLink, Request: d.request()}); len(s.Failing) != 0 || s.Queued != 2 {
		t.Errorf("after a success: %+v", s)
	}
}
