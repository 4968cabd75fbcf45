package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// gatedStore is a store whose commits a test may hold, fail and count.
type gatedStore struct {
	*store.Memory
	mu      sync.Mutex
	gate    chan struct{} // nil: open
	fail    error
	commits [][]record.Op
}

func (g *gatedStore) Commit(ctx context.Context, ops []record.Op) error {
	g.mu.Lock()
	gate, fail := g.gate, g.fail
	g.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if fail != nil {
		return fail
	}
	g.mu.Lock()
	g.commits = append(g.commits, slices.Clone(ops))
	g.mu.Unlock()
	return g.Memory.Commit(ctx, ops)
}

func (g *gatedStore) set(gate chan struct{}, fail error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate, g.fail = gate, fail
}

func (g *gatedStore) written() [][]record.Op {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.commits)
}

func (g *gatedStore) count() int { return len(g.written()) }

// collector is a sink that keeps what it gets.
type collector struct {
	mu      sync.Mutex
	effects []engine.Effect
}

func (c *collector) Send(effects []engine.Effect) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.effects = append(c.effects, effects...)
}

func (c *collector) take() []engine.Effect {
	c.mu.Lock()
	defer c.mu.Unlock()
	effects := c.effects
	c.effects = nil
	return effects
}

// bed is a relay in a synctest bubble with one link.
type bed struct {
	t     *testing.T
	store *gatedStore
	relay *Relay
	sink  *collector
	link  engine.LinkID
	stop  func() error
	last  uint64
}

func newBed(t *testing.T) *bed {
	b := &bed{t: t, store: &gatedStore{Memory: store.NewMemory()}, sink: &collector{}}
	registry, err := b.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.relay = New(engine.New(engine.Config{}, registry, nil), b.store, time.Now, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.relay.Run(ctx) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { b.stop() })
	if b.link, err = b.relay.Open(t.Context(), "sock", 0, b.sink); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) submit(events ...engine.Event) {
	b.t.Helper()
	if err := b.relay.Submit(b.t.Context(), events...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) request() engine.RequestID { b.last++; return engine.RequestID{Number: b.last} }

func (b *bed) attach(name string) uint64 {
	b.t.Helper()
	b.submit(&engine.Attach{Link: b.link, Request: b.request(), Name: name, Policy: record.Policy{Exclusive: true, Acks: true, Resend: 3000}})
	synctest.Wait()
	for _, effect := range b.sink.take() {
		if a, ok := effect.(*engine.Answer); ok {
			if attached, ok := a.Body.(engine.Attached); ok {
				return attached.Generation
			}
		}
	}
	b.t.Fatal("not attached")
	return 0
}

func (b *bed) send(target string) {
	b.t.Helper()
	b.submit(&engine.Publish{Link: b.link, Request: b.request(), SendType: message.Personal, Target: target, Text: "x", Wait: 1000})
}

// delivery returns the only delivery among the effects that came.
func (b *bed) delivery() *engine.Deliver {
	b.t.Helper()
	for _, effect := range b.sink.take() {
		if d, ok := effect.(*engine.Deliver); ok {
			return d
		}
	}
	b.t.Fatal("nothing was delivered")
	return nil
}

// On a disk that stays full, what is to be written once there is room does not grow
// with all that happens meanwhile.
func TestFullDiskGathersNoMoreThanTheLastWordOnEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		generation := b.attach("ann")
		b.store.set(nil, store.ErrFull)
		for range 100 {
			later(2 * time.Minute)
			b.submit(&engine.Detach{Link: b.link, Receiver: "ann", Generation: generation})
			later(time.Second)
			generation = b.attach("ann")
		}
		last := time.Now().Add(-time.Second).UnixMilli()
		before := b.store.count()
		b.store.set(nil, nil)
		later(2 * fullRetry)
		if written := slices.Concat(b.store.written()[before:]...); len(written) != 1 {
			t.Errorf("%d writes waited for room", len(written))
		}
		registry, err := b.store.Load(t.Context())
		if err != nil || len(registry.Receivers) != 1 || registry.Receivers[0].SeenAt != last {
			t.Errorf("%+v, %v, want it seen at %d", registry.Receivers, err, last)
		}
		b.stop()
	})
}

func TestNothingIsToldOrDeliveredBeforeItIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		gate := make(chan struct{})
		b.store.set(gate, nil)
		b.send("ann")
		time.Sleep(time.Second)
		synctest.Wait()
		if effects := b.sink.take(); len(effects) != 0 {
			t.Fatalf("%T came before the commit", effects[0])
		}
		b.store.set(nil, nil)
		close(gate)
		synctest.Wait()
		if d := b.delivery(); d.Receiver != "ann" {
			t.Errorf("delivered %+v", d)
		}
		b.stop()
	})
}

func TestAckIsAnsweredAtOnceAndWrittenWithinFiveMilliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		generation := b.attach("ann")
		b.send("ann")
		synctest.Wait()
		d := b.delivery()
		before := b.store.count()
		b.submit(&engine.Outcome{Link: b.link, Receiver: "ann", Generation: generation, MID: d.Message.MID, Kind: engine.Acked})
		synctest.Wait()
		if effects := b.sink.take(); len(effects) != 1 {
			t.Fatalf("%d effects, want the answer alone", len(effects))
		}
		if b.store.count() != before {
			t.Error("the ack was written without waiting for company")
		}
		time.Sleep(lazyDelay)
		synctest.Wait()
		item, _, err := b.store.Find(t.Context(), "ann", d.Message.MID)
		if err != nil || item.State != record.Acked {
			t.Errorf("after %v the item is %+v, %v", lazyDelay, item.Item, err)
		}
		b.stop()
	})
}

func TestWhatWaitsForTheDiskIsOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		gate := make(chan struct{})
		b.store.set(gate, nil)
		b.send("ann")
		synctest.Wait()
		for range 50 {
			b.send("ann")
			synctest.Wait()
		}
		before := b.store.count()
		b.store.set(nil, nil)
		close(gate)
		synctest.Wait()
		if n := b.store.count() - before; n != 2 {
			t.Errorf("51 messages took %d transactions, want the first and one for the rest", n)
		}
		b.stop()
	})
}

func TestFullDiskRefusesSendsAndKeepsAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		generation := b.attach("ann")
		b.send("ann")
		synctest.Wait()
		d := b.delivery()
		b.store.set(nil, fmt.Errorf("write: %w", store.ErrFull))
		b.submit(&engine.Outcome{Link: b.link, Receiver: "ann", Generation: generation, MID: d.Message.MID, Kind: engine.Acked})
		b.send("ann")
		synctest.Wait()
		refused := false
		for _, effect := range b.sink.take() {
			if a, ok := effect.(*engine.Answer); ok {
				r, ok := a.Body.(*engine.Refusal)
				refused = refused || ok && r.Code == engine.Unavailable
			}
		}
		if !refused {
			t.Error("a send that could not be stored was not refused")
		}
		b.store.set(nil, nil)
		time.Sleep(fullRetry)
		synctest.Wait()
		if item, _, err := b.store.Find(t.Context(), "ann", d.Message.MID); err != nil || item.State != record.Acked {
			t.Errorf("the ack is lost: %+v, %v", item.Item, err)
		}
		b.send("ann")
		synctest.Wait()
		b.delivery()
		b.stop()
	})
}

func TestFatalFailureOfTheStoreEndsTheRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		b.store.set(nil, fmt.Errorf("fsync: %w", store.ErrFatal))
		b.send("ann")
		synctest.Wait()
		for _, effect := range b.sink.take() {
			t.Errorf("%T after the failure", effect)
		}
		if err := b.stop(); !errors.Is(err, store.ErrFatal) {
			t.Errorf("Run returned %v", err)
		}
		if err := b.relay.Submit(context.Background(), &engine.Stopping{}); err == nil {
			t.Error("events are taken after the end")
		}
	})
}

func TestEndCommitsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		generation := b.attach("ann")
		b.send("ann")
		synctest.Wait()
		d := b.delivery()
		b.submit(&engine.Outcome{Link: b.link, Receiver: "ann", Generation: generation, MID: d.Message.MID, Kind: engine.Acked})
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if item, _, err := b.store.Find(t.Context(), "ann", d.Message.MID); err != nil || item.State != record.Acked {
			t.Errorf("the item is %+v, %v", item.Item, err)
		}
	})
}

func TestTimersFireWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		b.send("ann")
		synctest.Wait()
		first := b.delivery()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if again := b.delivery(); again.Message.MID != first.Message.MID || again.Attempt != 1 {
			t.Errorf("sent again: %+v", again)
		}
		b.stop()
	})
}

func TestClosedLinkGetsNothingAndItsRoutesGoDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		b.relay.Close(b.link)
		other := &collector{}
		link, err := b.relay.Open(t.Context(), "in", 0, other)
		if err != nil {
			t.Fatal(err)
		}
		b.submit(&engine.Publish{Link: link, Request: b.request(), SendType: message.Personal, Target: "ann"})
		synctest.Wait()
		if effects := b.sink.take(); len(effects) != 0 {
			t.Errorf("%T to a closed link", effects[0])
		}
		answer := other.take()[0].(*engine.Answer).Body.(engine.Published)
		if s := answer.Statuses[0].Status; s.Rank != message.Ready {
			t.Errorf("status %v, want ready", s)
		}
		b.stop()
	})
}

type sinkFunc func([]engine.Effect)

func (f sinkFunc) Send(effects []engine.Effect) { f(effects) }

func TestStatsCountWhatAnAnswerTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		answers := 0
		link, err := b.relay.Open(t.Context(), "in", 0, sinkFunc(func([]engine.Effect) {
			answers++
			if got := b.relay.Stats().Accepted; got != 1 {
				t.Errorf("%d accepted when the answer comes", got)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		b.submit(&engine.Publish{Link: link, Request: b.request(), SendType: message.Personal, Target: "ann", Text: "x"})
		synctest.Wait()
		if answers != 1 {
			t.Errorf("%d answers", answers)
		}
	})
}

func TestStateIsReadAsOfWhatWasWrittenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		got := make(chan map[string][]byte, 1)
		written := make(chan error, 1)
		b.relay.PutState(&record.PutState{Channel: "sock", Key: "k", Value: []byte("v")}, func(err error) { written <- err })
		b.relay.State("sock", "", func(entries map[string][]byte, err error) { got <- entries })
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		if entries := <-got; string(entries["k"]) != "v" {
			t.Errorf("state %v", entries)
		}
		b.stop()
	})
}
