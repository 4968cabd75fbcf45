package engine

import (
	"cmp"

	"mpush/core/message"
	"mpush/core/record"
)

const noLetter = "there is no such dead letter"

// replay checks that the letter can be queued, and has it moved on disk.
func (e *Engine) replay(ev *Replay) {
	r := e.receivers[ev.Receiver]
	switch {
	case e.stopping:
		e.refuse(ev.Link, ev.Request, Unavailable, "the server is stopping")
	case r == nil:
		e.refuse(ev.Link, ev.Request, NotFound, noLetter)
	default:
		r.reads++
		e.emit(&Find{Token: e.await(&pendingReplay{receiver: r, link: ev.Link, request: ev.Request}), Receiver: r.name, MID: ev.MID})
	}
}

// pendingReplay is a dead letter that was asked for, then one on its way to the
// end of the queue.
type pendingReplay struct {
	receiver *receiver
	link     LinkID
	request  RequestID
	message  *message.Message
	op       *record.Replay
}

func (e *Engine) replayFound(p *pendingReplay, ev *Found) {
	r, m := p.receiver, ev.Item.Message
	switch {
	case ev.Err != nil:
		e.refuse(p.link, p.request, Unavailable, "the message could not be read: "+ev.Err.Error())
	case m == nil || ev.Item.State != record.Dead || ev.Item.Reason == record.Dropped:
		e.refuse(p.link, p.request, NotFound, noLetter)
	case e.isFull(r, m.Size()):
		e.refuse(p.link, p.request, Limit, "limits.queueLength, limits.queueBytes: the receiver's queue is full")
	default:
		again := *m
		again.ExpiresAt = 0
		if e.config.TTL > 0 {
			again.ExpiresAt = e.wall + e.config.TTL
		}
		p.message = &again
		p.op = &record.Replay{Receiver: r.name, MID: m.MID, At: e.wall, ExpiresAt: again.ExpiresAt}
		r.count(1, int64(m.Size()))
		r.unwritten++
		e.write(p, p.op)
	}
}

// resume puts the letter into the queue.
func (p *pendingReplay) resume(e *Engine, err error) {
	r := p.receiver
	r.unwritten--
	if err != nil || p.op.Seq == 0 || r.gone {
		r.count(-1, -int64(p.message.Size()))
	}
	switch {
	case err != nil:
		e.refuse(p.link, p.request, Unavailable, "could not be stored: "+err.Error())
	case p.op.Seq == 0 || r.gone:
		e.refuse(p.link, p.request, NotFound, noLetter)
	default:
		p.message.ExpiresAt = p.op.Until
		it := e.enqueue(r, p.op.Seq, p.message)
		if it.expired(e.wall) {
			e.expire(it)
		}
		r.release(it)
		e.answer(p.link, p.request, Done{})
	}
}

// dropDead has a letter taken off the list. One that is none is left alone.
func (e *Engine) dropDead(ev *DropDead) {
	e.write(&pendingDone{ev.Link, ev.Request}, &record.DropDead{Receiver: ev.Receiver, MID: ev.MID})
}

// pendingDone answers when something is on disk.
type pendingDone struct {
	link    LinkID
	request RequestID
}

func (p *pendingDone) resume(e *Engine, err error) {
	if err != nil {
		e.refuse(p.link, p.request, Unavailable, "could not be stored: "+err.Error())
	} else {
		e.answer(p.link, p.request, Done{})
	}
}

// overdue ends what a look at the disk has found to be over.
func (e *Engine) overdue(ev *Overdue) {
	if r := e.receivers[ev.Receiver]; r != nil {
		e.sweepUntil(r, ev.First-1, ev.Last)
	}
}

// away forgets a receiver that nobody has seen for long. One that the operator
// configures, that is connected, or that has somewhere to be pushed to, stays.
func (e *Engine) away(ev *Away) {
	r := e.receivers[ev.Receiver]
	if e.stopping || r == nil {
		return
	}
	here := false
	for _, rt := range r.routes {
		if kind := cmp.Or(rt.suspended, rt.kind); kind == record.Declared || kind == record.Registered {
			return
		}
		here = here || rt.up
	}
	if here {
		e.saw(r)
		return
	}
	if _, busy := e.changing[r.name]; busy || r.seenAt >= ev.Before {
		return // it is being seen right now, or was lately
	}
	e.startForget(r, 0, RequestID{})
}
