package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

func TestMessageToNobodyIsNotStored(t *testing.T) {
	d := newDesk(t, Config{})
	d.send("ghost", "a", 500).got("told ghost=no")
	d.sendGroup("ghosts", "a", 500).got("told ")
	if registry, _ := d.mem.Load(context.Background()); registry.LastMID != 0 {
		t.Errorf("a mid was given: %d", registry.LastMID)
	}
}

func TestMessageIsDeliveredAckedAndTold(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").got("attached ann gen1")
	d.send("ann", "a", 500).got("deliver ann a gen1 try0")
	d.outcome(socketLink, "ann", Acked, 0).got("told ann=ok")
}

func TestReceiverThatIsAwayIsReadyAndGetsItOnAttach(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).forget()
	d.send("ann", "a", 500).send("ann", "b", 500).got()
	d.wait(500).got("told ann=ready", "told ann=ready")
	d.attach("ann").got("attached ann gen2", "deliver ann a gen2 try0")
	d.outcome(socketLink, "ann", Acked, 0).got("deliver ann b gen2 try0")
}

func TestWaitOfZeroAnswersAsSoonAsItIsStored(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	d.send("ann", "a", 0).got("deliver ann a gen1 try0", "told ann=wait")
}

func TestGroupIsToldWhenEveryMemberIsFinal(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").attach("bob").forget()
	d.sendGroup("g", "a", 5000).got("deliver ann a gen1 try0", "deliver bob a gen2 try0")
	d.outcome(socketLink, "bob", Acked, 0).got()
	d.outcome(socketLink, "ann", Acked, 0).got("told ann=ok bob=ok")
}

func TestUnansweredHeadIsSentAgainAndNothingElse(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	d.send("ann", "a", 0).send("ann", "b", 0).forget()
	d.wait(2999).got()
	d.wait(1).got("deliver ann a gen1 try1")
	d.wait(3000).got("deliver ann a gen1 try2")
	d.outcome(socketLink, "ann", Acked, 0).got("deliver ann b gen1 try0")
}

func TestTakeoverAnswersThenEvictsThenDelivers(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).forget()
	d.attach("ann").got("attached ann gen2", "evict ann gen1", "deliver ann a gen2 try0")
	d.do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).got()
	d.outcome(socketLink, "ann", Acked, 0).send("ann", "b", 0).got("deliver ann b gen2 try0", "told ann=wait")
}

func TestFailedAttemptsBackOffToTheMaximumAndResetOnSuccess(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).send("ann", "b", 0).forget()
	for attempt, pause := range []int64{1000, 2000, 4000, 4000} {
		d.outcome(socketLink, "ann", Retry, 0).got()
		d.wait(pause - 1).got()
		d.wait(pause/5 + 2).got(fmt.Sprintf("deliver ann a gen1 try%d", attempt+1)) // up to a fifth of jitter
	}
	d.outcome(socketLink, "ann", Acked, 0).got("deliver ann b gen1 try0")
	d.outcome(socketLink, "ann", Retry, 0).wait(1201).got("deliver ann b gen1 try1")
}

func TestRetryAfterIsAtLeastThatLong(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).forget()
	d.outcome(socketLink, "ann", Retry, 60_000).wait(59_999).got()
	d.wait(1).got("deliver ann a gen1 try1")
}

func TestFirstAckRecallsTheOtherRoutes(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").register("ann").forget()
	d.send("ann", "a", 5000).got("deliver ann a gen1 try0", "deliver ann a gen2 try0")
	d.outcome(socketLink, "ann", Acked, 0).got("recall ann 1000000", "told ann=ok")
}

func TestHandOffIsFinalOnlyWhenNoRouteCanAck(t *testing.T) {
	d := newDesk(t, Config{})
	d.register("ann").forget()
	d.send("ann", "a", 5000).forget()
	d.outcome(pushLink, "ann", HandedOff, 0).got("told ann=push-ok")

	d = newDesk(t, Config{})
	d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).register("ann").forget()
	d.send("ann", "a", 5000).got("deliver ann a gen2 try0")
	d.outcome(pushLink, "ann", HandedOff, 0).got()
	d.do(&Confirm{Link: pushLink, Request: d.request(), Receiver: "ann", MID: 1_000_000, HandoffOnly: true}).got("done")
	d.wait(5000).got("told ann=push-ok-comfirm")
	d.attach("ann").got("attached ann gen3", "deliver ann a gen3 try0")
}

