package engine

import (
	"fmt"

	"mpush/core/record"
)

// attach claims the route, and goes on when the claim is on disk.
func (e *Engine) attach(ev *Attach) {
	l := e.links[ev.Link]
	if l == nil || e.deferred(ev.Name, ev) {
		return
	}
	if e.stopping {
		e.refuse(ev.Link, ev.Request, Unavailable, "the server is stopping")
		return
	}
	c, refusal := e.plan(l.channel, record.Attached, RouteSpec{ev.Name, ev.Group, ev.Address, ev.Policy}, terms{ownOnly: ev.OwnOnly})
	switch p := (&pendingAttach{c, ev.Link, ev.Request, ev.Epoch}); {
	case e.ended(ev.Epoch):
		e.refuse(ev.Link, ev.Request, Unavailable, tokenInvalid)
	case refusal != nil:
		e.answer(ev.Link, ev.Request, refusal)
	case len(c.ops) == 0:
		e.attached(p)
	default:
		e.claim(p, []string{ev.Name}, c.ops, c)
	}
}

type pendingAttach struct {
	change  *change
	link    LinkID
	request RequestID
	epoch   uint64
}

func (p *pendingAttach) resume(e *Engine, err error) {
	e.claimed(p.change)
	if err != nil {
		e.refuse(p.link, p.request, Unavailable, "the receiver could not be stored: "+err.Error())
	} else {
		e.attached(p)
	}
	e.committed([]string{p.change.spec.Receiver})
}

// attached makes the link the holder: first the answer, then the eviction of an
// older holder, then (at the end of the step) deliveries.
func (e *Engine) attached(p *pendingAttach) {
	rt := e.apply(p.change)
	l := e.links[p.link]
	if l == nil {
		return
	}
	if e.ended(p.epoch) {
		e.refuse(p.link, p.request, Unavailable, tokenInvalid)
		return
	}
	r, wasUp, oldLink, oldGeneration := rt.receiver, rt.up, rt.link, rt.generation
	e.raiseRoute(rt, l)
	rt.epoch = p.epoch
	e.answer(p.link, p.request, Attached{Name: r.name, Group: r.group, Generation: rt.generation, Epoch: p.epoch})
	if wasUp {
		e.emit(&Evict{Link: oldLink, Receiver: r.name, Generation: oldGeneration, Cause: TakenOver})
	}
}

// enter refuses a name that the operator has given to somebody.
func (e *Engine) enter(ev *Enter) {
	if r := e.receivers[ev.Name]; r != nil && r.configured() {
		e.refuse(ev.Link, ev.Request, NameInUse, inUse(ev.Name))
		return
	} else if l := e.links[ev.Link]; l != nil && r != nil && ev.OwnOnly && r.foreignTo(l.channel) {
		e.answer(ev.Link, ev.Request, notFree(ev.Name))
		return
	}
	e.answer(ev.Link, ev.Request, Attached{Name: ev.Name, Group: ev.Group, Epoch: ev.Epoch})
}

func inUse(name string) string { return fmt.Sprintf("The name [%s] is already used", name) }

// detach ends an attachment; a stale one is over already.
func (e *Engine) detach(ev *Detach) {
	l, r := e.links[ev.Link], e.receivers[ev.Receiver]
	if l == nil || r == nil {
		return
	}
	if rt := r.route(l.channel); rt != nil && rt.up && rt.link == ev.Link && rt.generation == ev.Generation && rt.kind == record.Attached {
		e.lowerRoute(rt)
		e.saw(r)
	}
}

// register stores a durable route; it is live as soon as it is on disk.
func (e *Engine) register(ev *Register) {
	l := e.links[ev.Link]
	if l == nil || e.deferred(ev.Route.Receiver, ev) {
		return
	}
	if e.stopping {
		e.refuse(ev.Link, ev.Request, Unavailable, "the server is stopping")
		return
	}
	c, refusal := e.plan(l.channel, record.Registered, ev.Route, terms{ownOnly: ev.OwnOnly})
	switch {
	case refusal != nil:
		e.answer(ev.Link, ev.Request, refusal)
	case len(c.ops) == 0:
		e.answer(ev.Link, ev.Request, Done{})
	default:
		e.claim(&pendingRegister{c, ev.Link, ev.Request}, []string{ev.Route.Receiver}, c.ops, c)
	}
}

type pendingRegister struct {
	change  *change
	link    LinkID
	request RequestID
}

func (p *pendingRegister) resume(e *Engine, err error) {
	e.claimed(p.change)
	if err != nil {
		e.refuse(p.link, p.request, Unavailable, "the receiver could not be stored: "+err.Error())
	} else {
		rt := e.apply(p.change)
		// The channel may have been restarted meanwhile.
		if l := e.linkOf(rt.channel); l != nil && l.ready && (p.change.rerouted || !rt.up) {
			e.raiseRoute(rt, l)
		}
		e.answer(p.link, p.request, Done{})
	}
	e.committed([]string{p.change.spec.Receiver})
}
