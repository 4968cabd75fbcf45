package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// maxAddressBytes bounds what a channel may keep per route.
const maxAddressBytes = 64 << 10

// seenEvery is how stale the written SeenAt of a receiver may be.
const seenEvery = 24 * 60 * 60 * 1000

// settled normalizes a policy.
func settled(p record.Policy) record.Policy {
	p.Prefetch = min(max(p.Prefetch, 1), 256)
	if p.Retry <= 0 {
		p.Retry = 3000
	}
	p.Resend, p.RetryMax = max(p.Resend, 0), max(p.RetryMax, 0)
	return p
}

// claim checks that a channel may have a route to a receiver, and finds or
// makes both. It changes nothing when it refuses.
func (e *Engine) claim(channel string, kind record.RouteKind, spec RouteSpec) (rt *route, ops []record.Op, refusal *Refusal) {
	if !message.ValidName(spec.Receiver) || spec.Group != "" && !message.ValidName(spec.Group) {
		return nil, nil, &Refusal{Invalid, fmt.Sprintf("name and group must have 1 to %d bytes and no control characters", message.MaxNameBytes)}
	}
	if len(spec.Address) > maxAddressBytes {
		return nil, nil, &Refusal{TooLarge, fmt.Sprintf("a route's address may have %d bytes", maxAddressBytes)}
	}
	spec.Policy = settled(spec.Policy)
	r := e.receivers[spec.Receiver]
	if r == nil && e.config.Receivers > 0 && len(e.receivers) >= e.config.Receivers {
		return nil, nil, &Refusal{Limit, fmt.Sprintf("limits.receivers: the server knows %d receivers already", len(e.receivers))}
	}
	if spec.Group != "" && (r == nil || r.group != spec.Group) &&
		e.config.GroupMembers > 0 && len(e.groups[spec.Group]) >= e.config.GroupMembers {
		return nil, nil, &Refusal{Limit, fmt.Sprintf("limits.groupMembers: the group has %d members already", len(e.groups[spec.Group]))}
	}
	if r != nil && r.forgetting {
		return nil, nil, beingForgotten()
	}
	var displaced *route
	if r != nil && spec.Policy.Exclusive {
		if holder := r.holder(); holder != nil && holder.channel != channel {
			// What the operator configures comes before what a client attached.
			if kind != record.Declared || holder.kind == record.Declared {
				return nil, nil, &Refusal{NameInUse, fmt.Sprintf("The name [%s] is already used", spec.Receiver)}
			}
			displaced = holder
		}
	}
	return e.establish(r, displaced, channel, kind, spec)
}

// establish makes the route what the claim says; ops are what must be written.
func (e *Engine) establish(r *receiver, displaced *route, channel string, kind record.RouteKind, spec RouteSpec) (rt *route, ops []record.Op, refusal *Refusal) {
	if r == nil {
		r = &receiver{name: spec.Receiver, unsaved: true}
		e.receivers[r.name] = r
	}
	if r.group != spec.Group || e.now-r.seenAt >= seenEvery || r.unsaved {
		r.unsaved = false
		e.join(r, spec.Group)
		r.seenAt = e.now
		ops = append(ops, &record.SaveReceiver{Receiver: r.record()})
	}
	if displaced != nil {
		if displaced.up {
			e.emit(&Evict{Link: displaced.link, Receiver: r.name, Generation: displaced.generation, Reason: "the name belongs to a configured receiver now"})
		}
		e.dropRoute(displaced)
	}
	if rt = r.route(channel); rt == nil {
		rt = newRoute(r, channel)
		if !spec.Policy.Exclusive && len(r.routes) > 0 {
			rt.cursor = r.tail // what is queued has its ways already
		}
		r.routes = append(r.routes, rt)
	}
	if rt.kind != kind || !bytes.Equal(rt.address, spec.Address) || rt.policy != spec.Policy || rt.unsaved {
		rt.kind, rt.address, rt.policy, rt.unsaved = kind, spec.Address, spec.Policy, false
		ops = append(ops, &record.SaveRoute{Route: rt.record()})
	}
	return rt, ops, nil
}

// attach claims the route, and goes on when the claim is on disk.
func (e *Engine) attach(ev *Attach) {
	l := e.links[ev.Link]
	if l == nil {
		return
	}
	if e.stopping {
		e.refuse(ev.Link, ev.Request, Unavailable, "the server is stopping")
		return
	}
	rt, ops, refusal := e.claim(l.channel, record.Attached, RouteSpec{ev.Name, ev.Group, ev.Address, ev.Policy})
	if refusal != nil {
		e.answer(ev.Link, ev.Request, refusal)
		return
	}
	p := &pendingAttach{route: rt, link: ev.Link, request: ev.Request}
	if len(ops) == 0 && rt.receiver.saving == 0 {
		e.attached(p)
		return
	}
	rt.receiver.saving++
	e.write(p, ops...)
}