func TestRejectedByTheOnlyRouteIsADeadLetter(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 5000).send("ann", "b", 0).forget()
	d.outcome(socketLink, "ann", Rejected, 0).got("deliver ann b gen1 try0", "told ann=failed")
	item, _, _ := d.mem.Find(context.Background(), "ann", 1_000_000)
	if item.State != record.Dead || item.Reason != "rejected" || item.Error != "why" {
		t.Errorf("the dead letter is %+v", item.Item)
	}
}

func TestExpiredMessageIsADeadLetterAndTheNextFollows(t *testing.T) {
	d := newDesk(t, Config{TTL: 10_000})
	d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).forget()
	d.send("ann", "old", 0).wait(9_000).send("ann", "new", 0).wait(2_000).forget()
	d.attach("ann").got("attached ann gen2", "deliver ann new gen2 try0")
	item, _, _ := d.mem.Find(context.Background(), "ann", 1_000_000)
	if item.State != record.Dead || item.Reason != "expired" {
		t.Errorf("the dead letter is %+v", item.Item)
	}
}

func TestFullQueueIsRefusedAndOthersGoOn(t *testing.T) {
	d := newDesk(t, Config{QueueLength: 1})
	d.attach("ann").attach("bob").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).forget()
	d.send("ann", "a", 0).got("told ann=ready")
	d.send("ann", "b", 500).got("told ann=full")
	d.sendGroup("g", "c", 0).got("deliver bob c gen2 try0", "told ann=full bob=wait")
	d.attach("ann").outcome(socketLink, "ann", Acked, 0).forget()
	d.send("ann", "d", 0).got("deliver ann d gen3 try0", "told ann=wait")
}

func TestQueueBytesAreBounded(t *testing.T) {
	d := newDesk(t, Config{QueueBytes: 2000})
	d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).forget()
	d.send("ann", strings.Repeat("x", 3000), 0).got("told ann=ready") // an empty queue takes any message
	d.send("ann", "b", 0).got("told ann=full")
}

func TestAckOfWhatWasNeverSentIsIgnored(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").attach("bob").send("ann", "a", 0).send("ann", "b", 0).forget()
	d.do(&Outcome{Link: socketLink, Receiver: "ann", Generation: 1, MID: 1_000_001, Kind: Acked, Late: true}).got()
	d.do(&Outcome{Link: socketLink, Receiver: "bob", Generation: 2, MID: 1_000_000, Kind: Acked, Late: true}).got()
	d.do(&Outcome{Link: pushLink, Receiver: "ann", MID: 1_000_000, Kind: Acked}).got()
	if s := d.e.Stats(); s.UnsentAcks != 2 || s.ForeignRoutes != 1 || s.Acked != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestLateAckOnANewSocketCountsBeforeTheResend(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).send("ann", "b", 0).forget()
	d.do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1})
	d.do(&Confirm{Link: pushLink, Request: d.request(), Receiver: "ann", MID: 1_000_000}).got("done")
	d.attach("ann").got("attached ann gen2", "deliver ann b gen2 try0")
}

func TestDeclaredNameIsHeldAgainstOthersAndRetiredKeepsItsQueue(t *testing.T) {
	d := newDesk(t, Config{})
	declare := func(names ...string) *Declare {
		ev := &Declare{Link: pushLink, Request: d.request(), TakeNames: true}
		for _, name := range names {
			ev.Routes = append(ev.Routes, RouteSpec{Receiver: name, Policy: sockPolicy()})
		}
		return ev
	}
	d.do(declare("hook")).got("done")
	d.attach("hook").got(fmt.Sprintf("refused %d", NameInUse))
	d.send("hook", "a", 0).got("deliver hook a gen1 try0", "told hook=wait")
	d.do(declare()).got("done")
	d.attach("hook").got("attached hook gen2", "deliver hook a gen2 try0")
	d.do(declare("hook", "hook")).got(fmt.Sprintf("refused %d", Invalid))
}

