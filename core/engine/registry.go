package engine

import (
	"bytes"
	"fmt"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// A change of the registry goes to disk first and is made in memory when it is
// there. Until then whatever else wants to change the same receiver waits its
// turn, so that each change is decided on what is true on disk.

// maxAddressBytes bounds what a channel may keep per route.
const maxAddressBytes = 64 << 10

// seenEvery is how stale the written SeenAt of a receiver may be.
const seenEvery = 24 * 60 * 60 * 1000

// change is a claim of a channel on a receiver's route, checked and on its way
// to disk; or, with retire, the end of a declared one.
type change struct {
	channel   string
	kind      record.RouteKind
	spec      RouteSpec
	retire    bool
	displaced string     // the channel that loses the name, or ""
	cursor    record.Seq // of a new route
	rerouted  bool       // the route is new or differs
	ops       []record.Op
}

// maxDeferred bounds what waits for the changes of one receiver: they are made
// one by one, each on disk before the next. One too many is refused, unless it
// is a Declare, of which each stream has one.
const maxDeferred = 1024

// deferred puts an event behind a change of the receiver that is under way.
func (e *Engine) deferred(name string, event Event) bool {
	waiting, busy := e.changing[name]
	_, once := event.(*Declare)
	switch {
	case !busy:
	case len(waiting) < maxDeferred || once:
		e.changing[name] = append(waiting, event)
	default:
		e.overrun(event)
	}
	return busy
}

// overrun refuses what changes a receiver.
func (e *Engine) overrun(event Event) {
	var link LinkID
	var request RequestID
	switch ev := event.(type) {
	case *Attach:
		link, request = ev.Link, ev.Request
	case *Register:
		link, request = ev.Link, ev.Request
	case *Unregister:
		link, request = ev.Link, ev.Request
	}
	e.refuse(link, request, Unavailable, "too many changes of this receiver are under way")
	e.emit(&Misdeed{Link: link, Kind: Overrun})
}

// commit sends changes to disk; next goes on.
func (e *Engine) commit(next pending, names []string, ops []record.Op) {
	for _, name := range names {
		e.changing[name] = nil
	}
	e.write(next, ops...)
}

// committed lets the events that waited for these receivers go on, in order.
func (e *Engine) committed(names []string) {
	for _, name := range names {
		waiting := e.changing[name]
		delete(e.changing, name)
		for _, event := range waiting {
			e.dispatch(event)
		}
	}
}

// plan checks a claim and says what it would change. Nothing is changed yet.
func (e *Engine) plan(channel string, kind record.RouteKind, spec RouteSpec, takeNames bool) (*change, *Refusal) {
	if !message.ValidName(spec.Receiver) || spec.Group != "" && !message.ValidName(spec.Group) {
		return nil, &Refusal{Invalid, fmt.Sprintf("name and group must have 1 to %d bytes and no control characters", message.MaxNameBytes)}
	}
	if len(spec.Address) > maxAddressBytes {
		return nil, &Refusal{TooLarge, fmt.Sprintf("a route's address may have %d bytes", maxAddressBytes)}
	}
	spec.Policy = normal(spec.Policy)
	r := e.receivers[spec.Receiver]
	if r != nil && kind != record.Declared && r.configured() {
		spec.Group = r.group // the operator's word, not a client's
	}
	c := &change{channel: channel, kind: kind, spec: spec}
	if r == nil && e.config.Receivers > 0 && len(e.receivers) >= e.config.Receivers {
		return nil, &Refusal{Limit, fmt.Sprintf("limits.receivers: the server knows %d receivers already", len(e.receivers))}
	}
	if members := len(e.groups[spec.Group]); spec.Group != "" && (r == nil || r.group != spec.Group) &&
		e.config.GroupMembers > 0 && members >= e.config.GroupMembers {
		return nil, &Refusal{Limit, fmt.Sprintf("limits.groupMembers: the group has %d members already", members)}
	}
	if r == nil || r.group != spec.Group || e.wall-r.seenAt >= seenEvery {
		c.ops = append(c.ops, &record.SaveReceiver{Receiver: record.Receiver{Name: spec.Receiver, Group: spec.Group, SeenAt: e.wall}})
	}
	var rt *route
	if r != nil {
		if holder := r.holder(); spec.Policy.Exclusive && holder != nil && holder.channel != channel {
			// What the operator configures may come before what a client attached.
			if !takeNames || holder.kind == record.Declared {
				return nil, &Refusal{NameInUse, inUse(spec.Receiver)}
			}
			c.displaced = holder.channel
			c.ops = append(c.ops, &record.DropRoute{Receiver: spec.Receiver, Channel: holder.channel})
		}
		rt = r.route(channel)
		if !spec.Policy.Exclusive && len(r.routes) > 0 {
			c.cursor = r.tail // what is queued has its ways already
		}
	}
	if rt == nil || rt.kind != kind || !bytes.Equal(rt.address, spec.Address) || rt.policy != spec.Policy {
		c.rerouted = true
		c.ops = append(c.ops, &record.SaveRoute{Route: record.Route{
			Receiver: spec.Receiver, Channel: channel, Kind: kind, Address: spec.Address, Policy: spec.Policy, Cursor: c.cursor,
		}})
	}
	return c, nil
}

// normal fills in a policy's defaults.
func normal(p record.Policy) record.Policy {
	p.Prefetch = min(max(p.Prefetch, 1), 256)
	if p.Retry <= 0 {
		p.Retry = 3000
	}
	p.Retry, p.RetryMax = max(p.Retry, minPause), max(p.RetryMax, 0)
	if p.Resend > 0 {
		p.Resend = max(p.Resend, minPause)
	}
	return p
}

// minPause is the shortest time between two deliveries of a message, in
// milliseconds.
const minPause = 100

// apply makes a change that is on disk, and returns the route.
func (e *Engine) apply(c *change) *route {
	r := e.receivers[c.spec.Receiver]
	if c.retire {
		rt := r.route(c.channel)
		e.lowerRoute(rt)
		rt.kind, rt.suspended = record.Retired, 0
		e.sweep(r, 0) // it may be what other routes have handed off waited for
		return rt
	}
	if r == nil {
		r = &receiver{name: c.spec.Receiver, seenAt: e.wall}
		e.receivers[r.name] = r
	}
	e.join(r, c.spec.Group)
	for _, op := range c.ops {
		if save, ok := op.(*record.SaveReceiver); ok {
			r.seenAt = save.Receiver.SeenAt
		}
	}
	if c.displaced != "" {
		loser := r.route(c.displaced)
		if loser.up {
			e.emit(&Evict{Link: loser.link, Receiver: r.name, Generation: loser.generation, Reason: "the name belongs to a configured receiver now"})
		}
		e.removeRoute(loser)
	}
	rt := r.route(c.channel)
	if rt == nil {
		rt = newRoute(r, c.channel)
		rt.cursor = c.cursor
		r.routes = append(r.routes, rt)
	}
	rt.kind, rt.address, rt.policy = c.kind, c.spec.Address, c.spec.Policy
	rt.suspended = 0
	if !e.isOn(c.channel) { // it was switched off meanwhile
		rt.suspend()
	}
	return rt
}

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
	c, refusal := e.plan(l.channel, record.Attached, RouteSpec{ev.Name, ev.Group, ev.Address, ev.Policy}, false)
	switch p := (&pendingAttach{c, ev.Link, ev.Request, ev.Epoch}); {
	case ev.Epoch < e.epoch:
		e.refuse(ev.Link, ev.Request, Unavailable, tokenChanged)
	case refusal != nil:
		e.answer(ev.Link, ev.Request, refusal)
	case len(c.ops) == 0:
		e.attached(p)
	default:
		e.commit(p, []string{ev.Name}, c.ops)
	}
}

