package engine

import "container/list"

// A channel may hold so many messages at once, over all its routes; what is beyond
// that waits its turn. Routes wait in the order in which they came to want more,
// and each turn is one message, so that a deep queue keeps nobody waiting. A route
// whose receiver does not answer gives its message back when it is time to send it
// again, if others wait: it joins them at the end.

// hoardTime is after how long, in milliseconds, a channel is told on that holds
// all it may and settles nothing, while routes wait.
const hoardTime = 10_000

// quota is a link's share in leases.
type quota struct {
	most    int // 0: any number
	held    int // by all routes
	waiting list.List
	served  bool  // within Engine.freed
	settled int64 // when a lease was last settled, by the clock
	hoard   timer
	link    LinkID
}

// setLeased notes how many messages of a route's window are with the channel.
func (e *Engine) setLeased(rt *route, n int) {
	if n == rt.leased {
		return
	}
	if l := e.links[rt.link]; l != nil {
		l.quota.held += n - rt.leased
		if n < rt.leased && l.quota.waiting.Len() > 0 {
			e.serve(l)
		}
	}
	rt.leased = n
}

// settledOne notes that a channel has settled a message.
func (e *Engine) settledOne(rt *route) {
	if l := e.links[rt.link]; l != nil {
		l.quota.settled = e.clock
	}
}

// mayLease tells whether a route may lease one more now. If not, it waits.
func (e *Engine) mayLease(rt *route) bool {
	l := e.links[rt.link]
	if l == nil || l.quota.most == 0 {
		return true
	}
	q := &l.quota
	if q.held < q.most && (rt.turn || q.waiting.Len() == 0) {
		rt.turn = false
		return true
	}
	if rt.waits == nil {
		if q.waiting.Len() == 0 {
			q.settled = max(q.settled, e.clock)
			e.timers.set(&q.hoard, e.clock+hoardTime)
		}
		rt.waits = q.waiting.PushBack(rt)
	}
	return false
}

// stopWaiting takes a route out of its link's line.
func (e *Engine) stopWaiting(rt *route) {
	if rt.waits == nil {
		return
	}
	if l := e.links[rt.link]; l != nil {
		l.quota.waiting.Remove(rt.waits)
		if l.quota.waiting.Len() == 0 {
			e.timers.clear(&l.quota.hoard)
		}
	}
	rt.waits = nil
}

// isBounded tells whether what a route has leased is taken from others: then its
// channel must know what it holds no more.
func (e *Engine) isBounded(rt *route) bool {
	l := e.links[rt.link]
	return l != nil && l.quota.most > 0
}

// othersWait tells whether more routes wait than there is room for, not counting
// this one.
func (e *Engine) othersWait(rt *route) bool {
	l := e.links[rt.link]
	if l == nil {
		return false
	}
	waiting := l.quota.waiting.Len()
	if rt.waits != nil {
		waiting--
	}
	return waiting > max(0, l.quota.most-l.quota.held)
}

func (e *Engine) serve(l *link) {
	if !l.quota.served {
		l.quota.served = true
		e.freed = append(e.freed, l)
	}
}

// giveTurns lets waiting routes lease while there is room.
func (e *Engine) giveTurns(l *link) {
	q := &l.quota
	q.served = false
	for q.held < q.most && q.waiting.Len() > 0 && e.links[l.id] == l {
		rt := q.waiting.Front().Value.(*route)
		e.stopWaiting(rt)
		rt.turn = true
		e.pump(rt)
		rt.turn = false
	}
}

// fire tells on a channel that hoards, while it does.
func (q *quota) fire(e *Engine) {
	if e.clock-q.settled >= hoardTime {
		q.settled = e.clock
		e.emit(&Misdeed{Link: q.link, Kind: Hoarding})
	}
	e.timers.set(&q.hoard, q.settled+hoardTime)
}
