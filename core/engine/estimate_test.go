package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mpush/core/record"
)

// restart is what a process finds after a crash.
func (d *desk) restart(config Config) *desk {
	d.t.Helper()
	d.mem = d.mem.Reopen()
	d.boot(config)
	return d.forget()
}

// queue fills a receiver's queue with a message that stays and so many that do not.
func (d *desk) queue(name string, ended int) *desk {
	d.t.Helper()
	d.send(name, "stays", 0)
	for range ended {
		d.sendWithTTL(name, "ends", 1000)
	}
	d.now += 1000
	return d.overdue()
}

func (d *desk) queued(name string) (items, bytes int64) {
	d.t.Helper()
	seen := answerOf[Visited](d, &Visit{Link: socketLink, Request: d.request(), Names: []string{name}})
	return seen.Receivers[0].Queued, seen.Receivers[0].Bytes
}

// isCounted checks that what is told of a queue is what is on disk.
func (d *desk) isCounted(name string) {
	d.t.Helper()
	items, bytes := d.queued(name)
	open, _, err := d.mem.Next(context.Background(), name, 0, 1<<20, 1<<40)
	if err != nil {
		d.t.Fatal(err)
	}
	var size int64
	for _, it := range open {
		size += int64(it.Message.Size())
	}
	if items != int64(len(open)) || bytes != size {
		d.t.Errorf("%s has %d messages of %d bytes, %d of %d are told", name, len(open), size, items, bytes)
	}
}

func TestQueueIsNotFullOfWhatHasEndedAfterARestart(t *testing.T) {
	for name, config := range map[string]Config{"length": {QueueLength: 3}, "bytes": {QueueBytes: 40}} {
		d := newDesk(t, Config{})
		d.detached("ann").detached("bob").queue("ann", 2).send("bob", "a", 0).send("bob", "b", 0).send("bob", "cccccccccccccccccccccccccc", 0)
		d.restart(config)
		d.send("ann", "d", 0).send("bob", "d", 0).got("told ann=ready", "told bob=full")
		d.isCounted("ann")
		d.isCounted("bob")
		if len(d.e.counter.line) > 0 || d.e.counter.busy {
			t.Errorf("%s: something is still to be counted", name)
		}
	}
}

// Also of one whose estimate is far from its limits, for a large message.
func TestLargeMessageIsNotTooMuchForWhatHasEndedBeforeARestart(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").queue("ann", 3).restart(Config{QueueBytes: 100})
	if _, bytes := d.queued("ann"); 2*bytes >= 100 || bytes+67 <= 100 {
		t.Fatalf("%d bytes are estimated", bytes)
	}
	large := strings.Repeat("x", 60)
	d.send("ann", large, 0).forget().isCounted("ann")
	d.send("ann", large, 0).got("told ann=ready")
}

func TestLetterIsReplayedIntoAQueueThatOnlySeemedFull(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").queue("ann", 2).restart(Config{QueueLength: 2})
	d.replay("ann", firstMID+1).got("done").replay("ann", firstMID+2).got(fmt.Sprintf("refused %d", Limit))
}

// One that is far from its limits is not read, until it comes near them.
func TestQueueIsCountedBeforeItsLimitMatters(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").queue("ann", 2).restart(Config{QueueLength: 10})
	if items, _ := d.queued("ann"); items != 3 {
		t.Fatalf("%d are told", items)
	}
	for range 3 {
		d.send("ann", "x", 0)
	}
	d.isCounted("ann")
	for range 7 {
		d.send("ann", "x", 0)
	}
	if got := d.lines[len(d.lines)-2:]; !slices.Equal(got, []string{"told ann=ready", "told ann=full"}) {
		t.Errorf("the tenth and the eleventh: %q", got)
	}
}

func TestQueueIsCountedWhenARouteThatCanNotAckIsAtItsEnd(t *testing.T) {
	d := newDesk(t, Config{})
	d.register("ann").queue("ann", 2).restart(Config{})
	d.outcome(pushLink, "ann", HandedOff, 0)
	d.isCounted("ann")
}

func TestQueueIsCountedWhenWhatWasInItExpires(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").sendWithTTL("ann", "x", 5000).queue("ann", 2)
	d.restart(Config{})
	d.now += 5000
	d.overdue().isCounted("ann")
}

