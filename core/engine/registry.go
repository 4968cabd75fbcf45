package engine

import (
	"bytes"
	"fmt"

	"mpush/core/message"
	"mpush/core/record"
)

// A change of the registry goes to disk first and is made in memory when it is
// there. Until then whatever else wants to change the same receiver waits its
// turn, so that each change is decided on what is true on disk.

// maxAddressBytes bounds what a channel may keep per route.
const maxAddressBytes = 64 << 10

// seenEvery is how stale the written SeenAt of a receiver that comes may be, and
// seenLast that of one that goes: from then on it is away.
const (
	seenEvery = 24 * 60 * 60 * 1000
	seenLast  = 60 * 1000
)

// change is a claim of a channel on a receiver's route, checked and on its way
// to disk; or, with retire, the end of a declared one.
type change struct {
	channel   string
	kind      record.RouteKind
	spec      RouteSpec
	retire    bool
	fresh     bool       // nobody has the name yet
	joins     bool       // the receiver is new to its group
	displaced []string   // the channels that lose the name
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
	if busy && (len(waiting) < maxDeferred && e.park(event) || isDeclare(event)) {
		e.changing[name] = append(waiting, event)
	} else if busy {
		link, request, _ := claimant(event)
		e.refuse(link, request, Unavailable, "too many changes of receivers are under way: try again")
		e.emit(&Misdeed{Link: link, Kind: Overrun})
	}
	return busy
}

func isDeclare(event Event) bool {
	_, is := event.(*Declare)
	return is
}

// coming counts the claims on their way to disk that need room under a limit:
// they have it from the moment on that they were checked.
type coming struct {
	receivers int
	members   map[string]int // by group
}

// add counts a claim, or with n -1 lets go of it.
func (c *coming) add(claim *change, n int) {
	if claim.fresh {
		c.receivers += n
	}
	if group := claim.spec.Group; claim.joins {
		if c.members[group] += n; c.members[group] == 0 {
			delete(c.members, group)
		}
	}
}

// known is how many receivers there are and will be.
func (e *Engine) known() int { return len(e.receivers) + e.coming.receivers }

// membersOf is how many are in a group and will be.
func (e *Engine) membersOf(group string) int { return len(e.groups[group]) + e.coming.members[group] }

// claim sends checked claims to disk; next goes on, and begins with claimed.
func (e *Engine) claim(next pending, names []string, ops []record.Op, changes ...*change) {
	for _, c := range changes {
		e.coming.add(c, 1)
	}
	e.commit(next, names, ops)
}

// claimed gives back what claim has kept for them.
func (e *Engine) claimed(changes ...*change) {
	for _, c := range changes {
		e.coming.add(c, -1)
	}
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
		e.goOn(waiting)
	}
}

// terms are what a claim may do to other channels' routes.
type terms struct {
	takeNames bool // as of Declare
	ownOnly   bool // as of Attach
}

// notFree refuses a name that another channel serves.
func notFree(name string) *Refusal {
	return &Refusal{NameInUse, inUse(name) + ` by another channel: to be served here, too, it must be among "receivers" in this plugin's entry`}
}

// plan checks a claim and says what it would change. Nothing is changed yet.
func (e *Engine) plan(channel string, kind record.RouteKind, spec RouteSpec, on terms) (*change, *Refusal) {
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
	c := &change{channel: channel, kind: kind, spec: spec, fresh: r == nil}
	c.joins = spec.Group != "" && (r == nil || r.group != spec.Group)
	if known := e.known(); c.fresh && e.config.Receivers > 0 && known >= e.config.Receivers {
		return nil, &Refusal{Limit, fmt.Sprintf("limits.receivers: the server knows %d receivers already", known)}
	}
	if members := e.membersOf(spec.Group); c.joins && e.config.GroupMembers > 0 && members >= e.config.GroupMembers {
		return nil, &Refusal{Limit, fmt.Sprintf("limits.groupMembers: the group has %d members already", members)}
	}
	if r == nil || r.group != spec.Group || e.wall-r.seenAt >= seenEvery {
		c.ops = append(c.ops, &record.SaveReceiver{Receiver: record.Receiver{Name: spec.Receiver, Group: spec.Group, SeenAt: e.wall}})
	}
	var rt *route
	if r != nil {
		if holder := r.holder(); spec.Policy.Exclusive && holder != nil && holder.channel != channel {
			// What the operator configures may come before what a client attached.
			if !on.takeNames || holder.kind == record.Declared {
				return nil, &Refusal{NameInUse, inUse(spec.Receiver)}
			}
			c.displace(holder)
		}
		for _, other := range r.routes {
			// That of a channel that is switched off can not come back beside this
			// one, and a restart must find one alone.
			if spec.Policy.Exclusive && other.policy.Exclusive && other.suspended != 0 && other.channel != channel {
				c.displace(other)
			}
		}
		if on.ownOnly && r.foreignTo(channel) {
			return nil, notFree(spec.Receiver)
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

// displace takes the name from another channel's route.
func (c *change) displace(loser *route) {
	c.displaced = append(c.displaced, loser.channel)
	c.ops = append(c.ops, &record.DropRoute{Receiver: c.spec.Receiver, Channel: loser.channel})
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

// seenAt is when the receiver was seen, as a change writes it or as it was.
func (c *change) seenAt(before int64) int64 {
	for _, op := range c.ops {
		if save, ok := op.(*record.SaveReceiver); ok {
			return max(before, save.Receiver.SeenAt)
		}
	}
	return before
}

// apply makes a change that is on disk, and returns the route.
func (e *Engine) apply(c *change) *route {
	r := e.receivers[c.spec.Receiver]
	if c.retire {
		r.seenAt = c.seenAt(r.seenAt)
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
	r.seenAt = c.seenAt(r.seenAt)
	for _, channel := range c.displaced {
		loser := r.route(channel)
		if loser.up {
			e.emit(&Evict{Link: loser.link, Receiver: r.name, Generation: loser.generation, Cause: Configured})
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
