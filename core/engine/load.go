package engine

import (
	"mpush/core/message"
	"mpush/core/record"
)

// loadRetry is the pause after a read of the store failed.
const loadRetry = 1000

// pendingLoad is a window's Load under way.
type pendingLoad struct {
	route *route
	tail  record.Seq // the receiver's when it was asked for
}

func (e *Engine) requestLoad(rt *route) {
	r := rt.receiver
	rt.load = e.await(&pendingLoad{route: rt, tail: r.tail})
	r.reads++
	e.emit(&Load{
		Token: rt.load, Receiver: r.name, After: rt.next - 1,
		N: rt.windowItems() - len(rt.window), MaxBytes: maxWindowBytes - rt.bytes,
	})
}

// loaded takes what a Load brought. It may be older than what happened since.
func (e *Engine) loaded(ev *Loaded) {
	switch p := e.take(ev.Token).(type) {
	case *pendingLoad:
		e.readEnds(p.route.receiver, func() { e.refill(p, ev) })
	case *pendingCount:
		if p.receiver.gone {
			e.counter.busy = false
		}
		e.readEnds(p.receiver, func() { e.counted(p, ev) })
	case *pendingSweep:
		e.readEnds(p.receiver, func() { e.swept(p, ev) })
	}
}

// readEnds uses a read's answer while what was written meanwhile is still known.
func (e *Engine) readEnds(r *receiver, use func()) {
	if !r.gone {
		use()
	}
	r.reads--
	if r.reads == 0 {
		r.written = nil
	}
}

func (e *Engine) refill(p *pendingLoad, ev *Loaded) {
	rt := p.route
	stale := rt.stale
	rt.load, rt.stale = 0, false
	switch {
	case stale:
		e.touch(rt) // it may be up again, and wants one of its own
	case ev.Err == nil:
		e.fill(rt, p, ev)
	case rt.head == nil: // else the head's end asks again
		rt.paused = true
		e.timers.set(&rt.timer, e.clock+loadRetry)
	}
}

func (e *Engine) fill(rt *route, p *pendingLoad, ev *Loaded) {
	r := rt.receiver
	for _, queued := range ev.Items {
		if queued.Seq < rt.next {
			continue
		}
		if rec := r.newest(queued.Item); rec.State == record.Open {
			rt.appendTo(r.hold(rec, queued.Message))
		} else {
			rt.next = rec.Seq + 1
		}
	}
	if !ev.More {
		rt.next = max(rt.next, p.tail+1)
	}
	e.touch(rt)
}

// pendingSweep looks for open items whose time is over, or that no route carries
// any further.
type pendingSweep struct {
	receiver *receiver
	last     record.Seq // nothing after it is looked at; 0: all is
}

// sweepItems is how many items a sweep looks at in one step.
const sweepItems = 64

func (e *Engine) sweep(r *receiver, after record.Seq) { e.sweepUntil(r, after, 0) }

func (e *Engine) sweepUntil(r *receiver, after, last record.Seq) {
	r.reads++
	n := sweepItems
	if last > 0 {
		n = int(min(sweepItems, max(1, last-after)))
	}
	e.emit(&Load{
		Token: e.await(&pendingSweep{r, last}), Receiver: r.name, After: after,
		N: n, MaxBytes: maxWindowBytes,
	})
}

// sweepAgain is a sweep whose read failed, of all the queue this time.
type sweepAgain struct {
	receiver *receiver
	timer    timer
}

func (s *sweepAgain) fire(e *Engine) {
	s.receiver.again = nil
	if !s.receiver.gone {
		e.sweep(s.receiver, 0)
	}
}

// swept ends what is done with, and goes on while there may be more.
func (e *Engine) swept(p *pendingSweep, ev *Loaded) {
	r := p.receiver
	if ev.Err != nil {
		if r.again == nil {
			r.again = &sweepAgain{receiver: r}
			r.again.timer.owner = r.again
			e.timers.set(&r.again.timer, e.clock+loadRetry)
		}
		return
	}
	for _, queued := range ev.Items {
		e.review(r, &queued)
	}
	if r.estimate != nil && r.estimate.items <= sweepItems {
		e.recount(r) // that is one step
	}
	if n := len(ev.Items); n > 0 && ev.More {
		if place := ev.Items[n-1].Seq; p.last == 0 || place < p.last {
			e.sweepUntil(r, place, p.last)
		}
	}
}

// review ends an item that was read, if it is done with, and tells whether it is
// still open.
func (e *Engine) review(r *receiver, queued *record.Queued) (open bool) {
	rec := r.newest(queued.Item)
	if rec.State != record.Open {
		return false
	}
	it := r.bySeq(rec.Seq)
	if it == nil {
		it = &item{Item: rec, message: queued.Message, receiver: r}
	}
	switch {
	case it.expired(e.wall):
		e.expire(it)
	case r.alive() && (it.Status.Rank >= message.ChannelOK || !r.awaited(it)):
		e.endIfDone(it, nil)
	}
	return it.State == record.Open
}
