package engine

import (
	"slices"

	"mpush/core/record"
)

// A start knows of each queue where its first open item is, and where its end: to
// count what is open between them would be to read all queues. They are counted
// where the difference may tell, one step of one queue at a time, so that the
// traffic goes on and short ones are not behind long ones.

// estimate is what a start has made of a queue, until that is counted.
type estimate struct {
	last         record.Seq // of the queue at the start; what came later is known
	items, bytes int64      // up to there, as the receiver counts them

	counting        bool       // it is in the line
	place           record.Seq // it is counted up to here
	open, openBytes int64      // and so much is open there
}

// estimate takes over what a start knows of a queue.
func (e *Engine) estimate(tail *record.Tail) {
	r := e.receivers[tail.Name]
	// What no way carries any further was about to be ended.
	left := tail.Queued > 0 && r.alive() && !slices.ContainsFunc(r.routes, func(rt *route) bool {
		return rt.kind != record.Retired && rt.cursor <= tail.Seq-record.Seq(tail.Queued)
	})
	if tail.Queued > 1 || left {
		r.estimate = &estimate{last: tail.Seq, items: tail.Queued, bytes: tail.QueuedBytes}
	}
	if left || r.estimate != nil && r.nearlyFull(&e.config) {
		e.recount(r)
	}
}

// counter is the line of receivers whose queues are to be counted.
type counter struct {
	line  []*receiver
	busy  bool  // one is being read, or the last read has failed a moment ago
	timer timer // until the next attempt then
}

func (c *counter) fire(*Engine) { c.busy = false }

// recount has an estimate replaced, a moment later.
func (e *Engine) recount(r *receiver) {
	if r.estimate != nil && !r.estimate.counting {
		r.estimate.counting = true
		e.counter.line = append(e.counter.line, r)
	}
}

// countNext takes the next step. At the end of the line its receiver goes on.
func (e *Engine) countNext() {
	c := &e.counter
	for !c.busy && len(c.line) > 0 {
		r := c.line[0]
		c.line[0], c.line = nil, c.line[1:]
		if !r.gone {
			c.busy = true
			r.reads++
			e.emit(&Load{
				Token: e.await(&pendingCount{r}), Receiver: r.name, After: r.estimate.place,
				N: sweepItems, MaxBytes: maxWindowBytes,
			})
		}
	}
}

// pendingCount is a step's read under way.
type pendingCount struct{ receiver *receiver }

func (e *Engine) counted(p *pendingCount, ev *Loaded) {
	r, c := p.receiver, &e.counter
	if ev.Err != nil {
		c.line = append(c.line, r)
		e.timers.set(&c.timer, e.clock+loadRetry)
		return
	}
	c.busy = false
	n := r.estimate
	more := ev.More
	for _, queued := range ev.Items {
		if queued.Seq > n.last {
			more = false
			break
		}
		open := e.review(r, &queued)
		if n.place = queued.Seq; open {
			n.open++
			n.openBytes += int64(queued.Message.Size())
		}
	}
	if more && n.place < n.last {
		c.line = append(c.line, r)
		return
	}
	r.estimate = nil
	r.count(n.open-n.items, n.openBytes-n.bytes)
}

// ended takes an item out of what was and is to be counted.
func (n *estimate) ended(it *item) {
	size := int64(it.message.Size())
	if it.Seq <= n.last {
		n.items, n.bytes = n.items-1, n.bytes-size
	}
	if it.Seq <= n.place {
		n.open, n.openBytes = n.open-1, n.openBytes-size
	}
}

// nearlyFull tells whether a queue is so long that its limits may come to matter,
// well before they do.
func (r *receiver) nearlyFull(c *Config) bool {
	return c.QueueLength > 0 && 2*r.queued >= c.QueueLength || c.QueueBytes > 0 && 2*r.queuedBytes >= c.QueueBytes
}

// isFull tells whether a receiver has no room for one more message of this size.
func (e *Engine) isFull(r *receiver, size int) bool {
	full := r.full(&e.config, size)
	if r.estimate != nil && (full || r.nearlyFull(&e.config)) {
		e.recount(r)
	}
	return full
}

// drained tells whether there is little left to count, as a route has come to the
// end of the queue: it acks, or the others are done with what is estimated, too.
func (rt *route) drained() bool {
	r := rt.receiver
	if len(rt.window) > 0 || rt.next <= r.tail || r.unwritten > 0 {
		return false
	}
	return rt.policy.Acks || !slices.ContainsFunc(r.routes, func(other *route) bool { return other.position() < r.estimate.last })
}
