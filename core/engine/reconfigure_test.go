package engine

import (
	"context"
	"strings"
	"testing"

	"mpush/core/record"
)

func all(channels ...string) []string { return append([]string{}, channels...) }

func TestNewLimitsHoldForWhatComes(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "1", 0).send("ann", "2", 0).forget()
	d.do(&Reconfigure{Config: Config{QueueLength: 2}}).got()
	d.send("ann", "3", 0).got("told ann=full")
	d.do(&Reconfigure{Config: Config{}}).send("ann", "3", 0).got("told ann=ready")
}

func TestNewTokenEvictsWhoIsAttachedAndKeepsTheQueue(t *testing.T) {
	d := newDesk(t, Config{})
	attach := func(name string, epoch uint64) *desk {
		return d.do(&Attach{Link: socketLink, Request: d.request(), Name: name, Group: "g", Policy: sockPolicy(), Epoch: epoch})
	}
	attach("ann", 0).got("attached ann gen1")
	attach("bob", 0).got("attached bob gen2")
	d.register("ann").forget()
	d.do(&Reconfigure{Epoch: 0}).got()
	d.do(&Reconfigure{Epoch: 1}).got("evict ann gen1", "evict bob gen2")
	d.send("bob", "1", 0).got("told bob=ready")
	attach("bob", 0).got("refused 4")
	attach("bob", 1).got("attached bob gen4", "deliver bob 1 gen4 try0")
	d.send("ann", "2", 0).got("deliver ann 2 gen3 try0", "told ann=push-wait") // its durable route stays
}

// An attach that was admitted with the earlier token may still be on its way to
// disk when the token changes.
func TestAttachUnderWayIsRefusedWhenTheTokenChanges(t *testing.T) {
	d := newDesk(t, Config{})
	var token uint64
	for _, effect := range d.e.Step(d.now, &Attach{Link: socketLink, Request: d.request(), Name: "ann", Policy: sockPolicy()}) {
		write := effect.(*Write)
		token = write.Token
		if err := d.mem.Commit(context.Background(), write.Ops); err != nil {
			t.Fatal(err)
		}
	}
	d.do(&Reconfigure{Epoch: 1}, &Written{Token: token}).got("refused 4")
	d.send("ann", "1", 0).got("told ann=ready")
}

func TestRoutesOfAChannelThatIsSwitchedOffWaitForItsReturn(t *testing.T) {
	d := newDesk(t, Config{})
	d.register("ann").forget()
	d.do(&LinkDown{Link: pushLink}, &Reconfigure{Channels: all("sock")}).got()
	d.send("ann", "1", 0).got("told ann=ready")
	d.do(&Reconfigure{Channels: all("sock", "push")}, &LinkUp{Link: 3, Channel: "push"}).got()
	d.do(&LinkReady{Link: 3}).got("deliver ann 1 gen2 try0")
	// What is on disk was never touched.
	registry, err := d.mem.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(registry.Routes) != 1 || registry.Routes[0].Kind != record.Registered {
		t.Errorf("routes %+v", registry.Routes)
	}
}

func TestChannelThatReturnsDoesNotTakeANameThatIsHeld(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	d.do(&LinkDown{Link: socketLink}, &Reconfigure{Channels: all("other")}).forget()
	d.do(&LinkUp{Link: 3, Channel: "other"})
	d.do(&Attach{Link: 3, Request: d.request(), Name: "ann", Group: "g", Policy: sockPolicy()}).got("attached ann gen2")
	d.do(&Reconfigure{Channels: all("sock", "other")}, &LinkUp{Link: socketLink, Channel: "sock"}, &LinkReady{Link: socketLink})
	d.attach("ann").got("refused 2")
	d.send("ann", "1", 0).got("deliver ann 1 gen2 try0", "told ann=wait")
}

// A way that was opened later has passed what was queued before, and will never
// carry it.
func TestQueueOfAChannelThatIsSwitchedOffWaitsBesideOtherRoutes(t *testing.T) {
	for name, sweep := range map[string]func(*desk){
		"switched off": func(*desk) {},
		"restarted": func(d *desk) {
			registry, err := d.mem.Load(context.Background())
			if err != nil {
				d.t.Fatal(err)
			}
			d.e = New(Config{TTL: 1_000_000, QueueLength: 1}, registry, all("push"))
			d.do(&LinkUp{Link: socketLink, Channel: "sock"}, &LinkUp{Link: pushLink, Channel: "push"}, &LinkReady{Link: pushLink})
		},
		"another way gone": func(d *desk) {
			d.do(&LinkUp{Link: 4, Channel: "mail"}, &LinkReady{Link: 4})
			d.do(&Register{Link: 4, Request: d.request(), Route: RouteSpec{Receiver: "ann", Group: "g"}})
			d.e.removeRoute(d.e.receivers["ann"].route("mail"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, Config{TTL: 1_000_000, QueueLength: 1})
			d.detached("ann").forget()
			d.send("ann", "1", 0).got("told ann=ready")
			d.register("ann").do(&Reconfigure{Config: d.e.config, Channels: all("push", "mail")}).forget()
			sweep(d)
			d.do(&Overdue{record.Overdue{Receiver: "ann", First: 1, Last: 1}}).forget()
			if it := d.item("ann", 1_000_000); it.State != record.Open {
				t.Fatalf("the item is %+v", it)
			}
			d.do(&Reconfigure{Channels: all("push", "sock")}, &LinkUp{Link: 3, Channel: "sock"}, &LinkReady{Link: 3}).forget()
			d.do(&Attach{Link: 3, Request: d.request(), Name: "ann", Group: "g", Policy: sockPolicy()})
			if got := d.lines[len(d.lines)-1]; !strings.HasPrefix(got, "deliver ann 1 ") {
				t.Errorf("got %q", d.lines)
			}
		})
	}
}

