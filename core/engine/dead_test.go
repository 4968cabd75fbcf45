package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

const firstMID = message.MID(1_000_000) // of a new desk

// detached makes a receiver known that is away.
func (d *desk) detached(name string) *desk {
	d.t.Helper()
	return d.attach(name).detach(name)
}

func (d *desk) detach(name string) *desk {
	d.t.Helper()
	return d.do(&Detach{Link: socketLink, Receiver: name, Generation: d.e.receivers[name].route("sock").generation})
}

func (d *desk) sendWithTTL(target, text string, ttl int64) *desk {
	d.t.Helper()
	return d.do(&Publish{Link: socketLink, Request: d.request(), SendType: message.Personal, Target: target, Text: text, TTL: ttl})
}

func (d *desk) replay(name string, mid message.MID) *desk {
	d.t.Helper()
	return d.do(&Replay{Link: socketLink, Request: d.request(), Receiver: name, MID: mid})
}

// overdue does what the relay's keeper does.
func (d *desk) overdue() *desk {
	d.t.Helper()
	found, _, err := d.mem.Overdue(context.Background(), 0, d.now, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, o := range found {
		d.do(&Overdue{o})
	}
	return d
}

// item is what is on disk.
func (d *desk) item(name string, mid message.MID) record.Item {
	d.t.Helper()
	found, _, err := d.mem.Find(context.Background(), name, mid)
	if err != nil {
		d.t.Fatal(err)
	}
	return found.Item
}

func (d *desk) is(name string, mid message.MID, state record.State, reason string) *desk {
	d.t.Helper()
	if it := d.item(name, mid); it.State != state || it.Reason != reason {
		d.t.Fatalf("message %d is %+v, want state %d for the reason %q", mid, it, state, reason)
	}
	return d
}

func TestSenderMayGiveItsMessageLessTimeAndNoMore(t *testing.T) {
	d := newDesk(t, Config{TTL: 10_000})
	d.detached("ann").sendWithTTL("ann", "short", 1000).sendWithTTL("ann", "long", 60_000)
	d.now += 1000
	d.overdue().is("ann", firstMID, record.Dead, "expired").is("ann", firstMID+1, record.Open, "")
	d.now += 9000
	d.overdue().is("ann", firstMID+1, record.Dead, "expired")

	d = newDesk(t, Config{}) // messages last for ever, but for those that shall not
	d.detached("ann").sendWithTTL("ann", "short", 1000).sendWithTTL("ann", "long", 0)
	d.now += 1 << 40
	d.overdue().is("ann", firstMID, record.Dead, "expired").is("ann", firstMID+1, record.Open, "")
}

func TestOverdueMessageInFlightIsRecalledAndTheNextFollows(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").do(&Publish{
		Link: socketLink, Request: d.request(), SendType: message.Personal, Target: "ann", Text: "a", TTL: 1000, Wait: 5000,
	}).send("ann", "b", 0).forget()
	d.now += 1000
	d.overdue().got("recall ann 1000000", "deliver ann b gen1 try0", "told ann=failed")
	if r := d.e.receivers["ann"]; r.queued != 1 || len(r.items) != 1 {
		t.Errorf("%d queued, %d in memory", r.queued, len(r.items))
	}
}

func TestOverdueEndsOnlyWhatIsOver(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann")
	for i := range 200 {
		d.sendWithTTL("ann", "x", int64(1000+i%2*1_000_000)) // each other
	}
	d.now += 1000
	d.overdue()
	for i := range message.MID(200) {
		want := record.Dead
		if i%2 == 1 {
			want = record.Open
		}
		if it := d.item("ann", firstMID+i); it.State != want {
			t.Fatalf("message %d is %+v", i, it)
		}
	}
	if s := d.e.Stats(); s.Dead != 100 || d.e.receivers["ann"].queued != 100 {
		t.Errorf("%+v, %d queued", s, d.e.receivers["ann"].queued)
	}
	d.do(&Overdue{record.Overdue{Receiver: "nobody", First: 1, Last: 9}})
}

