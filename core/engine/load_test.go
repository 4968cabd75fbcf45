package engine

import (
	"fmt"
	"slices"
	"testing"

	"mpush/core/record"
)

// Who comes because of a push has its queue read while the push's outcome arrives.
func TestReadThatIsOlderThanAHandOffTakesNothingBack(t *testing.T) {
	d := newDesk(t, Config{TTL: 10_000})
	d.attach("ann").register("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).forget()
	d.send("ann", "a", 0).got("deliver ann a gen2 try0", "told ann=push-wait")
	d.slow = true
	d.attach("ann").got("attached ann gen3")
	if len(d.read) != 1 {
		t.Fatal("nothing is being read")
	}
	d.outcome(pushLink, "ann", HandedOff, 0).arrive().got("deliver ann a gen3 try0")
	d.do(&Status{Link: socketLink, Request: d.request(), MID: firstMID, Any: true}).got("told ann=push-ok")
	d.wait(9_000).detach("ann").forget()
	d.now += 1000
	d.overdue().is("ann", firstMID, record.HandedOff, "")
}

// An ack may cross with the recall of what it is about.
func TestAckOfAMessageThatWasTakenBackCounts(t *testing.T) {
	d := newBound(t, record.Policy{Exclusive: true, Acks: true, Prefetch: 2, Resend: 3000}, "ann", "bob", "cid")
	d.send("ann", "a", 0).send("ann", "b", 0).got("deliver ann a gen1 try0", "told ann=wait", "deliver ann b gen1 try0", "told ann=ready")
	d.send("bob", "c", 0).send("cid", "d", 0).forget()
	d.wait(3000).got("recall ann 1000001", "recall ann 1000000", "deliver bob c gen2 try0", "deliver cid d gen3 try0")
	for mid := firstMID; mid <= firstMID+1; mid++ {
		effects := slices.Clone(d.e.Step(d.now, &Outcome{Link: boundLink, Receiver: "ann", Generation: 1, MID: mid, Kind: Acked}))
		if said := lies(effects); len(said) > 0 {
			t.Errorf("the link is said to lie: %q", said)
		}
		d.take(effects)
		d.is("ann", mid, record.Acked, "")
	}
}

// Who comes and goes again and again has its queue read once at a time.
func TestQueueIsReadOnceAtATimeForARoute(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").detach("ann").send("ann", "a", 0).forget()
	d.slow = true
	for range 10 {
		d.attach("ann").detach("ann")
	}
	d.attach("ann").forget()
	if len(d.read) != 1 {
		t.Fatalf("%d reads are under way", len(d.read))
	}
	d.arrive().got("deliver ann a gen12 try0")
}

// A read that was asked for before a receiver went does not know where it starts anew.
func TestQueueThatWasReadForAnEarlierAttachmentIsReadAgain(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").detach("ann")
	const open = 3 * minWindowItems
	for i := range open {
		d.send("ann", fmt.Sprint(i), 0)
	}
	d.attach("ann").slow = true
	acked := 0
	for ; len(d.read) == 0; acked++ { // until a refill is under way
		d.outcome(socketLink, "ann", Acked, 0)
	}
	d.detach("ann").attach("ann").forget()
	for d.arrive(); acked < open; acked++ {
		d.got(fmt.Sprintf("deliver ann %d gen3 try0", acked)).outcome(socketLink, "ann", Acked, 0)
	}
	d.got()
	// What arrives when it has gone for good is for nobody.
	d.detach("ann").send("ann", "last", 0).slow = true
	d.attach("ann").detach("ann").arrive()
	if n := len(d.e.receivers["ann"].items); n != 0 {
		t.Errorf("%d messages are held for nobody", n)
	}
}
