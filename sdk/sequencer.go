package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"mpush/sdk/pluginpb"
)

// sequencer keeps one message in flight per receiver. The core leases several
// ahead (Policy.Prefetch); the sequencer hands out the head of each route's
// leases and goes on to the next as soon as the head has its outcome, without
// asking the core.
//
// All of its methods may be called from any goroutine. The lock is never held
// while the plugin's code runs.
type sequencer struct {
	// One of these is set, or none: then the plugin takes no messages.
	egress     Egress
	dispatcher Dispatcher
	batches    *batches
	send       func(*pluginpb.PluginEnvelope)
	log        *slog.Logger
	ctx        context.Context // of Deliver and DeliverBatch calls

	mu       sync.Mutex
	routes   map[string]*route
	detached detachments
	stopping bool
	running  sync.WaitGroup // Deliver and DeliverBatch calls
}

func newSequencer(ctx context.Context, plugin Plugin, log *slog.Logger, send func(*pluginpb.PluginEnvelope)) *sequencer {
	s := &sequencer{send: send, log: log, ctx: ctx, routes: map[string]*route{}}
	switch p := plugin.(type) {
	case Dispatcher:
		s.dispatcher = p
	case BatchEgress:
		s.batches = &batches{egress: p}
	case Egress:
		s.egress = p
	}
	return s
}

// deliver takes the core's leases on.
func (s *sequencer) deliver(d *pluginpb.Deliver) {
	message := newMessage(d.GetMessage())
	for _, r := range d.GetRoutes() {
		if s.dispatcher == nil && s.egress == nil && s.batches == nil {
			s.send(newOutcome(r.GetReceiver(), r.GetGeneration(), message.MID,
				outcomeOf(Permanent(errors.New("the plugin takes no messages"))), false))
			continue
		}
		s.offer(Delivery{
			Message:    message,
			Receiver:   r.GetReceiver(),
			Address:    r.GetAddress(),
			Generation: r.GetGeneration(),
			Attempt:    int(r.GetAttempt()),
			Interval:   time.Duration(r.GetIntervalMs()) * time.Millisecond,
		})
	}
}

func (s *sequencer) offer(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.routes[d.Receiver]
	switch {
	case s.detached.covers(d.Receiver, d.Generation), r != nil && d.Generation < r.generation:
		return // stale
	case r == nil:
		r = &route{receiver: d.Receiver, generation: d.Generation}
		s.routes[d.Receiver] = r
	case d.Generation > r.generation:
		r.begin(d.Generation)
	}
	mid := d.Message.MID
	if d.Attempt == 0 {
		// No resend: what became of it here did not count any more, or it was
		// replayed.
		r.acked.remove(mid)
		r.handed.remove(mid)
	}
	found := r.queue.find(mid)
	switch {
	case r.acked.has(mid):
		s.repeat(r, mid, nil)
	case r.handed.has(mid):
		s.repeat(r, mid, HandedOff)
	case found == nil && r.restarting:
		r.resume(s.newLease(r, d))
	case found == nil:
		r.queue.push(s.newLease(r, d))
	case d.Attempt == 0: // leased anew, but it was never given up here
	case found != r.queue.head:
		// Sent once more, it is the head for the core: what stands before it
		// here has ended there.
		r.skipTo(found)
	case s.dispatcher != nil && found.dispatched:
		again := d
		again.lease = found
		found.again = &again
	default: // its call still runs, or begins in a moment
	}
	s.drive(r)
}

func (s *sequencer) newLease(r *route, d Delivery) *lease {
	l := &lease{delivery: d, seq: s, route: r}
	l.delivery.lease = l
	return l
}

// drive hands out what is due on r. A Deliver runs in a goroutine, of which
// there is one per route at most; a Dispatch runs right here; for a DeliverBatch
// the route gets in line. Entered and left with the lock held.
func (s *sequencer) drive(r *route) {
	if r.busy {
		return // whoever hands out on this route goes on with what is due
	}
	if s.due(r) == nil {
		s.tidy(r)
		return
	}
	r.busy = true
	switch {
	case s.dispatcher != nil:
		s.run(r)
	case s.batches != nil:
		s.batches.ready = append(s.batches.ready, r)
		s.beginBatches()
	default:
		s.running.Go(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.run(r)
		})
	}
}

func (s *sequencer) run(r *route) {
	for l := s.due(r); l != nil; l = s.due(r) {
		d := &l.delivery
		if l.again != nil {
			d, l.again = l.again, nil
		}
		l.dispatched = true
		if s.dispatcher != nil {
			s.mu.Unlock()
			s.dispatch(d)
			s.mu.Lock()
			continue
		}
		ctx, cancel := context.WithCancel(s.ctx)
		r.cancel = cancel
		s.mu.Unlock()
		err := s.call(ctx, d)
		cancel()
		if !s.cutOff(err) {
			d.Done(err)
		}
		s.mu.Lock()
		r.cancel = nil
	}
	r.busy = false
	s.tidy(r)
}