func TestReplayKeepsTheMidAndGoesToTheEnd(t *testing.T) {
	d := newDesk(t, Config{TTL: 1000})
	d.detached("ann").send("ann", "dead", 0)
	d.now += 1000
	d.overdue().send("ann", "later", 0).forget()
	d.replay("ann", firstMID).got("done")
	if it := d.item("ann", firstMID); it.State != record.Open || it.Status.String() != "ready" || it.Tries != 0 || it.Seq != 3 || it.EndedAt != 0 {
		t.Errorf("the replayed item is %+v", it)
	}
	// It has all the time again, counted from now.
	d.now += 500
	d.overdue().is("ann", firstMID, record.Open, "")
	d.attach("ann").got("attached ann gen2", "deliver ann later gen2 try0")
	d.outcome(socketLink, "ann", Acked, 0).got("deliver ann dead gen2 try0")
	d.outcome(socketLink, "ann", Acked, 0).is("ann", firstMID, record.Acked, "")
	if d.e.receivers["ann"].queued != 0 {
		t.Errorf("%d queued", d.e.receivers["ann"].queued)
	}
}

func TestReplayForAConnectedReceiverIsDeliveredAtOnce(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).outcome(socketLink, "ann", Rejected, 0).forget()
	d.replay("ann", firstMID).got("done", "deliver ann a gen1 try0")
	d.outcome(socketLink, "ann", Rejected, 0).is("ann", firstMID, record.Dead, "rejected")
	d.replay("ann", firstMID).got("done", "deliver ann a gen1 try0")
}

func TestReplayOfAGroupMessageIsForOneReceiver(t *testing.T) {
	d := newDesk(t, Config{TTL: 1000})
	d.detached("ann").detached("bob").sendGroup("g", "a", 0)
	d.now += 1000
	d.overdue().forget().replay("bob", firstMID).got("done")
	d.is("ann", firstMID, record.Dead, "expired").is("bob", firstMID, record.Open, "")
}

func TestReplayLeavesOthersTheTimeThatTheirSenderGave(t *testing.T) {
	d := newDesk(t, Config{TTL: 100_000})
	d.attach("ann").detached("bob")
	d.do(&Publish{Link: socketLink, Request: d.request(), SendType: message.Group, Target: "g", Text: "a", TTL: 1000})
	d.outcome(socketLink, "ann", Rejected, 0).forget()
	d.now += 500
	d.replay("ann", firstMID).got("done", "deliver ann a gen1 try0")
	d.now += 500
	d.overdue().is("ann", firstMID, record.Dead, "expired").is("bob", firstMID, record.Dead, "expired")
	d.replay("bob", firstMID) // now it waits for nobody else
	d.now += 99_999
	d.overdue().is("bob", firstMID, record.Open, "")
}

func TestReplayIsRefusedForWhatIsNoDeadLetter(t *testing.T) {
	d := newDesk(t, Config{TTL: 10_000})
	d.attach("ann").send("ann", "acked", 0).outcome(socketLink, "ann", Acked, 0).send("ann", "open", 0)
	d.detached("bob").send("bob", "dropped", 0)
	d.now += 10_000
	d.overdue()
	d.do(&DropDead{Link: socketLink, Request: d.request(), Receiver: "bob", MID: firstMID + 2}).send("ann", "new", 0).forget()
	none := fmt.Sprintf("refused %d", NotFound)
	d.replay("ann", firstMID).got(none)             // it has arrived
	d.replay("ann", firstMID+3).got(none)           // it is on its way
	d.replay("ann", 5).got(none)                    // no such message
	d.replay("bob", firstMID).got(none)             // not for it
	d.replay("bob", firstMID+2).got(none)           // taken off the list
	d.replay("nobody", firstMID).got(none)          // nobody to send it to
	d.replay("ann", firstMID+1).got("done")         // that one is dead
	d.replay("ann", firstMID+1).got(none)           // and lives again
	d.is("bob", firstMID+2, record.Dead, "dropped") // the history keeps it
}

func TestQueueLimitsHoldForReplays(t *testing.T) {
	d := newDesk(t, Config{QueueLength: 1})
	d.detached("ann").sendWithTTL("ann", "a", 1000)
	d.now += 1000
	d.overdue().send("ann", "b", 0).forget()
	d.replay("ann", firstMID).got(fmt.Sprintf("refused %d", Limit))
	d.is("ann", firstMID, record.Dead, "expired")
	d.attach("ann").outcome(socketLink, "ann", Acked, 0).forget()
	d.replay("ann", firstMID).got("done", "deliver ann a gen2 try0")
}

