// Package relay runs the engine: one loop takes events in batches, steps the
// engine, hands its effects to the links, and one committer carries its writes
// to the store, all that waits in one transaction. It owns the two goroutines
// and the order between them, and decides nothing about messages.
//
// A message's sender is answered, and a message is delivered, only after the
// committer reported the write: the engine waits for that event. Acks ride
// along with the next commit, at most 5 ms later.
package relay

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mpush/core/engine"
	"mpush/core/record"
	"mpush/core/store"
)

// Sink takes effects out to one link, in order. Send must not block.
type Sink interface {
	Send(effects []engine.Effect)
}

// Relay is the loop. Its methods may be called from any goroutine.
type Relay struct {
	engine *engine.Engine
	store  store.Store
	now    func() time.Time
	log    *slog.Logger

	inbox     chan batch
	committer committer

	mu       sync.Mutex
	sinks    map[engine.LinkID]*outlet
	lastLink engine.LinkID
	stats    engine.Stats

	dirty []*outlet // outlets with effects of this round
	done  chan struct{}
}

// outlet collects a round's effects for one link.
type outlet struct {
	sink    Sink
	effects []engine.Effect
}

// batch is events that one link has submitted at once.
type batch struct {
	events []engine.Event
	done   func() // called when they were dealt with; or nil
}

// maxBatches bounds the events that wait for the loop: submitters block, and so
// slow the plugins that they read from.
const maxBatches = 128

// New prepares a relay. now is the wall clock.
func New(e *engine.Engine, s store.Store, now func() time.Time, log *slog.Logger) *Relay {
	r := &Relay{
		engine: e, store: s, now: now, log: log,
		inbox: make(chan batch, maxBatches),
		sinks: make(map[engine.LinkID]*outlet),
		done:  make(chan struct{}),
	}
	r.committer.init(s, log)
	return r
}

// Open makes a link for a channel's stream and tells the engine. inFlight is how
// many messages the channel may hold at once, 0 for any number. Close it.
func (r *Relay) Open(ctx context.Context, channel string, inFlight int, sink Sink) (engine.LinkID, error) {
	r.mu.Lock()
	r.lastLink++
	id := r.lastLink
	r.sinks[id] = &outlet{sink: sink}
	r.mu.Unlock()
	err := r.Submit(ctx, &engine.LinkUp{Link: id, Channel: channel, InFlight: inFlight})
	if err != nil {
		r.mu.Lock()
		delete(r.sinks, id)
		r.mu.Unlock()
	}
	return id, err
}

// Close ends a link: nothing is sent to its sink any more.
func (r *Relay) Close(id engine.LinkID) {
	r.mu.Lock()
	delete(r.sinks, id)
	r.mu.Unlock()
	// The engine must learn of it even if the caller's context has ended.
	_ = r.Submit(context.Background(), &engine.LinkDown{Link: id})
}

// Submit hands events to the loop, in order; it blocks while too many wait. The
// relay keeps the slice.
func (r *Relay) Submit(ctx context.Context, events ...engine.Event) error {
	return r.SubmitThen(ctx, nil, events...)
}

// SubmitThen is Submit, and calls done, which must not block, when the events
// and what was given to the disk by then were dealt with, but for queues and traces
// that are read when their turn comes; never if the relay ends before.
// Who waits for that between floods of events delays nobody else by them.
func (r *Relay) SubmitThen(ctx context.Context, done func(), events ...engine.Event) error {
	select {
	case <-r.done:
		return errStopped
	default:
	}
	select {
	case r.inbox <- batch{events, done}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return errStopped
	}
}

// Probe returns when the relay has dealt with what was submitted before, and the
// disk with what it was given by then. It gives nothing to the disk itself.
func (r *Relay) Probe(ctx context.Context) error {
	done := make(chan struct{})
	if err := r.SubmitThen(ctx, func() { close(done) }, &engine.Ping{}); err != nil {
		return err
	}
	select {
	case <-done:
		return r.committer.failure()
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return errStopped
	}
}

// PutState writes an entry of a channel's state and calls done when it is on
// disk, or not. done must not block. The call itself waits while the disk does
// not keep up.
func (r *Relay) PutState(op *record.PutState, done func(error)) {
	r.committer.waitForRoom(r.done)
	r.committer.add(job{ops: []record.Op{op}, urgent: true, written: done})
}

