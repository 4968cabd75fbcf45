package engine

import (
	"fmt"
	"slices"
	"testing"

	"mpush/core/record"
)

const boundLink LinkID = 3 // channel "bound", which holds two messages at most

// newBound is a desk with some receivers of a bounded channel.
func newBound(t *testing.T, policy record.Policy, names ...string) *desk {
	d := newDesk(t, Config{})
	d.do(&LinkUp{Link: boundLink, Channel: "bound", InFlight: 2}, &LinkReady{Link: boundLink})
	for _, name := range names {
		d.do(&Attach{Link: boundLink, Request: d.request(), Name: name, Policy: policy})
	}
	return d.forget()
}

// settle ends what the channel has of a receiver.
func (d *desk) settle(name string, kind OutcomeKind) *desk {
	rt := d.e.receivers[name].route("bound")
	return d.do(&Outcome{Link: boundLink, Receiver: name, Generation: rt.generation, MID: rt.window[0].MID, Kind: kind})
}

func TestRoutesBeyondWhatAChannelMayHoldTakeTurns(t *testing.T) {
	d := newBound(t, record.Policy{Exclusive: true, Acks: true, Prefetch: 8, Retry: 1000}, "ann", "bob", "cid")
	for i := range 3 {
		for _, name := range []string{"ann", "bob", "cid"} {
			d.send(name, fmt.Sprint(name[0:1], i), 0)
		}
	}
	d.lines = slices.DeleteFunc(d.lines, func(line string) bool { return line[:4] == "told" })
	d.got("deliver ann a0 gen1 try0", "deliver bob b0 gen2 try0")
	// They came in the order cid, ann, bob, and each goes to the end of the line.
	d.settle("ann", Acked).got("deliver cid c0 gen3 try0")
	d.settle("bob", Acked).got("deliver ann a1 gen1 try0")
	d.settle("ann", Acked).got("deliver bob b1 gen2 try0")
	d.settle("cid", Acked).got("deliver cid c1 gen3 try0")
	d.settle("bob", Acked).got("deliver ann a2 gen1 try0")
	d.settle("ann", Acked).got("deliver bob b2 gen2 try0")
	d.settle("bob", Acked).got("deliver cid c2 gen3 try0")
	d.settle("cid", Acked).settle("cid", Acked).got()
	if q := &d.e.links[boundLink].quota; q.held != 0 || q.waiting.Len() != 0 || len(d.e.timers.heap) != 0 {
		t.Errorf("left: %d held, %d wait, %d timers", q.held, q.waiting.Len(), len(d.e.timers.heap))
	}
}

func TestWhoPausesOrGoesMakesRoom(t *testing.T) {
	policy := record.Policy{Exclusive: true, Acks: true, Retry: 1000}
	d := newBound(t, policy, "ann", "bob", "cid", "dan")
	for _, name := range []string{"ann", "bob", "cid", "dan"} {
		d.send(name, name[0:1], 0)
	}
	d.forget()
	d.settle("ann", Retry).got("deliver cid c gen3 try0")
	d.wait(1000).got() // dan is before ann
	d.do(&Detach{Link: boundLink, Receiver: "bob", Generation: 2}).got("deliver dan d gen4 try0")
	d.settle("cid", Acked).got("deliver ann a gen1 try1")
	// Who leaves the line is passed over.
	d.send("cid", "e", 0).do(&Detach{Link: boundLink, Receiver: "cid", Generation: 3}).forget()
	d.settle("dan", Acked).got()
	d.do(&Attach{Link: boundLink, Request: d.request(), Name: "cid", Policy: policy}).got("attached cid gen5", "deliver cid e gen5 try0")
	d.do(&LinkDown{Link: boundLink}, &LinkUp{Link: 4, Channel: "bound", InFlight: 1}).forget()
	for _, name := range []string{"ann", "bob", "cid"} {
		d.do(&Attach{Link: 4, Request: d.request(), Name: name, Policy: policy})
	}
	d.got("attached ann gen6", "deliver ann a gen6 try0", "attached bob gen7", "attached cid gen8")
}