type pendingAttach struct {
	route   *route
	link    LinkID
	request RequestID
}

func (p *pendingAttach) resume(e *Engine, err error) {
	if e.saved(p, p.route, p.link, p.request, err) && e.links[p.link] != nil {
		e.attached(p)
	}
}

// saved takes the result of writing a claim, and tells whether it is on disk.
func (e *Engine) saved(p pending, rt *route, link LinkID, request RequestID, err error) bool {
	r := rt.receiver
	r.saving--
	if err == nil && !rt.unsaved && !r.unsaved {
		rt.durable, r.durable = true, true
	}
	defer e.tidy(r)
	switch {
	case err != nil:
		rt.unsaved, r.unsaved = true, true
		e.refuse(link, request, Unavailable, "the receiver could not be stored: "+err.Error())
		return false
	case r.gone || r.forgetting || r.route(rt.channel) != rt:
		e.refuse(link, request, Unavailable, "the receiver was changed meanwhile")
		return false
	case rt.unsaved || r.unsaved: // what an earlier claim had failed to write
		rt.unsaved, r.unsaved = false, false
		r.saving++
		e.write(p, &record.SaveReceiver{Receiver: r.record()}, &record.SaveRoute{Route: rt.record()})
		return false
	}
	return true
}

// tidy takes back what never came to disk, once nothing of the receiver is on
// its way there.
func (e *Engine) tidy(r *receiver) {
	if r.saving > 0 || r.gone {
		return
	}
	r.routes = slices.DeleteFunc(r.routes, func(rt *route) bool { return !rt.durable })
	if !r.durable && len(r.routes) == 0 {
		r.gone = true
		e.leave(r)
		delete(e.receivers, r.name)
	}
}

// attached makes the link the holder: first the answer, then the eviction of an
// older holder, then (at the end of the step) deliveries.
func (e *Engine) attached(p *pendingAttach) {
	rt, r := p.route, p.route.receiver
	wasUp, oldLink, oldGeneration := rt.up, rt.link, rt.generation
	e.raiseRoute(rt, e.links[p.link])
	e.answer(p.link, p.request, Attached{Name: r.name, Group: r.group, Generation: rt.generation})
	if wasUp {
		e.emit(&Evict{Link: oldLink, Receiver: r.name, Generation: oldGeneration, Reason: "another connection took over"})
	}
}

func (e *Engine) detach(ev *Detach) {
	l, r := e.links[ev.Link], e.receivers[ev.Receiver]
	if l == nil || r == nil {
		return
	}
	if rt := r.route(l.channel); rt != nil && rt.up && rt.link == ev.Link && rt.generation == ev.Generation && rt.kind == record.Attached {
		e.lowerRoute(rt)
	}
}

// register stores a durable route; it is live as soon as it is on disk.
func (e *Engine) register(ev *Register) {
	l := e.links[ev.Link]
	if l == nil {
		return
	}
	rt, ops, refusal := e.claim(l.channel, record.Registered, ev.Route)
	switch {
	case refusal != nil:
		e.answer(ev.Link, ev.Request, refusal)
	case len(ops) == 0 && rt.receiver.saving == 0:
		e.answer(ev.Link, ev.Request, Done{})
	default:
		rt.receiver.saving++
		e.write(&pendingRegister{pendingAttach{route: rt, link: ev.Link, request: ev.Request}}, ops...)
	}
}

type pendingRegister struct{ pendingAttach }

func (p *pendingRegister) resume(e *Engine, err error) {
	if !e.saved(p, p.route, p.link, p.request, err) {
		return
	}
	// The channel may have been restarted meanwhile.
	if l := e.linkOf(p.route.channel); l != nil && l.ready {
		e.raiseRoute(p.route, l)
	}
	e.answer(p.link, p.request, Done{})
}

// declare makes the channel's configured routes exactly these.
func (e *Engine) declare(ev *Declare) {
	l := e.links[ev.Link]
	if l == nil {
		return
	}
	named := make(map[string]bool, len(ev.Routes))
	for _, spec := range ev.Routes {
		if named[spec.Receiver] {
			e.refuse(ev.Link, ev.Request, Invalid, fmt.Sprintf("the receiver %q is configured twice", spec.Receiver))
			return
		}
		named[spec.Receiver] = true
	}
	var ops []record.Op
	for _, r := range e.sorted() {
		if rt := r.route(l.channel); rt != nil && rt.kind == record.Declared && !named[r.name] {
			e.lowerRoute(rt)
			rt.kind = record.Retired
			ops = append(ops, &record.SaveRoute{Route: rt.record()})
		}
	}
	p := &pendingDeclare{link: ev.Link, request: ev.Request}
	for _, spec := range ev.Routes {
		rt, more, refusal := e.claim(l.channel, record.Declared, spec)
		if refusal != nil {
			p.refusal = &Refusal{refusal.Code, fmt.Sprintf("receiver %q: %s", spec.Receiver, refusal.Message)}
			break
		}
		rt.receiver.saving++
		p.routes = append(p.routes, rt)
		ops = append(ops, more...)
	}
	e.write(p, ops...)
}