type pendingAttach struct {
	change  *change
	link    LinkID
	request RequestID
	epoch   uint64
}

func (p *pendingAttach) resume(e *Engine, err error) {
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
	if p.epoch < e.epoch {
		e.refuse(p.link, p.request, Unavailable, tokenChanged)
		return
	}
	r, wasUp, oldLink, oldGeneration := rt.receiver, rt.up, rt.link, rt.generation
	e.raiseRoute(rt, l)
	e.answer(p.link, p.request, Attached{Name: r.name, Group: r.group, Generation: rt.generation, Epoch: p.epoch})
	if wasUp {
		e.emit(&Evict{Link: oldLink, Receiver: r.name, Generation: oldGeneration, Reason: "another connection took over"})
	}
}

// enter refuses a name that the operator has given to somebody.
func (e *Engine) enter(ev *Enter) {
	if r := e.receivers[ev.Name]; r != nil && r.configured() {
		e.refuse(ev.Link, ev.Request, NameInUse, inUse(ev.Name))
		return
	}
	e.answer(ev.Link, ev.Request, Attached{Name: ev.Name, Group: ev.Group, Epoch: ev.Epoch})
}

func inUse(name string) string { return fmt.Sprintf("The name [%s] is already used", name) }

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

// saw notes that a receiver was here until now, if what is written is stale.
func (e *Engine) saw(r *receiver) {
	if _, busy := e.changing[r.name]; busy || e.wall-r.seenAt < seenEvery {
		return
	}
	r.seenAt = e.wall
	e.write(nil, &record.SaveReceiver{Receiver: record.Receiver{Name: r.name, Group: r.group, SeenAt: r.seenAt}})
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
	c, refusal := e.plan(l.channel, record.Registered, ev.Route, false)
	switch {
	case refusal != nil:
		e.answer(ev.Link, ev.Request, refusal)
	case len(c.ops) == 0:
		e.answer(ev.Link, ev.Request, Done{})
	default:
		e.commit(&pendingRegister{c, ev.Link, ev.Request}, []string{ev.Route.Receiver}, c.ops)
	}
}

type pendingRegister struct {
	change  *change
	link    LinkID
	request RequestID
}

