package engine

import (
	"slices"

	"mpush/core/record"
)

// unregister forgets a receiver, as soon as that is on disk: its queue ends as
// dead letters.
func (e *Engine) unregister(ev *Unregister) {
	if e.links[ev.Link] == nil || e.deferred(ev.Receiver, ev) {
		return
	}
	r := e.receivers[ev.Receiver]
	switch {
	case r == nil:
		e.answer(ev.Link, ev.Request, Done{})
	case r.configured():
		e.refuse(ev.Link, ev.Request, Invalid, "this receiver is configured by the operator")
	default:
		e.startForget(r, ev.Link, ev.Request)
	}
}

func (e *Engine) startForget(r *receiver, link LinkID, request RequestID) {
	op := &record.Forget{Receiver: r.name, Reason: diedForgotten, At: e.wall}
	e.commit(&pendingForget{r, link, request, op}, []string{r.name}, []record.Op{op})
}

type pendingForget struct {
	receiver *receiver
	link     LinkID
	request  RequestID
	op       *record.Forget
}

func (p *pendingForget) resume(e *Engine, err error) {
	if err != nil {
		e.refuse(p.link, p.request, Unavailable, "could not be stored: "+err.Error())
	} else {
		if p.op.Ended > 0 {
			e.observer.Died(diedForgotten, p.op.Ended)
		}
		e.forget(p.receiver)
		e.answer(p.link, p.request, Done{})
	}
	e.committed([]string{p.receiver.name})
}

func (e *Engine) forget(r *receiver) {
	items := slices.Clone(r.items)
	// The routes go down before their items end: as one after the other was
	// recalled, a channel would go on to the next of them.
	for _, rt := range r.routes {
		if rt.up {
			e.emit(&Evict{Link: rt.link, Receiver: r.name, Generation: rt.generation, Cause: Forgotten})
			e.lowerRoute(rt)
		}
	}
	for _, it := range items {
		e.end(it, record.Dead, diedForgotten, nil, false)
	}
	r.gone = true
	e.leave(r)
	delete(e.receivers, r.name)
}