type pendingDeclare struct {
	link    LinkID
	request RequestID
	routes  []*route
	refusal *Refusal
}

func (p *pendingDeclare) resume(e *Engine, err error) {
	for _, rt := range p.routes {
		rt.receiver.saving--
		if err != nil {
			rt.unsaved, rt.receiver.unsaved = true, true
		} else {
			rt.durable, rt.receiver.durable = true, true
		}
		e.tidy(rt.receiver)
	}
	switch {
	case err != nil:
		e.refuse(p.link, p.request, Unavailable, "the receivers could not be stored: "+err.Error())
	case p.refusal != nil:
		e.answer(p.link, p.request, p.refusal)
	default:
		e.answer(p.link, p.request, Done{})
	}
}

// linkOf is the channel's newest link, or nil.
func (e *Engine) linkOf(channel string) *link {
	var newest *link
	for _, l := range e.links {
		if l.channel == channel && (newest == nil || l.id > newest.id) {
			newest = l
		}
	}
	return newest
}

// linkReady brings the channel's durable routes up.
func (e *Engine) linkReady(ev *LinkReady) {
	l := e.links[ev.Link]
	if l == nil || l.ready {
		return
	}
	l.ready = true
	for _, r := range e.sorted() {
		if rt := r.route(l.channel); rt != nil && rt.durable && (rt.kind == record.Declared || rt.kind == record.Registered) {
			e.raiseRoute(rt, l)
		}
	}
}

func (e *Engine) linkDown(ev *LinkDown) {
	l := e.links[ev.Link]
	if l == nil {
		return
	}
	for _, rt := range slices.Clone(l.routes) {
		e.lowerRoute(rt)
	}
	delete(e.links, ev.Link)
	e.endWaits(func(w *wait) bool { return w.link == ev.Link })
}

// unregister forgets a receiver, as soon as that is on disk: its queue ends as
// dead letters.
func (e *Engine) unregister(ev *Unregister) {
	if e.links[ev.Link] == nil {
		return
	}
	r := e.receivers[ev.Receiver]
	switch {
	case r == nil:
		e.answer(ev.Link, ev.Request, Done{})
	case r.forgetting:
		e.answer(ev.Link, ev.Request, beingForgotten())
	case slices.ContainsFunc(r.routes, func(rt *route) bool { return rt.kind == record.Declared }):
		e.refuse(ev.Link, ev.Request, Invalid, "this receiver is configured by the operator")
	default:
		r.forgetting = true
		e.write(&pendingForget{r, ev.Link, ev.Request}, &record.Forget{Receiver: r.name, Reason: "forgotten", At: e.now})
	}
}

type pendingForget struct {
	receiver *receiver
	link     LinkID
	request  RequestID
}

func (p *pendingForget) resume(e *Engine, err error) {
	r := p.receiver
	if err != nil {
		r.forgetting = false
		e.refuse(p.link, p.request, Unavailable, "could not be stored: "+err.Error())
		return
	}
	e.answer(p.link, p.request, Done{})
	if r.gone {
		return // it never was on disk
	}
	for _, it := range slices.Clone(r.items) {
		e.end(it, record.Dead, "forgotten", nil, false)
	}
	for _, rt := range r.routes {
		if rt.up {
			e.emit(&Evict{Link: rt.link, Receiver: r.name, Generation: rt.generation, Reason: "unregistered"})
			e.lowerRoute(rt)
		}
	}
	r.gone = true
	e.leave(r)
	delete(e.receivers, r.name)
}

func beingForgotten() *Refusal {
	return &Refusal{Unavailable, "this receiver is being forgotten, try again"}
}

// stop ends all waits with the statuses of the moment.
func (e *Engine) stop() {
	e.stopping = true
	e.endWaits(func(*wait) bool { return true })
	// That a head was sent must outlive the process.
	for _, r := range e.sorted() {
		for _, rt := range r.routes {
			if rt.up && rt.head != nil {
				e.write(nil, &record.Settle{Item: rt.head.Item})
			}
		}
	}
}

// endWaits ends the waits that match, in the order in which they were made.
func (e *Engine) endWaits(match func(*wait) bool) {
	var waits []*wait
	for _, t := range e.timers.heap {
		if w, ok := t.owner.(*wait); ok && match(w) {
			waits = append(waits, w)
		}
	}
	slices.SortFunc(waits, func(a, b *wait) int { return cmp.Compare(a.timer.order, b.timer.order) })
	for _, w := range waits {
		e.finishWait(w)
	}
}

// sorted is for the rare events that concern everybody.
func (e *Engine) sorted() []*receiver {
	all := make([]*receiver, 0, len(e.receivers))
	for _, r := range e.receivers {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *receiver) int { return cmp.Compare(a.name, b.name) })
	return all
}