func TestConfiguredReceiverCanNotBeForgottenByAClient(t *testing.T) {
	d := newDesk(t, Config{})
	d.do(&Declare{Link: pushLink, Request: d.request(), Routes: []RouteSpec{{Receiver: "hook", Policy: sockPolicy()}}}).forget()
	d.do(&Unregister{Link: socketLink, Request: d.request(), Receiver: "hook"}).got(fmt.Sprintf("refused %d", Invalid))
}

func TestUnregisterEndsTheQueue(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 5000).send("ann", "b", 5000).forget()
	d.do(&Unregister{Link: socketLink, Request: d.request(), Receiver: "ann"})
	d.got("evict ann gen1", "done", "told ann=failed", "told ann=failed")
	d.send("ann", "c", 0).got("told ann=no")
	if s := d.e.Stats(); s.Dead != 2 {
		t.Errorf("%d dead letters, want 2", s.Dead)
	}
}

func TestMessageAckedTwiceIsCountedOnce(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).send("ann", "b", 0)
	d.do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1})
	// Two callbacks, both looked up before the first one's end is on disk.
	ack := &Confirm{Link: pushLink, Receiver: "ann", MID: 1_000_000}
	finds := append(slices.Clone(d.e.Step(d.now, ack)), slices.Clone(d.e.Step(d.now, ack))...)
	d.take(finds[:0])
	var answers []Event
	for _, effect := range finds {
		find := effect.(*Find)
		item, _, _ := d.mem.Find(context.Background(), find.Receiver, find.MID)
		answers = append(answers, &Found{Token: find.Token, Item: item})
	}
	d.do(answers...)
	if s := d.e.Stats(); s.Acked != 1 || s.LateAcks != 1 || d.e.receivers["ann"].queued != 1 {
		t.Errorf("%+v, %d queued", s, d.e.receivers["ann"].queued)
	}
}

func TestHandedOffMessageDoesNotFailWhenItExpires(t *testing.T) {
	d := newDesk(t, Config{TTL: 1000})
	d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).register("ann").send("ann", "a", 0)
	d.outcome(pushLink, "ann", HandedOff, 0).wait(2000).attach("ann")
	item, _, _ := d.mem.Find(context.Background(), "ann", 1_000_000)
	if item.State != record.HandedOff || item.Status.String() != "push-ok" {
		t.Errorf("the item is %+v", item.Item)
	}
}

func TestExpiredMessagesMakeRoomInAFullQueue(t *testing.T) {
	d := newDesk(t, Config{TTL: 1000, QueueLength: 1})
	d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).forget()
	d.send("ann", "a", 0).send("ann", "b", 0).wait(2000).overdue().send("ann", "c", 0)
	d.got("told ann=ready", "told ann=full", "told ann=ready")
}

// The queue of a receiver that is gone for good stays full, and others send on.
func TestRefusedSendReadsNothing(t *testing.T) {
	d := newDesk(t, Config{TTL: 1_000_000, QueueLength: 1000})
	d.detached("ann")
	for range 1000 {
		d.send("ann", "a", 0)
	}
	for _, effect := range d.e.Step(d.now, &Publish{Link: socketLink, Request: d.request(), SendType: message.Personal, Target: "ann", Text: "b"}) {
		if _, is := effect.(*Answer); !is {
			t.Errorf("a message that is refused makes a %T", effect)
		}
	}
}

func TestChannelThatIsSwitchedOffHoldsNoName(t *testing.T) {
	d := newDesk(t, Config{})
	d.do(&Declare{Link: pushLink, Request: d.request(), Routes: []RouteSpec{{Receiver: "hook", Policy: sockPolicy()}}})
	d.attach("hook").forget().mem = d.mem.Reopen()
	registry, _ := d.mem.Load(context.Background())
	d.e = New(Config{}, registry, []string{"sock"})
	d.do(&LinkUp{Link: socketLink, Channel: "sock"}, &LinkReady{Link: socketLink})
	d.attach("hook").got("attached hook gen1")
}

