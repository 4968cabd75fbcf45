package sdk

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
)

const (
	// MaxBatch is the most deliveries that one call of DeliverBatch is given.
	MaxBatch = 100
	// MaxBatches is how many calls of DeliverBatch run at once, at most. While
	// they do, what becomes ready gathers for the next.
	MaxBatches = 4
)

// batches hands what is due on several routes to a BatchEgress together. It
// belongs to the sequencer's lock.
type batches struct {
	egress  BatchEgress
	ready   []*route // each busy, in the order in which they became due
	running int      // DeliverBatch calls
	held    int      // begin none: more is about to become ready
}

// batch is one DeliverBatch call.
type batch struct {
	ctx        context.Context
	cancel     context.CancelFunc
	routes     []*route
	deliveries []*Delivery
	open       int  // deliveries without an outcome that were not taken back
	cut        bool // one was taken back
}

// hold and release surround what the core has sent in one piece, so that it is
// handed over in one piece, too.
func (s *sequencer) hold() {
	if s.batches != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.batches.held++
	}
}

func (s *sequencer) release() {
	if s.batches != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.batches.held--
		s.beginBatches()
	}
}

// beginBatches begins as many calls as there is work and room for. Entered and
// left with the lock held.
func (s *sequencer) beginBatches() {
	for s.batches.held == 0 && s.batches.running < MaxBatches {
		b := s.gather()
		if b == nil {
			return
		}
		s.batches.running++
		s.running.Go(func() { s.runBatch(b) })
	}
}

// gather takes the next batch, nil if nothing is due.
func (s *sequencer) gather() *batch {
	b := &batch{}
	taken := 0
	for _, r := range s.batches.ready {
		if len(b.routes) == MaxBatch {
			break
		}
		taken++
		l := s.due(r)
		if l == nil { // taken back since, or the plugin stops
			r.busy = false
			s.tidy(r)
			continue
		}
		l.dispatched = true
		b.add(r, l)
	}
	s.batches.ready = slices.Delete(s.batches.ready, 0, taken)
	if len(b.routes) == 0 {
		return nil
	}
	b.ctx, b.cancel = context.WithCancel(s.ctx)
	return b
}

// add takes a delivery in. When nothing is open any more, and not for outcomes
// alone, the call is cut off; before that it goes on for the others.
func (b *batch) add(r *route, l *lease) {
	b.routes = append(b.routes, r)
	b.deliveries = append(b.deliveries, &l.delivery)
	b.open++
	l.batch = b
	r.cancel = func() { b.end(l, true) } // under the lock
}

// end notes that a delivery has its outcome or was taken back, whatever came
// first. Call with the sequencer's lock held.
func (b *batch) end(l *lease, cut bool) {
	if l.batch != b {
		return
	}
	l.batch = nil
	b.open--
	b.cut = b.cut || cut
	if b.cut && b.open == 0 {
		b.cancel()
	}
}

func (s *sequencer) runBatch(b *batch) {
	err := s.callBatch(b)
	b.cancel()
	if !s.cutOff(err) {
		for _, d := range b.deliveries {
			d.Done(err) // which most may have had already
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches.running--
	s.batches.held++
	for _, r := range b.routes {
		r.cancel, r.busy = nil, false
		s.drive(r)
	}
	s.batches.held--
	s.beginBatches()
}

func (s *sequencer) callBatch(b *batch) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("batch delivery panicked", "deliveries", len(b.deliveries), "err", v, "stack", string(debug.Stack()))
			err = Retry(fmt.Errorf("panic: %v", v))
		}
	}()
	// A slice of its own: what the plugin does with it is its affair.
	return s.batches.egress.DeliverBatch(b.ctx, slices.Clone(b.deliveries))
}