// Of two at once one is done: neither counts twice.
func TestReplayedTwiceAtOnceIsQueuedOnce(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").sendWithTTL("ann", "a", 1000)
	d.now += 1000
	d.overdue().forget()
	letter, _, _ := d.mem.Find(context.Background(), "ann", firstMID)
	var answers []Event
	for range 2 {
		effects := d.e.Step(d.now, &Replay{Link: socketLink, Request: d.request(), Receiver: "ann", MID: firstMID})
		answers = append(answers, &Found{Token: effects[0].(*Find).Token, Item: letter})
	}
	d.do(answers...).got("done", fmt.Sprintf("refused %d", NotFound))
	if r := d.e.receivers["ann"]; r.queued != 1 || r.unwritten != 0 {
		t.Errorf("%d queued, %d unwritten", r.queued, r.unwritten)
	}
}

func TestReplayThatCanNotBeWrittenChangesNothing(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").sendWithTTL("ann", "a", 1000)
	d.now += 1000
	d.overdue().forget()
	letter, _, _ := d.mem.Find(context.Background(), "ann", firstMID)
	find := d.e.Step(d.now, &Replay{Link: socketLink, Request: d.request(), Receiver: "ann", MID: firstMID})[0].(*Find)
	write := d.e.Step(d.now, &Found{Token: find.Token, Item: letter})[0].(*Write)
	d.do(&Written{Token: write.Token, Err: errors.New("full")}).got(fmt.Sprintf("refused %d", Unavailable))
	find = d.e.Step(d.now, &Replay{Link: socketLink, Request: d.request(), Receiver: "ann", MID: firstMID})[0].(*Find)
	d.do(&Found{Token: find.Token, Err: errors.New("unreadable")}).got(fmt.Sprintf("refused %d", Unavailable))
	if r := d.e.receivers["ann"]; r.queued != 0 || r.unwritten != 0 || r.reads != 0 {
		t.Errorf("%d queued, %d unwritten, %d reads", r.queued, r.unwritten, r.reads)
	}
	d.replay("ann", firstMID).got("done")
}

func TestReplayForAReceiverThatIsForgottenMeanwhileIsRefused(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").sendWithTTL("ann", "a", 1000)
	d.now += 1000
	d.overdue().forget()
	letter, _, _ := d.mem.Find(context.Background(), "ann", firstMID)
	find := d.e.Step(d.now, &Replay{Link: socketLink, Request: d.request(), Receiver: "ann", MID: firstMID})[0].(*Find)
	d.do(&Unregister{Link: socketLink, Receiver: "ann"})
	d.do(&Found{Token: find.Token, Item: letter}).got(fmt.Sprintf("refused %d", NotFound))
}

func TestStoppingRefusesReplays(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").do(&Stopping{}).forget()
	d.replay("ann", firstMID).got(fmt.Sprintf("refused %d", Unavailable))
}

func TestLowDiskRefusesSendsAndNothingElse(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).send("ann", "b", 0).do(&DiskLow{Low: true}).forget()
	d.send("ann", "c", 0).sendGroup("g", "c", 0).got(fmt.Sprintf("refused %d", Unavailable), fmt.Sprintf("refused %d", Unavailable))
	d.outcome(socketLink, "ann", Acked, 0).got("deliver ann b gen1 try0")
	d.is("ann", firstMID, record.Acked, "")
	d.attach("bob").got("attached bob gen2")
	d.do(&DiskLow{}).send("bob", "d", 0).got("deliver bob d gen2 try0", "told bob=wait")
}

func TestReceiverThatIsAwayForLongIsForgottenAndOthersStay(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("gone").send("gone", "unread", 0).attach("here").register("pushed")
	d.do(&Declare{Link: pushLink, Request: d.request(), Routes: []RouteSpec{{Receiver: "hook", Policy: sockPolicy()}}})
	seen := d.now
	d.now += 100_000
	d.detached("back").forget()
	for _, name := range []string{"gone", "here", "pushed", "hook", "back", "nobody"} {
		d.do(&Away{Receiver: name, Before: seen + 1})
	}
	for name, known := range map[string]bool{"gone": false, "here": true, "pushed": true, "hook": true, "back": true} {
		if (d.e.receivers[name] != nil) != known {
			t.Errorf("%s is known: %v", name, !known)
		}
	}
	d.got()
	d.send("gone", "x", 0).got("told gone=no")
	_, items, err := d.mem.Trace(context.Background(), firstMID)
	if err != nil || len(items) != 1 || items[0].State != record.Dead || items[0].Reason != "forgotten" {
		t.Errorf("what waited for it is %+v, %v", items, err)
	}
}

