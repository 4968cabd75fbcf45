package sdk

import "context"

// route is the plugin's side of one receiver's route: its leases in the order of
// delivery. It belongs to the sequencer's lock.
type route struct {
	receiver   string
	generation uint64
	attached   bool // by this plugin: known until the attachment ends
	resends    bool // the core resends an unanswered head, and leases ahead

	queue leases
	// busy: somebody hands out on this route; cancel ends the Deliver call that
	// runs, nil if none does.
	busy   bool
	cancel context.CancelFunc

	acked, handed recentMIDs // the last that ended so: handed is handed off

	// restarting: after a retry of the message retried, until it is clear where
	// the core begins anew. parked are the leases that were behind it, and those
	// that have come since.
	restarting bool
	retried    int64
	parked     leases
}

// begin starts a newer generation: nothing of the old one counts any more.
func (r *route) begin(generation uint64) {
	r.voidAll()
	r.generation = generation
	r.acked, r.handed = recentMIDs{}, recentMIDs{}
}

// end leaves nothing to remember.
func (r *route) end() {
	r.voidAll()
	r.attached, r.acked, r.handed = false, recentMIDs{}, recentMIDs{}
}

// voidAll ends all leases and cuts off the call that runs.
func (r *route) voidAll() {
	r.queue.dropBefore(nil)
	r.parked.dropBefore(nil)
	r.restarting = false
	if r.cancel != nil {
		r.cancel()
	}
}

// skipTo makes l, which is in the queue, its head.
func (r *route) skipTo(l *lease) {
	r.queue.dropBefore(l)
	if r.cancel != nil {
		r.cancel()
	}
}

// restart follows a message that will be tried again. The leases behind it are
// void and come anew. On a route with leases ahead the core may have sent more
// of them before it hears of this, and they must not overtake: they are parked.
func (r *route) restart(mid int64) {
	if !r.resends {
		r.voidAll()
		return
	}
	if !r.restarting {
		r.restarting, r.parked, r.queue = true, r.queue, leases{}
	}
	r.retried = mid
}

// resume takes a lease while restarting.
func (r *route) resume(l *lease) {
	mid, again := l.delivery.Message.MID, l.delivery.Attempt > 0
	parked := r.parked.find(mid)
	switch {
	case mid == r.retried:
		// Perhaps a resend from before the core heard: the rest stays parked.
		r.queue.push(l)
		r.restarting = r.parked.head != nil
	case parked != nil && again:
		// The head for the core, which has not heard: what is behind stands.
		r.parked.dropBefore(parked)
		r.unpark()
	case parked != nil:
		// The core has heard and leases anew, all of them in order.
		r.parked.dropBefore(nil)
		r.restarting = false
		r.queue.push(l)
	case again:
		r.voidAll()
		r.queue.push(l)
	default:
		// From before the core heard, or all before it has ended. In both cases
		// the core sends something again.
		r.parked.push(l)
	}
}

// unpark goes on with the parked leases in place of the queue.
func (r *route) unpark() {
	parked := r.parked
	r.parked = leases{}
	r.voidAll()
	r.queue = parked
}

// leases is a list in the order of delivery.
type leases struct{ head, tail *lease }

func (q *leases) push(l *lease) {
	if q.tail == nil {
		q.head = l
	} else {
		q.tail.next = l
	}
	q.tail = l
}

func (q *leases) find(mid int64) *lease {
	for l := q.head; l != nil; l = l.next {
		if l.delivery.Message.MID == mid {
			return l
		}
	}
	return nil
}

// remove takes l out, and reports false if it is not there.
func (q *leases) remove(l *lease) bool {
	var before *lease
	for at := q.head; at != l; at = at.next {
		if at == nil {
			return false
		}
		before = at
	}
	if before == nil {
		q.head = l.next
	} else {
		before.next = l.next
	}
	if q.tail == l {
		q.tail = before
	}
	l.next = nil
	return true
}

// dropBefore voids all leases before l, or simply all if it is nil.
func (q *leases) dropBefore(l *lease) {
	for q.head != l {
		q.head.state = void
		q.head = q.head.next
	}
	if l == nil {
		q.tail = nil
	}
}
