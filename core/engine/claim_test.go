package engine

import (
	"context"
	"fmt"
	"testing"

	"mpush/core/record"
)

// hook is a configured receiver in a group.
func (d *desk) hook(name, group string) *desk {
	d.t.Helper()
	return d.do(&Declare{Link: socketLink, Request: d.request(), Routes: []RouteSpec{{Receiver: name, Group: group, Policy: sockPolicy()}}}).forget()
}

// Who has a token may register for any name, but a receiver of the operator's
// stays in the group that the operator has put it in.
func TestClientCanNotMoveAConfiguredReceiverToAnotherGroup(t *testing.T) {
	d := newDesk(t, Config{}).hook("hook", "operators")
	d.do(&Register{Link: pushLink, Request: d.request(), Route: RouteSpec{Receiver: "hook", Group: "other"}}).forget()
	d.sendGroup("other", "a", 0).got("told ")
	d.sendGroup("operators", "b", 0).got("deliver hook b gen1 try0", "deliver hook b gen2 try0", "told hook=push-wait")
	d.hook("hook", "others").sendGroup("operators", "c", 0).got("told ")
}

func TestConfiguredNameGivesNoSessionToAnybodyElse(t *testing.T) {
	d := newDesk(t, Config{}).hook("hook", "")
	d.do(&Enter{Link: pushLink, Request: d.request(), Name: "hook"}).got(fmt.Sprintf("refused %d", NameInUse))
	d.do(&Enter{Link: pushLink, Request: d.request(), Name: "ann"}).got("attached ann gen0")
	d.attach("ann").forget()
	d.do(&Enter{Link: pushLink, Request: d.request(), Name: "ann"}).got("attached ann gen0")
}

// A push that hangs, or is about to be tried again, has arrived when its receiver
// says so.
func TestConfirmedPushIsNotMadeAgain(t *testing.T) {
	confirm := func(d *desk) *desk {
		return d.do(&Confirm{Link: pushLink, Request: d.request(), Receiver: "ann", MID: 1_000_000, HandoffOnly: true})
	}
	d := newDesk(t, Config{}).register("ann").forget()
	d.send("ann", "a", 60_000).send("ann", "b", 0).got("deliver ann a gen1 try0", "told ann=ready")
	confirm(d).got("done", "recall ann 1000000", "deliver ann b gen1 try0", "told ann=push-ok-comfirm")
	item, _, _ := d.mem.Find(context.Background(), "ann", 1_000_000)
	if item.State != record.HandedOff {
		t.Errorf("the item is %+v", item.Item)
	}

	d = newDesk(t, Config{}).register("ann").forget()
	d.send("ann", "a", 60_000).forget()
	d.outcome(pushLink, "ann", Retry, 0).got()
	confirm(d).got("done", "told ann=push-ok-comfirm")
	d.wait(600_000).got()
}

func TestFailedSweepIsMadeAgain(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").register("ann").send("ann", "a", 0).forget()
	failing := errorOnce(d)
	d.outcome(socketLink, "ann", Rejected, 0)
	d.outcome(pushLink, "ann", Gone, 0)
	if !*failing {
		t.Fatal("nothing was swept")
	}
	item, _, _ := d.mem.Find(context.Background(), "ann", 1_000_000)
	if item.State != record.Open {
		t.Fatalf("ended without having been looked at: %+v", item.Item)
	}
	d.wait(loadRetry)
	if item, _, _ := d.mem.Find(context.Background(), "ann", 1_000_000); item.State != record.Dead {
		t.Errorf("the item is %+v", item.Item)
	}
}

// errorOnce has the next Load fail. What it returns says whether there was one.
func errorOnce(d *desk) *bool {
	failed := new(bool)
	d.mem.Fail = func(op string) error {
		if op != "next" || *failed {
			return nil
		}
		*failed = true
		return context.DeadlineExceeded
	}
	return failed
}