func (p *pendingRegister) resume(e *Engine, err error) {
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

// declare makes the channel's configured routes exactly these, or changes
// nothing.
func (e *Engine) declare(ev *Declare) {
	l := e.links[ev.Link]
	// One set at a time, even if the channel was restarted meanwhile. A zero
	// byte is in no receiver's name.
	if l == nil || e.deferred("\x00"+l.channel, ev) {
		return
	}
	if most := e.config.Receivers; most > 0 && len(ev.Routes) > most { // before each of them is looked at
		e.answer(ev.Link, ev.Request, tooManyReceivers(most))
		return
	}
	p := &pendingDeclare{channel: l.channel, link: ev.Link, request: ev.Request, names: []string{"\x00" + l.channel}}
	named := make(map[string]bool, len(ev.Routes))
	for _, spec := range ev.Routes {
		if e.deferred(spec.Receiver, ev) {
			return
		}
		if named[spec.Receiver] {
			e.refuse(ev.Link, ev.Request, Invalid, fmt.Sprintf("the receiver %q is configured twice", spec.Receiver))
			return
		}
		named[spec.Receiver] = true
		c, refusal := e.plan(l.channel, record.Declared, spec, ev.TakeNames)
		if refusal != nil {
			e.refuse(ev.Link, ev.Request, refusal.Code, fmt.Sprintf("receiver %q: %s", spec.Receiver, refusal.Message))
			return
		}
		p.add(c, spec.Receiver)
	}
	for _, r := range e.sorted() {
		rt := r.route(l.channel)
		if rt == nil || rt.kind != record.Declared || named[r.name] {
			continue
		}
		if e.deferred(r.name, ev) {
			return
		}
		retired := rt.record()
		retired.Kind = record.Retired
		p.add(&change{
			channel: l.channel, retire: true, spec: RouteSpec{Receiver: r.name},
			ops: []record.Op{&record.SaveRoute{Route: retired}},
		}, r.name)
	}
	if refusal := e.tooMany(ev.Routes); refusal != nil {
		e.answer(ev.Link, ev.Request, refusal)
		return
	}
	if len(p.ops) == 0 {
		e.answer(ev.Link, ev.Request, Done{})
		return
	}
	e.commit(p, p.names, p.ops)
}

// tooMany checks the limits for a whole set: plan looks at one at a time.
func (e *Engine) tooMany(specs []RouteSpec) *Refusal {
	receivers, members := len(e.receivers), make(map[string]int)
	for _, spec := range specs {
		r := e.receivers[spec.Receiver]
		if r == nil {
			receivers++
		}
		if spec.Group != "" && (r == nil || r.group != spec.Group) {
			members[spec.Group]++
		}
		if n := len(e.groups[spec.Group]) + members[spec.Group]; e.config.GroupMembers > 0 && n > e.config.GroupMembers {
			return &Refusal{Limit, fmt.Sprintf("limits.groupMembers: a group may have %d members", e.config.GroupMembers)}
		}
	}
	if e.config.Receivers > 0 && receivers > e.config.Receivers && receivers > len(e.receivers) {
		return tooManyReceivers(e.config.Receivers)
	}
	return nil
}

func tooManyReceivers(most int) *Refusal {
	return &Refusal{Limit, fmt.Sprintf("limits.receivers: the server may know %d receivers", most)}
}

type pendingDeclare struct {
	channel string
	link    LinkID
	request RequestID
	changes []*change
	names   []string
	ops     []record.Op
}

func (p *pendingDeclare) add(c *change, name string) {
	p.changes = append(p.changes, c)
	p.names = append(p.names, name)
	p.ops = append(p.ops, c.ops...)
}

func (p *pendingDeclare) resume(e *Engine, err error) {
	if err != nil {
		e.refuse(p.link, p.request, Unavailable, "the receivers could not be stored: "+err.Error())
	} else {
		l := e.linkOf(p.channel)
		for _, c := range p.changes {
			if rt := e.apply(c); !c.retire && l != nil && l.ready && (c.rerouted || !rt.up) {
				e.raiseRoute(rt, l)
			}
		}
		e.answer(p.link, p.request, Done{})
	}
	e.committed(p.names)
}

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
		e.commit(&pendingForget{r, ev.Link, ev.Request}, []string{r.name}, []record.Op{
			&record.Forget{Receiver: r.name, Reason: "forgotten", At: e.wall},
		})
	}
}

type pendingForget struct {
	receiver *receiver
	link     LinkID
	request  RequestID
}

func (p *pendingForget) resume(e *Engine, err error) {
	if err != nil {
		e.refuse(p.link, p.request, Unavailable, "could not be stored: "+err.Error())
	} else {
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
			e.emit(&Evict{Link: rt.link, Receiver: r.name, Generation: rt.generation, Reason: "unregistered"})
			e.lowerRoute(rt)
		}
	}
	for _, it := range items {
		e.end(it, record.Dead, "forgotten", nil, false)
	}
	r.gone = true
	e.leave(r)
	delete(e.receivers, r.name)
}