func TestRetiredRouteLetsGoOfWhatOthersHandedOff(t *testing.T) {
	d := newDesk(t, Config{})
	hookLink := LinkID(7)
	d.do(&LinkUp{Link: hookLink, Channel: "hook"})
	d.do(&Declare{Link: hookLink, Request: d.request(), Routes: []RouteSpec{{Receiver: "ann", Group: "g", Policy: sockPolicy()}}})
	d.register("ann").send("ann", "a", 0)
	d.outcome(pushLink, "ann", HandedOff, 0).do(&Declare{Link: hookLink, Request: d.request()})
	if item, _, _ := d.mem.Find(context.Background(), "ann", 1_000_000); item.State != record.HandedOff {
		t.Errorf("the item is %+v", item.Item)
	}
}

func TestUnchangedRegistrationSendsNothingAgain(t *testing.T) {
	d := newDesk(t, Config{})
	d.register("ann").send("ann", "a", 0).forget()
	d.now += seenEvery // the record is due to be written again
	d.register("ann").got("done")
}

func TestLimitsHoldForAWholeDeclaration(t *testing.T) {
	d := newDesk(t, Config{Receivers: 2, GroupMembers: 2})
	declare := func(group string, names ...string) {
		ev := &Declare{Link: pushLink, Request: d.request()}
		for _, name := range names {
			ev.Routes = append(ev.Routes, RouteSpec{Receiver: name, Group: group, Policy: sockPolicy()})
		}
		d.do(ev)
	}
	declare("", "a", "b", "c")
	d.got(fmt.Sprintf("refused %d", Limit))
	declare("", "a", "b")
	d.got("done")
}

func TestMidsIncreaseWhenTheClockGoesBackAndAcrossARestart(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0)
	d.now -= 500_000
	d.send("ann", "b", 0)
	d.mem = d.mem.Reopen()
	d.boot(Config{})
	d.send("ann", "c", 0)
	items, _, err := d.mem.Next(context.Background(), "ann", 0, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var mids []message.MID
	for _, item := range items {
		mids = append(mids, item.MID)
	}
	if want := []message.MID{1_000_000, 1_000_001, 1_000_002}; !slices.Equal(mids, want) {
		t.Errorf("mids %v, want %v", mids, want)
	}
}

func TestClockThatIsSetBackStopsNoTimer(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 500).forget()
	d.now -= 900_000
	d.attach("bob").forget() // any event tells the engine the time
	d.wait(499).got()
	d.wait(1).got("told ann=wait")
	d.wait(2500).got("deliver ann a gen1 try1")
}

func TestStoppingEndsWaitsAndRefusesSends(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 5000).send("ann", "b", 5000).forget()
	d.do(&Stopping{}).got("told ann=wait", "told ann=ready")
	d.send("ann", "c", 0).got(fmt.Sprintf("refused %d", Unavailable))
	d.attach("bob").got(fmt.Sprintf("refused %d", Unavailable))
}

func TestNumberOfReceiversAndGroupMembersIsBounded(t *testing.T) {
	d := newDesk(t, Config{Receivers: 2, GroupMembers: 1})
	d.attach("ann").got("attached ann gen1")
	d.attach("bob").got(fmt.Sprintf("refused %d", Limit)) // the group is full
	d.do(&Attach{Link: socketLink, Request: d.request(), Name: "bob", Policy: sockPolicy()}).got("attached bob gen2")
	d.do(&Attach{Link: socketLink, Request: d.request(), Name: "cid", Policy: sockPolicy()}).got(fmt.Sprintf("refused %d", Limit))
}

