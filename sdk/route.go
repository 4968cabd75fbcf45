package sdk

import "context"

// route is the plugin's side of one receiver's route: its leases in the order of
// delivery. It belongs to the sequencer's lock.
type route struct {
	receiver   string
	generation uint64
	attached   bool // by this plugin: known until the attachment ends
	resends    bool // the core resends an unanswered head, and leases ahead

	head, tail *lease
	// busy: somebody hands out on this route; cancel ends the Deliver call that
	// runs, nil if none does.
	busy   bool
	cancel context.CancelFunc

	lately     recentMIDs // acked
	restarting bool       // after a retry, until the core begins anew
	retried    int64      // the message that was
}

func (r *route) push(l *lease) {
	if r.tail == nil {
		r.head = l
	} else {
		r.tail.next = l
	}
	r.tail = l
}

func (r *route) find(mid int64) *lease {
	for l := r.head; l != nil; l = l.next {
		if l.delivery.Message.MID == mid {
			return l
		}
	}
	return nil
}

// remove takes l, which must be there, out of the queue.
func (r *route) remove(l *lease) {
	var before *lease
	for at := r.head; at != l; at = at.next {
		before = at
	}
	if before == nil {
		r.head = l.next
	} else {
		before.next = l.next
	}
	if r.tail == l {
		r.tail = before
	}
	l.next = nil
}

// voidAll ends all leases and cuts off the call that runs.
func (r *route) voidAll() {
	for l := r.head; l != nil; l = l.next {
		l.state = void
	}
	r.head, r.tail = nil, nil
	if r.cancel != nil {
		r.cancel()
	}
}

// begin starts a newer generation: nothing of the old one counts any more.
func (r *route) begin(generation uint64) {
	r.voidAll()
	r.generation = generation
	r.lately = recentMIDs{}
	r.restarting = false
}

// end leaves nothing to remember.
func (r *route) end() {
	r.voidAll()
	r.attached, r.restarting, r.lately = false, false, recentMIDs{}
}

// skipTo makes l the head.
func (r *route) skipTo(l *lease) {
	for at := r.head; at != l; at = at.next {
		at.state = void
	}
	r.head = l
	if r.cancel != nil {
		r.cancel()
	}
}

// restart follows a message that will be tried again. The leases behind it are
// void and come anew, but those that the core sends before it hears of this
// must not overtake it: on a route with leases ahead nothing is handed out
// until it is clear where the core begins.
func (r *route) restart(mid int64) {
	if r.resends {
		r.restarting, r.retried = true, mid
		return
	}
	r.voidAll()
}

// resume takes a lease on after restart; found is an earlier one of the same
// message, or nil.
func (r *route) resume(l, found *lease) {
	again := l.delivery.Attempt > 0
	switch {
	case found == nil && !again:
		// Leased before the core heard, or all before it has ended: in both
		// cases the core sends something again.
		r.push(l)
	case found != nil && again:
		// The head for the core, so what is behind stands.
		r.restarting = false
		r.skipTo(found)
	default:
		r.restarting = false
		r.voidAll()
		r.push(l)
	}
}
