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

	lately      recentMIDs // acked
	restarting  bool       // after a retry, until the core begins anew
	restartLast int64      // the last message that was dropped by it
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
	r.attached, r.lately = false, recentMIDs{}
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

// restart drops the leases behind a message that will be tried again: the core
// leases them anew.
func (r *route) restart(mid int64) {
	r.restartLast = mid
	if r.tail != nil {
		r.restartLast = r.tail.delivery.Message.MID
	}
	r.restarting = r.resends
	r.voidAll()
}

// awaitsRestart tells whether d was leased before the core heard of the retry
// and so comes again behind the message that failed. Should it be wrong, the
// core's resend brings the message.
func (r *route) awaitsRestart(d *Delivery) bool {
	if r.restarting && d.Attempt == 0 && d.Message.MID > r.restartLast {
		return true
	}
	r.restarting = false
	return false
}
