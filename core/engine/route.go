package engine

import (
	"container/list"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// route is one receiver on one channel. While it is up it holds a window of the
// receiver's queue: the first leased items of it are with the channel, the
// first of those, the head, is in flight.
type route struct {
	receiver *receiver
	channel  string
	kind     record.RouteKind
	// suspended is the kind on disk of a route that is retired while its
	// channel is switched off; else 0.
	suspended record.RouteKind
	address   []byte
	policy    record.Policy

	up         bool
	link       LinkID
	place      int // in the link's routes
	generation uint64
	epoch      uint64 // by which it was attached

	cursor record.Seq // while down: everything up to here is done with
	window []*item
	bytes  int        // of the window's messages
	next   record.Seq // while up: the first seq that was not looked at yet
	load   uint64     // token of the Load under way, 0 for none
	stale  bool       // the route went down since that was asked for

	leased   int           // set by setLeased alone
	waits    *list.Element // in its link's line for a lease, or nil
	turn     bool          // it was at the head of that line
	head     *item         // the item that attempt and timer speak of
	attempt  int           // deliveries of head on this route
	began    int64         // when the last of these did, by the clock
	failures int           // failed attempts since the last success: the backoff
	paused   bool          // between a failed attempt and the next
	timer    timer
	touched  bool
}

// Window sizes: enough to keep a channel busy while the next load is under way,
// little enough that a hundred thousand live routes with deep queues are cheap.
const (
	minWindowItems = 16
	maxWindowBytes = 256 << 10
)

// leaseTimeout ends the patience with a channel that answers each delivery
// itself and never does.
const leaseTimeout = 10 * 60 * 1000

// maxRetryAfter bounds the pause that a channel may ask for.
const maxRetryAfter = 24 * 60 * 60 * 1000

func newRoute(r *receiver, channel string) *route {
	rt := &route{receiver: r, channel: channel}
	rt.timer.owner = rt
	return rt
}

func (rt *route) record() record.Route {
	return record.Route{
		Receiver: rt.receiver.name, Channel: rt.channel, Kind: rt.kind,
		Address: rt.address, Policy: rt.policy, Cursor: rt.position(),
	}
}

func (rt *route) windowItems() int { return max(minWindowItems, 4*rt.policy.Prefetch) }

func (rt *route) hasRoom() bool {
	return len(rt.window) < rt.windowItems() && rt.bytes < maxWindowBytes
}

// position is the seq up to which everything is done with.
func (rt *route) position() record.Seq {
	switch {
	case !rt.up:
		return rt.cursor
	case len(rt.window) > 0:
		return rt.window[0].Seq - 1
	default:
		return rt.next - 1
	}
}

// passed tells whether the route is done with the item.
func (rt *route) passed(it *item) bool {
	if !rt.up {
		return it.Seq <= rt.cursor
	}
	return it.Seq < rt.next && !slices.Contains(rt.window, it)
}

func (e *Engine) touch(rt *route) {
	if !rt.touched {
		rt.touched = true
		e.touched = append(e.touched, rt)
	}
}

// raiseRoute brings a route up over a link under a new generation. A route that
// was up keeps its window; its leases were void with the old generation.
func (e *Engine) raiseRoute(rt *route, l *link) {
	if rt.up && rt.kind != record.Attached && e.isBounded(rt) { // else an eviction follows
		e.recallLeases(rt)
	}
	e.voidLeases(rt)
	if rt.up {
		e.unlist(rt)
	} else {
		rt.up = true
		rt.next = rt.cursor + 1
	}
	e.lastGen++
	rt.link, rt.generation = l.id, e.lastGen
	rt.failures = 0
	rt.place = len(l.routes)
	l.routes = append(l.routes, rt)
	e.touch(rt)
}

// lowerRoute takes a route down: the queue stays, the window leaves memory.
func (e *Engine) lowerRoute(rt *route) {
	if !rt.up {
		return
	}
	e.voidLeases(rt)
	e.unlist(rt)
	rt.cursor = rt.position()
	rt.up = false
	rt.stale = rt.load != 0
	for _, it := range rt.window {
		rt.receiver.release(it)
	}
	rt.window, rt.bytes = nil, 0
}

func (e *Engine) unlist(rt *route) {
	if l := e.links[rt.link]; l != nil && len(l.routes) > 0 {
		last := l.routes[len(l.routes)-1]
		l.routes[rt.place], last.place = last, rt.place
		l.routes = l.routes[:len(l.routes)-1]
	}
}

// voidLeases takes everything back from the channel. That the head was sent is
// written down: its late ack must count, whoever remembers it by then.
func (e *Engine) voidLeases(rt *route) {
	if rt.head != nil {
		e.settle(rt.head)
	}
	e.stopWaiting(rt)
	e.setLeased(rt, 0)
	rt.head, rt.attempt, rt.paused = nil, 0, false
	e.timers.clear(&rt.timer)
}

// appendTo adds a held item at the end of a window.
func (rt *route) appendTo(it *item) {
	rt.window = append(rt.window, it)
	rt.bytes += it.message.Size()
	rt.next = it.Seq + 1
}

// dropAt removes an item from a window: the route is done with it.
func (e *Engine) dropAt(rt *route, i int) {
	it := rt.window[i]
	rt.window = slices.Delete(rt.window, i, i+1)
	rt.bytes -= it.message.Size()
	if i < rt.leased {
		e.setLeased(rt, rt.leased-1)
	}
	if it == rt.head {
		rt.head, rt.attempt, rt.paused = nil, 0, false
		e.timers.clear(&rt.timer)
	}
	rt.receiver.release(it)
	e.touch(rt)
}

// pump leases what the channel has room for, starts the head, and asks for more
// of the queue.
func (e *Engine) pump(rt *route) {
	if !rt.up {
		return
	}
	for !rt.paused && rt.leased < min(max(rt.policy.Prefetch, 1), len(rt.window)) {
		it := rt.window[rt.leased]
		if it.expired(e.wall) {
			e.expire(it)
			continue
		}
		if !e.mayLease(rt) {
			break
		}
		e.setLeased(rt, rt.leased+1)
		if it == rt.head { // it was given back
			e.deliver(rt, it, rt.attempt)
			e.attempted(rt)
		} else {
			e.deliver(rt, it, 0)
		}
	}
	if !rt.paused && rt.leased > 0 && rt.head == nil {
		rt.head = rt.window[0]
		e.attempted(rt)
	}
	if rt.receiver.estimate != nil && rt.drained() {
		e.recount(rt.receiver)
	}
	if rt.load == 0 && rt.next <= rt.receiver.tail && len(rt.window) <= rt.windowItems()/2 && rt.bytes < maxWindowBytes {
		e.requestLoad(rt)
	}
}

func (e *Engine) deliver(rt *route, it *item, attempt int) {
	e.emit(&Deliver{
		Link: rt.link, Message: it.message, Receiver: rt.receiver.name, Generation: rt.generation,
		Address: rt.address, Attempt: attempt, Interval: e.interval(rt),
	})
}

// attempted notes that the head is being sent.
func (e *Engine) attempted(rt *route) {
	it := rt.head
	e.observer.Attempted(rt.channel, rt.attempt > 0)
	rt.attempt++
	rt.began = e.clock
	it.Tries++
	if it.SentAt == 0 {
		it.SentAt = e.wall
	}
	status := message.Status{Rank: message.ChannelWait, Channel: rt.channel}
	if rt.policy.Acks {
		status = message.Status{Rank: message.Wait}
	}
	e.raise(it, status)
	patience := rt.policy.Resend
	if patience <= 0 {
		patience = max(leaseTimeout, 2*rt.policy.RetryMax)
	}
	e.timers.set(&rt.timer, e.clock+patience)
}

// interval is the route's current retry interval without jitter.
func (e *Engine) interval(rt *route) int64 {
	pause := rt.policy.Retry
	if rt.policy.RetryMax > 0 {
		for i := 1; i < rt.failures && pause < rt.policy.RetryMax; i++ {
			pause *= 2
		}
		pause = min(pause, rt.policy.RetryMax)
	}
	return pause
}

// fail pauses the route after a failed attempt on its head.
func (e *Engine) fail(rt *route, after int64, text string) {
	rt.head.Error = text
	rt.failures++
	pause := e.interval(rt)
	if rt.policy.RetryMax > 0 {
		pause += int64(e.jitter.Float64() * 0.2 * float64(pause))
	}
	e.setLeased(rt, 0)
	rt.paused = true
	e.settle(rt.head)
	pause = max(pause, min(after, maxRetryAfter))
	if expires := rt.head.message.ExpiresAt; expires != 0 {
		pause = min(pause, max(0, expires-e.wall))
	}
	e.timers.set(&rt.timer, e.clock+pause)
}

// fire is the route's timer: the pause is over, or the head got no answer.
func (rt *route) fire(e *Engine) {
	switch {
	case rt.paused && rt.head == nil: // a load failed
		rt.paused = false
		e.touch(rt)
	case rt.head.expired(e.wall):
		e.expire(rt.head)
	case rt.paused:
		rt.paused = false
		e.touch(rt)
	case rt.policy.Resend <= 0:
		e.attemptEnded(rt, deliveredUnanswered)
		e.recallLeases(rt)
		e.fail(rt, 0, "the channel gave no outcome")
	case e.othersWait(rt):
		e.attemptEnded(rt, deliveredUnanswered)
		e.recallLeases(rt)
		e.stopWaiting(rt) // for more than it had
		e.setLeased(rt, 0)
		e.touch(rt) // it waits at the end of the line
	default:
		e.attemptEnded(rt, deliveredUnanswered)
		e.deliver(rt, rt.head, rt.attempt)
		e.attempted(rt)
	}
}

// recallLeases tells the channel that what it holds of a route is not its any more:
// the last first, else it would go on to the next with each.
func (e *Engine) recallLeases(rt *route) {
	for _, it := range slices.Backward(rt.window[:rt.leased]) {
		it.recalled = rt.generation
		e.emit(&Recall{Link: rt.link, Receiver: rt.receiver.name, Generation: rt.generation, MID: it.MID})
	}
}