// State reads a channel's state as of everything written before, and calls
// done. done must not block. The call itself waits as PutState does.
func (r *Relay) State(channel, prefix string, done func(map[string][]byte, error)) {
	r.committer.waitForRoom(r.done)
	r.committer.add(job{urgent: true, read: func(ctx context.Context) {
		done(r.store.State(ctx, channel, prefix))
	}})
}

// Stats returns the engine's counters as of the last round. They count what has
// been answered or delivered.
func (r *Relay) Stats() engine.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Run is the loop. It returns when ctx ends, after a last commit, or with the
// store's error when that can not be trusted any more.
func (r *Relay) Run(ctx context.Context) error {
	var committing sync.WaitGroup
	commitContext, stopCommitting := context.WithCancel(context.WithoutCancel(ctx))
	committing.Go(func() { r.committer.run(commitContext) })
	committing.Go(func() { r.committer.trace(commitContext) })
	err := r.loop(ctx)
	close(r.done)
	stopCommitting()
	committing.Wait()
	if err == nil {
		err = r.committer.failure()
	}
	return err
}

func (r *Relay) loop(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var alarm <-chan time.Time
		if at, ok := r.engine.NextTimer(); ok {
			timer.Reset(max(0, time.Duration(at-r.now().UnixMilli())*time.Millisecond))
			alarm = timer.C
		}
		inbox := r.inbox
		if r.committer.behind() {
			inbox = nil // until the next commit
		}
		select {
		case b := <-inbox:
			r.take(b)
			r.drain()
		case <-r.committer.results:
		case <-alarm:
		case <-r.committer.fatal:
			return r.committer.failure()
		case <-ctx.Done():
			r.drain()
			r.flush()
			return nil
		}
		r.step(r.committer.takeEvents())
		r.collect(r.engine.Advance(r.now().UnixMilli()))
		r.flush()
	}
}

// drain takes what waits, but not what comes meanwhile: answers must not starve
// under load.
func (r *Relay) drain() {
	for range len(r.inbox) {
		if r.committer.behind() {
			return
		}
		select {
		case b := <-r.inbox:
			r.take(b)
		default:
			return
		}
	}
}

func (r *Relay) take(b batch) {
	r.step(b.events)
	if b.done != nil {
		// Also what gives nothing to the disk may wait for what does.
		r.committer.stage(job{done: b.done})
	}
}

func (r *Relay) step(events []engine.Event) {
	if len(events) == 0 {
		return
	}
	now := r.now().UnixMilli()
	for _, event := range events {
		r.collect(r.engine.Step(now, event))
	}
}

// collect sorts effects: writes and reads to the committer, the rest to the
// outlets.
func (r *Relay) collect(effects []engine.Effect) {
	for _, effect := range effects {
		switch ef := effect.(type) {
		case *engine.Write:
			r.committer.stage(job{ops: ef.Ops, token: ef.Token, urgent: ef.Token != 0})
		case *engine.Load:
			r.committer.stage(job{urgent: true, load: ef})
		case *engine.Find:
			r.committer.stage(job{urgent: true, find: ef})
		case *engine.Trace:
			r.committer.stage(job{urgent: true, trace: ef})
		case *engine.LookUp:
			r.committer.stage(job{urgent: true, lookUp: ef})
		case *engine.Deliver:
			r.toward(ef.Link, ef)
		case *engine.Answer:
			r.toward(ef.Link, ef)
		case *engine.Recall:
			r.toward(ef.Link, ef)
		case *engine.Evict:
			r.toward(ef.Link, ef)
		case *engine.Misdeed:
			r.toward(ef.Link, ef)
		}
	}
}

func (r *Relay) toward(link engine.LinkID, effect engine.Effect) {
	r.mu.Lock()
	out := r.sinks[link]
	r.mu.Unlock()
	if out == nil {
		return
	}
	if len(out.effects) == 0 {
		r.dirty = append(r.dirty, out)
	}
	out.effects = append(out.effects, effect)
}

// flush lets a round's effects out.
func (r *Relay) flush() {
	stats := r.engine.Stats()
	r.mu.Lock()
	r.stats = stats // first: who has got an answer finds it counted
	r.mu.Unlock()
	r.committer.release()
	for _, out := range r.dirty {
		out.sink.Send(out.effects)
		clear(out.effects)
		out.effects = out.effects[:0]
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
}
