package engine

import (
	"cmp"
	"slices"

	"mpush/core/record"
)

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
		if rt := r.route(l.channel); rt != nil && (rt.kind == record.Declared || rt.kind == record.Registered) {
			e.raiseRoute(rt, l)
		}
	}
}

func (e *Engine) linkDown(ev *LinkDown) {
	l := e.links[ev.Link]
	if l == nil {
		return
	}
	delete(e.links, ev.Link)
	e.timers.clear(&l.quota.hoard)
	for _, rt := range l.routes {
		e.lowerRoute(rt)
		if rt.kind == record.Attached {
			e.saw(rt.receiver)
		}
	}
	e.endWaits(func(w *wait) bool { return w.link == ev.Link })
}

// stop ends all waits with the statuses of the moment.
func (e *Engine) stop() {
	e.stopping = true
	e.departures.writeAll(e)
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