// Long queues are counted a step at a time, all in turn, and what happens meanwhile
// is in the count.
func TestQueuesAreCountedInStepsBesideTheTraffic(t *testing.T) {
	const long = 5*sweepItems + 10
	config := Config{QueueLength: long}
	d := newDesk(t, Config{})
	d.attach("ann").detached("bob").detached("cid")
	for range long {
		d.send("bob", "x", 0)
	}
	d.queue("ann", 2).queue("cid", long)
	d.mem = d.mem.Reopen()
	registry, err := d.mem.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	d.e, d.slow = New(config, registry, nil), true
	d.do(&LinkUp{Link: socketLink, Channel: "sock"}, &LinkReady{Link: socketLink})
	step := func() (receiver string) {
		t.Helper()
		d.slow = true
		read := d.read
		if d.read = nil; len(read) != 1 {
			t.Fatalf("%d reads at once", len(read))
		}
		receiver = d.e.pending[read[0].Token].(*pendingCount).receiver.name
		d.do(read[0])
		return receiver
	}
	if first, second := step(), step(); first != "bob" || second != "cid" {
		t.Errorf("%s and %s were looked at first", first, second)
	}
	d.isCounted("cid")
	d.forget().send("cid", "y", 0).send("bob", "y", 0).got("told cid=ready", "told bob=full")
	// Of what is counted, being read and still to come one ends each.
	bob := d.e.receivers["bob"]
	for _, place := range []record.Seq{3, bob.estimate.place + 3, long - 3} {
		end := func(it record.Queued) {
			d.e.end(&item{Item: it.Item, message: it.Message, receiver: bob}, record.Dead, "", nil, true)
		}
		items, _, err := d.mem.Next(context.Background(), "bob", place-1, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		d.e.begin(d.now)
		end(items[0])
		d.take(d.e.finish())
	}
	for bob.estimate != nil {
		step()
	}
	d.isCounted("bob")
	d.forget().send("bob", "y", 0).got("told bob=ready")
	if len(d.read) > 0 {
		t.Error("it is read once more")
	}
}

func TestCountGoesOnAfterAFailedRead(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").queue("ann", 2)
	d.mem = d.mem.Reopen()
	registry, err := d.mem.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	d.e, d.slow = New(Config{QueueLength: 3}, registry, nil), true
	d.do(&LinkUp{Link: socketLink, Channel: "sock"})
	d.read[0] = &Loaded{Token: d.read[0].Token, Err: errors.New("unreadable")}
	d.arrive().wait(loadRetry).isCounted("ann")
}

func TestCountOfAReceiverThatIsForgottenHoldsUpNobody(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").detached("bob").queue("ann", 2).queue("bob", 2)
	d.mem = d.mem.Reopen()
	registry, err := d.mem.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	d.e, d.slow = New(Config{QueueLength: 3}, registry, nil), true
	d.do(&LinkUp{Link: socketLink, Channel: "sock"}, &Unregister{Link: socketLink, Receiver: "ann"})
	d.arrive().isCounted("bob")
}

// What is done with when its last way goes is looked for on disk, and a crash may
// come before that.
func TestWhatNoWayCarriesAnyFurtherEndsAfterACrash(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").register("ann").send("ann", "a", 0)
	d.outcome(socketLink, "ann", Rejected, 0)
	d.slow = true
	d.outcome(pushLink, "ann", Gone, 0).is("ann", firstMID, record.Open, "")
	d.slow, d.read = false, nil
	d.restart(Config{}).is("ann", firstMID, record.Dead, "rejected").isCounted("ann")
}

// undertaker counts who dies.
type undertaker struct {
	nobody
	dead map[string]int64
}

func (u undertaker) Died(reason string, items int64) { u.dead[reason] += items }

func TestDeadLettersOfAForgottenReceiverAreThoseThatWereOpen(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").queue("ann", 2).restart(Config{})
	u := undertaker{dead: make(map[string]int64)}
	d.e.Observe(u)
	d.do(&Unregister{Link: socketLink, Receiver: "ann"})
	if n := u.dead[diedForgotten]; n != 1 {
		t.Errorf("%d letters are told of, one was open", n)
	}
}
