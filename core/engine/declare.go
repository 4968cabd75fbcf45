package engine

import (
	"fmt"

	"mpush/core/record"
)

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
		c, refusal := e.plan(l.channel, record.Declared, spec, terms{takeNames: ev.TakeNames, ownOnly: ev.OwnOnly})
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
			ops: []record.Op{&record.SaveRoute{Route: retired}, r.seen(e.wall)}, // from now on it may be away
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
	e.claim(p, p.names, p.ops, p.changes...)
}

// tooMany checks the limits for a whole set: plan looks at one at a time.
func (e *Engine) tooMany(specs []RouteSpec) *Refusal {
	known := e.known()
	receivers, members := known, make(map[string]int)
	for _, spec := range specs {
		r := e.receivers[spec.Receiver]
		if r == nil {
			receivers++
		}
		if spec.Group != "" && (r == nil || r.group != spec.Group) {
			members[spec.Group]++
		}
		if n := e.membersOf(spec.Group) + members[spec.Group]; e.config.GroupMembers > 0 && n > e.config.GroupMembers {
			return &Refusal{Limit, fmt.Sprintf("limits.groupMembers: a group may have %d members", e.config.GroupMembers)}
		}
	}
	if e.config.Receivers > 0 && receivers > e.config.Receivers && receivers > known {
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
	e.claimed(p.changes...)
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
