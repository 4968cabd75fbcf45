package relay

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// slowReads is a store whose reads take their time.
type slowReads struct {
	*gatedStore
	queue time.Duration // of a Next
	trace time.Duration
	read  atomic.Int64 // queues
}

func (s *slowReads) Next(ctx context.Context, receiver string, after record.Seq, n, maxBytes int) ([]record.Queued, bool, error) {
	time.Sleep(s.queue)
	s.read.Add(1)
	return s.Memory.Next(ctx, receiver, after, n, maxBytes)
}

func (s *slowReads) Trace(ctx context.Context, mid message.MID) (*message.Message, []record.Item, error) {
	m, items, err := s.Memory.Trace(ctx, mid)
	select {
	case <-time.After(s.trace):
		return m, items, err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// slow puts slow reads in the place of a bed's.
func (b *bed) slow(queue, trace time.Duration) *slowReads {
	s := &slowReads{gatedStore: b.store, queue: queue, trace: trace}
	b.relay.committer.store = s
	return s
}

func TestManyQueuesThatAreReadHoldNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		s := b.slow(time.Millisecond, 0)
		generation := b.attach("ann")
		c := &b.relay.committer
		const loads = 10_000
		for range loads { // as a channel with many receivers asks for them when it comes
			c.add(job{urgent: true, load: &engine.Load{Receiver: "bob", N: 1}})
		}
		for range 3 {
			time.Sleep(time.Millisecond)
			b.send("ann")
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			d := b.delivery()
			b.submit(&engine.Outcome{Link: b.link, Receiver: "ann", Generation: generation, MID: d.Message.MID, Kind: engine.Acked})
		}
		if err := b.relay.Probe(t.Context()); err != nil || s.read.Load() == loads {
			t.Errorf("all queues were read before others had their turn, %v", err)
		}
		later(loads * time.Millisecond)
		if n := s.read.Load(); n != loads || c.bytes != 0 {
			t.Errorf("%d queues were read, %d bytes still count", n, c.bytes)
		}
		b.stop()
	})
}

func TestStatusThatTakesLongHoldsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.slow(0, time.Minute)
		generation := b.attach("ann")
		b.send("ann")
		synctest.Wait()
		mid := b.delivery().Message.MID
		b.submit(&engine.Status{Link: b.link, Request: b.request(), Any: true, MID: mid})
		synctest.Wait()
		// It has been read by now: what comes after that is laid over it.
		b.submit(&engine.Outcome{Link: b.link, Receiver: "ann", Generation: generation, MID: mid, Kind: engine.Acked})
		b.send("ann")
		later(time.Second)
		b.delivery()
		later(time.Minute)
		var told []engine.AnswerBody
		for _, effect := range b.sink.take() {
			if a, ok := effect.(*engine.Answer); ok && a.Request.Number == 3 {
				told = append(told, a.Body)
			}
		}
		if len(told) != 1 || told[0].(engine.Published).Statuses[0].Status.Rank != message.OK {
			t.Errorf("told %+v", told)
		}
		// The end does not wait for it.
		b.submit(&engine.Status{Link: b.link, Request: b.request(), Any: true, MID: mid})
		synctest.Wait()
		began := time.Now()
		b.stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestStatusSeesWhatWasAnsweredBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.slow(time.Millisecond, time.Millisecond)
		b.attach("ann")
		for range 20 {
			b.submit(&engine.Publish{Link: b.link, Request: b.request(), SendType: message.Personal, Target: "ann", Text: "x"})
			sent := b.told()
			b.submit(&engine.Status{Link: b.link, Request: b.request(), Any: true, MID: sent.MID})
			if told := b.told(); told.MID != sent.MID || len(told.Statuses) != 1 {
				t.Fatalf("sent %d, told %+v", sent.MID, told)
			}
		}
		b.stop()
	})
}

// told waits for the only answer.
func (b *bed) told() engine.Published {
	b.t.Helper()
	later(100 * time.Millisecond)
	for _, effect := range b.sink.take() {
		if a, ok := effect.(*engine.Answer); ok && a.Request.Number == b.last {
			published, ok := a.Body.(engine.Published)
			if !ok {
				b.t.Fatalf("answered %+v", a.Body)
			}
			return published
		}
	}
	b.t.Fatal("no answer")
	return engine.Published{}
}

// While nothing can be written, each route that wants more of its queue asks again
// every second: the disk is complained of once, for all of them.
func TestReadsThatWaitForTheDiskAreNotLoggedOneByOne(t *testing.T) {
	var said bytes.Buffer
	var c committer
	c.init(store.NewMemory(), slog.New(slog.NewTextHandler(&said, nil)))
	c.loads = []*engine.Load{{Token: 1, Receiver: "ann", N: 1}, {Token: 2, Receiver: "bob", N: 1}}
	events := c.load(t.Context(), store.ErrFull)
	if len(events) != 2 || said.Len() != 0 {
		t.Errorf("%d are answered, and the log is\n%s", len(events), said.String())
	}
}