// A receiver that is there and does not answer keeps its message for one turn.
func TestMuteReceiversGiveWay(t *testing.T) {
	d := newBound(t, record.Policy{Exclusive: true, Acks: true, Resend: 3000}, "ann", "bob", "cid")
	for _, name := range []string{"ann", "bob", "cid"} {
		d.send(name, name[0:1], 0)
	}
	d.forget()
	d.wait(3000).got("recall ann 1000000", "deliver bob b gen2 try1", "deliver cid c gen3 try0")
	d.wait(3000).got("recall bob 1000001", "deliver cid c gen3 try1", "deliver ann a gen1 try1")
	d.wait(3000).got("recall cid 1000002", "deliver ann a gen1 try2", "deliver bob b gen2 try2")
	d.settle("bob", Acked).got("deliver cid c gen3 try2")
	d.wait(3000).got("deliver ann a gen1 try3", "deliver cid c gen3 try3") // nobody waits
}

// Its own wish for more does not make a route give up what it has.
func TestRouteDoesNotGiveWayToItself(t *testing.T) {
	d := newBound(t, record.Policy{Exclusive: true, Acks: true, Resend: 3000, Prefetch: 8}, "ann", "bob")
	for i := range 4 {
		d.send("ann", fmt.Sprint("a", i), 0)
	}
	d.forget()
	d.wait(3000).got("deliver ann a0 gen1 try1")
	d.settle("ann", Acked).got("deliver ann a2 gen1 try0")
	d.send("bob", "b", 0).forget()
	d.wait(3000).got("recall ann 1000002", "recall ann 1000001", "deliver bob b gen2 try0", "deliver ann a1 gen1 try1")
}

func TestChannelThatHoldsAllAndSettlesNothingIsToldOn(t *testing.T) {
	d := newBound(t, record.Policy{Exclusive: true, Acks: true}, "ann", "bob", "cid", "dan")
	hoards := func(ms int64) (n int) {
		for end := d.now + ms; ; {
			at, ok := d.e.NextTimer()
			if !ok || at > end {
				d.now = end
				return n
			}
			d.now = at
			n += len(lies(d.e.Advance(d.now)))
		}
	}
	d.send("ann", "a", 0).send("bob", "b", 0)
	if n := hoards(60_000); n != 0 {
		t.Errorf("nobody waits, and it is told on %d times", n)
	}
	d.send("cid", "c", 0).send("dan", "d", 0)
	if n := hoards(9000); n != 0 {
		t.Errorf("at once %d times", n)
	}
	d.settle("ann", Acked)
	if n := hoards(9999); n != 0 {
		t.Errorf("it settles, and is told on %d times", n)
	}
	if n := hoards(20_001); n != 3 {
		t.Errorf("in half a minute %d times", n)
	}
	d.settle("bob", Acked)
	if n := hoards(60_000); n != 0 {
		t.Errorf("nobody waits any more, and it is told on %d times", n)
	}
}

// What a route that changes had leased is somebody else's: the channel is told.
func TestRouteThatChangesGivesBackWhatItHolds(t *testing.T) {
	d := newDesk(t, Config{})
	d.do(&LinkUp{Link: boundLink, Channel: "bound", InFlight: 1}, &LinkReady{Link: boundLink})
	register := func(name, address string) {
		d.do(&Register{Link: boundLink, Request: d.request(), Route: RouteSpec{Receiver: name, Address: []byte(address)}})
	}
	register("ann", "1")
	register("bob", "1")
	d.send("ann", "a", 0).send("bob", "b", 0).forget()
	register("ann", "2")
	d.got("recall ann 1000000", "done", "deliver bob b gen2 try0")
}

func TestSurveyCountsByChannel(t *testing.T) {
	d := newBound(t, record.Policy{Exclusive: true, Acks: true}, "ann", "bob", "cid")
	d.register("ann")
	for _, name := range []string{"ann", "bob", "cid"} {
		d.send(name, "x", 0).send(name, "y", 0)
	}
	d.answers = nil
	d.do(&Survey{Link: socketLink, Request: d.request()})
	got := d.answers[0].(Surveyed)
	want := []Share{{"bound", 3, 3, 6, 2, 2, 1}, {"push", 1, 1, 2, 1, 0, 0}}
	if !slices.Equal(got.Channels, want) {
		t.Errorf("got %+v", got.Channels)
	}
}
