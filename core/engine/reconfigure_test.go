package engine

import (
	"context"
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