// What other routes have handed off waited for the one that was switched off.
func TestHandedOffMessageEndsWhenTheLastOtherWayIsSwitchedOff(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").register("ann").forget()
	d.send("ann", "1", 0).forget()
	d.outcome(pushLink, "ann", HandedOff, 0)
	if it := d.item("ann", 1_000_000); it.State != record.Open {
		t.Fatalf("the item is %+v", it)
	}
	d.do(&Reconfigure{Channels: all("push")})
	if it := d.item("ann", 1_000_000); it.State != record.HandedOff {
		t.Errorf("the item is %+v", it)
	}
}

// Its name may be had meanwhile, by a channel that keeps it then: also when the
// relay is started anew.
func TestNameOfAChannelThatWasSwitchedOffHasOneHolder(t *testing.T) {
	for _, channel := range []string{"alpha", "zeta"} {
		d := newDesk(t, Config{})
		d.detached("ann").forget()
		d.send("ann", "1", 0).forget()
		d.do(&Reconfigure{Channels: all(channel)}, &LinkUp{Link: 3, Channel: channel}, &LinkReady{Link: 3})
		declare := func() *desk {
			return d.do(&Declare{Link: 3, Request: d.request(), Routes: []RouteSpec{{Receiver: "ann", Policy: record.Policy{Exclusive: true}}}})
		}
		declare().got("done", "deliver ann 1 gen2 try0")
		d.do(&Reconfigure{Channels: all(channel, "sock")}).boot(Config{})
		d.forget().do(&LinkUp{Link: 3, Channel: channel})
		declare().got("done")
		d.do(&LinkReady{Link: 3}).got("deliver ann 1 gen1 try0")
		d.attach("ann").got("refused 2")
		if d.outcome(3, "ann", Rejected, 0); d.item("ann", 1_000_000).State != record.Dead {
			t.Errorf("%s: what the only way has rejected is %+v", channel, d.item("ann", 1_000_000))
		}
	}
}

func TestReceiverWhoseTokenHasEndedWasHereUntilThen(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	d.now += 60 * seenEvery
	d.do(&Reconfigure{Epoch: 1}).got("evict ann gen1")
	d.do(&Away{Receiver: "ann", Before: d.now - 31*seenEvery})
	if d.e.receivers["ann"] == nil {
		t.Error("it is forgotten, as if it had been away since it came")
	}
}

func TestChannelThatDrainsIsAnsweredAtOnce(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	d.do(&LinkUp{Link: 3, Channel: "in"})
	publish := func(text string) *Publish {
		return &Publish{Link: 3, Request: d.request(), SendType: 1, Target: "ann", Text: text, Wait: 60_000}
	}
	d.do(publish("1")).got("deliver ann 1 gen1 try0")
	d.send("ann", "2", 60_000).got()
	d.do(&LinkStopping{Link: 3}).got("told ann=wait")
	d.do(publish("3")).got("told ann=ready")
	d.do(&LinkStopping{Link: 99}).got()
}

func TestEndOfOneEpochEvictsItsOwnAlone(t *testing.T) {
	d := newDesk(t, Config{})
	attach := func(name string, epoch uint64) *desk {
		return d.do(&Attach{Link: socketLink, Request: d.request(), Name: name, Policy: sockPolicy(), Epoch: epoch})
	}
	attach("ann", 0).got("attached ann gen1")
	attach("bob", 1).got("attached bob gen2")
	attach("cid", 3).got("attached cid gen3") // of a token that was made a moment ago
	d.do(&Reconfigure{Epoch: 2, Holding: []uint64{0, 2}}).got("evict bob gen2")
	attach("bob", 1).got("refused 4")
	attach("bob", 2).got("attached bob gen4")
	d.do(&Reconfigure{Epoch: 3, Holding: []uint64{0, 2, 3}}).got()
	d.do(&Reconfigure{Epoch: 3, Holding: []uint64{0, 3}}).got("evict bob gen4") // it has expired
	attach("ann", 0).got("attached ann gen5", "evict ann gen1")
}