// A receiver is away from the moment on that it goes, or that the last of its ways
// does, however long it was here before.
func TestAbsenceIsCountedFromWhenAReceiverWent(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	none := func(link LinkID) *Declare { return &Declare{Link: link, Request: RequestID{Number: 1}} }
	for name, test := range map[string]struct {
		come, leave func(*desk)
		here        int64
	}{
		"detached":  {func(d *desk) { d.attach("ann") }, func(d *desk) { d.detach("ann") }, day - 1},
		"link down": {func(d *desk) { d.attach("ann") }, func(d *desk) { d.do(&LinkDown{Link: socketLink}) }, day - 1},
		"switched off": {func(d *desk) { d.attach("ann") }, func(d *desk) {
			d.do(&Reconfigure{Channels: all("push")})
		}, day - 1},
		"token ended": {func(d *desk) { d.attach("ann") }, func(d *desk) { d.do(&Reconfigure{Epoch: 1}) }, day - 1},
		"retired":     {func(d *desk) { d.hook("ann", "") }, func(d *desk) { d.do(none(socketLink)) }, 100 * day},
		"removed":     {func(d *desk) { d.register("ann").send("ann", "a", 0) }, func(d *desk) { d.outcome(pushLink, "ann", Gone, 0) }, 100 * day},
		"removed as others go": {func(d *desk) { d.register("ann").attach("bob").send("ann", "a", 0) }, func(d *desk) {
			d.detach("bob").outcome(pushLink, "ann", Gone, 0)
		}, 100 * day},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, Config{})
			test.come(d)
			d.now += test.here
			test.leave(d)
			d.now += 1000
			d.do(&Away{Receiver: "ann", Before: d.now - 2000})
			if d.e.receivers["ann"] == nil {
				t.Fatal("it is forgotten a second after it went")
			}
			d.mem = d.mem.Reopen()
			registry, err := d.mem.Load(context.Background())
			if err != nil || registry.Receivers[0].SeenAt != d.now-1000 {
				t.Errorf("after a restart it was seen %d ms ago, %v", d.now-registry.Receivers[0].SeenAt, err)
			}
			d.boot(Config{})
			d.do(&Away{Receiver: "ann", Before: d.now})
			if d.e.receivers["ann"] != nil {
				t.Error("it is never forgotten")
			}
		})
	}
}

func TestReceiversOfAChannelThatIsSwitchedOffAreNotForgotten(t *testing.T) {
	d := newDesk(t, Config{})
	d.register("pushed")
	d.do(&Declare{Link: socketLink, Request: d.request(), Routes: []RouteSpec{{Receiver: "hook", Policy: sockPolicy()}}})
	d.do(&Reconfigure{Channels: all("other")})
	for _, name := range []string{"pushed", "hook"} {
		if d.do(&Away{Receiver: name, Before: d.now + 1}); d.e.receivers[name] == nil {
			t.Errorf("%s is forgotten", name)
		}
	}
}

// A disk may be so slow that a message's time is over before it is there; what
// looks for such messages has been past it by then.
func TestMessageThatExpiresWhileItIsWrittenEnds(t *testing.T) {
	d := newDesk(t, Config{QueueLength: 1})
	d.detached("ann").detached("bob").forget()
	publish := &Publish{Link: socketLink, Request: d.request(), SendType: message.Group, Target: "g", Text: "a", TTL: 1, Wait: 60_000}
	for _, effect := range slices.Clone(d.e.Step(d.now, publish)) {
		write := effect.(*Write)
		if err := d.mem.Commit(context.Background(), write.Ops); err != nil {
			t.Fatal(err)
		}
		d.now += 2000
		d.do(&Written{Token: write.Token})
	}
	d.got("told ann=failed bob=failed").is("ann", firstMID, record.Dead, "expired").is("bob", firstMID, record.Dead, "expired")
	d.send("ann", "b", 0).got("told ann=ready")
}

func TestReceiverThatWasSeenSinceIsNotForgotten(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann")
	d.do(&Away{Receiver: "ann", Before: d.now}).send("ann", "a", 0)
	d.is("ann", firstMID, record.Open, "")
	d.do(&Stopping{}).do(&Away{Receiver: "ann", Before: d.now + 1}).is("ann", firstMID, record.Open, "")
}