// cutOff tells whether the plugin's end made a call fail: that says nothing about
// the message, which the core leases again.
func (s *sequencer) cutOff(err error) bool {
	return s.ctx.Err() != nil && err != nil && !errors.Is(err, HandedOff)
}

// due is the lease to hand out now, nil for none.
func (s *sequencer) due(r *route) *lease {
	l := r.queue.head
	if s.stopping || l == nil || l.dispatched && l.again == nil {
		return nil
	}
	return l
}

func (s *sequencer) dispatch(d *Delivery) {
	defer s.recovered(d, func(err error) { d.Done(err) })
	s.dispatcher.Dispatch(d)
}

func (s *sequencer) call(ctx context.Context, d *Delivery) (err error) {
	defer s.recovered(d, func(failure error) { err = failure })
	return s.egress.Deliver(ctx, d)
}

func (s *sequencer) recovered(d *Delivery, fail func(error)) {
	if v := recover(); v != nil {
		s.log.Error("delivery panicked", "receiver", d.Receiver, "mid", d.Message.MID, "err", v, "stack", string(debug.Stack()))
		fail(Retry(fmt.Errorf("panic: %v", v)))
	}
}

// finish settles a lease and hands out the next. Only the first call does
// anything.
func (s *sequencer) finish(l *lease, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := l.route
	acked := o.kind == pluginpb.OutcomeKind_OUTCOME_KIND_ACKED
	switch l.state {
	case settled, recalled:
		return
	case void:
		// What the receiver has, it has: the core takes acks of any generation.
		l.state = settled
		if acked {
			s.report(l, o, true)
		}
		return
	}
	r.queue.remove(l)
	l.state = settled
	if l.batch != nil {
		l.batch.end(l, false)
	}
	s.report(l, o, false)
	switch o.kind {
	case pluginpb.OutcomeKind_OUTCOME_KIND_ACKED:
		s.remember(&r.acked, l.delivery.Message.MID)
	case pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF:
		s.remember(&r.handed, l.delivery.Message.MID)
	case pluginpb.OutcomeKind_OUTCOME_KIND_RETRY:
		r.restart(l.delivery.Message.MID)
	case pluginpb.OutcomeKind_OUTCOME_KIND_GONE:
		r.end()
	}
	s.drive(r)
}

func (s *sequencer) report(l *lease, o outcome, late bool) {
	s.send(newOutcome(l.delivery.Receiver, l.delivery.Generation, l.delivery.Message.MID, o, late))
}

// repeat answers a resend of what has had its outcome. Mostly the two have crossed,
// and the core skips this. But it may have heard the first while the message was
// not in flight for it, and have skipped that.
func (s *sequencer) repeat(r *route, mid int64, err error) {
	s.send(newOutcome(r.receiver, r.generation, mid, outcomeOf(err), false))
}

// acked notes a receiver's own ack of the message in flight. It reports false
// for any other, which is for the core to judge.
func (s *sequencer) acked(receiver string, generation uint64, mid int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.routes[receiver]
	if r == nil || r.generation != generation {
		return false
	}
	l := r.queue.head
	if l == nil || !l.dispatched || l.delivery.Message.MID != mid {
		return false
	}
	r.queue.remove(l)
	s.remember(&r.acked, mid)
	l.state = settled
	s.report(l, outcome{kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED}, false)
	s.drive(r)
	return true
}

// remember notes how a message ended, in case the core resends it before it hears
// of that. Only a Dispatcher needs it: the others give an outcome to each delivery
// by themselves.
func (s *sequencer) remember(recent *recentMIDs, mid int64) {
	if s.dispatcher != nil {
		recent.add(mid)
	}
}

// recall drops one lease without an outcome.
func (s *sequencer) recall(receiver string, generation uint64, mid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.routes[receiver]
	if r == nil || r.generation != generation {
		return
	}
	l := r.queue.find(mid)
	switch {
	case r.restarting && mid == r.retried:
		// The core had not heard of the retry: its later leases stand.
		r.unpark()
	case l != nil:
		if l.dispatched && r.cancel != nil {
			r.cancel()
		}
		r.queue.remove(l)
	default:
		if l = r.parked.find(mid); l != nil {
			r.parked.remove(l)
		}
	}
	if l != nil {
		l.state = recalled
	}
	s.drive(r)
}

// tidy forgets a route that holds nothing.
func (s *sequencer) tidy(r *route) {
	if !r.attached && !r.busy && r.queue.head == nil && !r.restarting && r.acked.empty() && r.handed.empty() && s.routes[r.receiver] == r {
		delete(s.routes, r.receiver)
	}
}

// stop hands out nothing more. What is in flight may still have an outcome.
func (s *sequencer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
}

// wait returns when no Deliver or DeliverBatch call runs, or ctx has ended. It is for after
// stop.
func (s *sequencer) wait(ctx context.Context) {
	idle := make(chan struct{})
	go func() {
		s.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