// They are counted from the moment on that they were asked for, not when they are
// on disk.
func TestLimitsHoldForClaimsThatAreUnderWayAtOnce(t *testing.T) {
	for name, config := range map[string]Config{"receivers": {Receivers: 1}, "members": {GroupMembers: 1}} {
		e := New(config, record.Registry{}, nil)
		e.Step(1, &LinkUp{Link: socketLink, Channel: "sock"})
		attach := func(who string) []Effect {
			return slices.Clone(e.Step(1, &Attach{Link: socketLink, Request: RequestID{Number: 1}, Name: who, Group: "g", Policy: sockPolicy()}))
		}
		refused := func(effects []Effect) bool {
			answer, is := effects[0].(*Answer)
			return is && answer.Body.(*Refusal).Code == Limit
		}
		first := attach("ann")
		spec := RouteSpec{Receiver: "cid", Group: "g", Policy: sockPolicy()}
		for what, effects := range map[string][]Effect{
			"attach":   attach("bob"),
			"register": slices.Clone(e.Step(1, &Register{Link: socketLink, Request: RequestID{Number: 2}, Route: spec})),
			"declare":  slices.Clone(e.Step(1, &Declare{Link: socketLink, Request: RequestID{Number: 3}, Routes: []RouteSpec{spec}})),
		} {
			if !refused(effects) {
				t.Errorf("%s: %s: the last place is given twice: %T", name, what, effects[0])
			}
		}
		e.Step(1, &Written{Token: first[0].(*Write).Token, Err: errors.New("full")})
		second := attach("bob")
		if refused(second) {
			t.Errorf("%s: a place that nobody has got is taken", name)
		}
		e.Step(1, &Written{Token: second[0].(*Write).Token})
		if !refused(attach("ann")) || e.coming.receivers != 0 || len(e.coming.members) != 0 {
			t.Errorf("%s: in the end %+v are coming", name, e.coming)
		}
	}
}

func TestNewAttachChangesTheGroup(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").do(&Attach{Link: socketLink, Request: d.request(), Name: "ann", Group: "h", Policy: sockPolicy()}).forget()
	d.sendGroup("g", "a", 0).got("told ")
	d.sendGroup("h", "a", 0).got("deliver ann a gen2 try0", "told ann=wait")
}

func TestLeaseBehindTheHeadBecomesTheHeadWithoutANewDelivery(t *testing.T) {
	d := newDesk(t, Config{})
	policy := sockPolicy()
	policy.Prefetch = 2
	d.do(&Attach{Link: socketLink, Request: d.request(), Name: "ann", Policy: policy}).forget()
	d.send("ann", "a", 500).send("ann", "b", 500).send("ann", "c", 500).got("deliver ann a gen1 try0", "deliver ann b gen1 try0")
	d.outcome(socketLink, "ann", Acked, 0).got("deliver ann c gen1 try0", "told ann=ok")
	d.wait(500).got("told ann=wait", "told ann=ready")
	d.wait(2500).got("deliver ann b gen1 try1")
}

func TestChannelThatNeverAnswersIsAskedAgain(t *testing.T) {
	d := newDesk(t, Config{})
	d.register("ann").send("ann", "a", 0).forget()
	d.wait(leaseTimeout).got("recall ann 1000000")
	d.wait(1200).got("deliver ann a gen1 try1")
}

func TestDeadChannelsLeasesComeAgainOnTheNext(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 500).forget()
	d.do(&LinkDown{Link: socketLink}).wait(500).got() // nobody is there to be told
	d.do(&LinkUp{Link: 3, Channel: "sock"}, &LinkReady{Link: 3})
	d.do(&Attach{Link: 3, Request: d.request(), Name: "ann", Group: "g", Policy: sockPolicy()})
	d.got("attached ann gen2", "deliver ann a gen2 try0")
}

func TestLongQueueStaysOutOfMemory(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1})
	for range 1000 {
		d.send("ann", "x", 0)
	}
	if n := len(d.e.receivers["ann"].items); n != 0 {
		t.Errorf("%d items in memory while the receiver is away", n)
	}
	d.attach("ann")
	if n, most := len(d.e.receivers["ann"].items), minWindowItems; n > most {
		t.Errorf("%d items in memory, the window has %d", n, most)
	}
	for range 1000 {
		d.outcome(socketLink, "ann", Acked, 0)
	}
	if n := len(d.e.receivers["ann"].items); n != 0 || d.e.receivers["ann"].queued != 0 {
		t.Errorf("%d items in memory and %d counted after the queue was drained", n, d.e.receivers["ann"].queued)
	}
}

func TestFloodOfWrongAcksIsLookedUpAFewAtATime(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann")
	finds := 0
	for mid := range message.MID(1000) {
		finds += len(d.e.Step(d.now, &Outcome{Link: socketLink, Receiver: "ann", Generation: 1, MID: mid + 1, Kind: Acked, Late: true}))
	}
	if finds != maxReads {
		t.Errorf("%d lookups under way, want %d", finds, maxReads)
	}
}
