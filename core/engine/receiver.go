package engine

import (
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// receiver is a name with its queue and the routes to it.
type receiver struct {
	name   string
	group  string
	seenAt int64
	routes []*route
	tail   record.Seq // of the newest item on disk

	// queued and queuedBytes count open items, those not yet on disk included.
	queued      int64
	queuedBytes int64
	estimate    *estimate // nil: they are exact
	unwritten   int       // items on their way to disk

	// items are those in memory: in some route's window, or awaited by a
	// sender. In the order of seq.
	items []*item

	gone bool // forgotten; what still refers to it must let go

	again *sweepAgain // a sweep that failed, or nil

	reads int // Loads and Finds under way
	// written are the items that were written while reads were under way: what
	// those bring may be older than that.
	written map[record.Seq]record.Item
}

// item is a receiver's share of a message, while it is in memory.
type item struct {
	record.Item
	message  *message.Message
	receiver *receiver
	wait     *wait // the sender's, or nil
	waitSlot int
	refs     int // windows and waits that hold it
	// recalled is the generation of the route that has taken it back last.
	recalled uint64
}

func (it *item) sent() bool { return it.SentAt != 0 }

func (it *item) expired(now int64) bool {
	return it.message.ExpiresAt != 0 && it.message.ExpiresAt <= now
}

func (r *receiver) route(channel string) *route {
	for _, rt := range r.routes {
		if rt.channel == channel {
			return rt
		}
	}
	return nil
}

// holder is the route that holds the name, or nil.
func (r *receiver) holder() *route {
	for _, rt := range r.routes {
		if rt.policy.Exclusive && rt.kind != record.Retired {
			return rt
		}
	}
	return nil
}

// foreignTo tells whether other channels serve the receiver, and this one does not.
// One that is switched off serves nobody: so a channel may be renamed.
func (r *receiver) foreignTo(channel string) bool {
	others := false
	for _, rt := range r.routes {
		if rt.kind != record.Retired {
			if rt.channel == channel {
				return false
			}
			others = true
		}
	}
	return others
}

// configured tells whether the operator has named the receiver.
func (r *receiver) configured() bool {
	return slices.ContainsFunc(r.routes, func(rt *route) bool { return rt.kind == record.Declared })
}

func (r *receiver) bySeq(seq record.Seq) *item {
	i, found := slices.BinarySearchFunc(r.items, seq, func(it *item, s record.Seq) int { return int(it.Seq - s) })
	if !found {
		return nil
	}
	return r.items[i]
}

// byMID searches from the oldest: that is the one which acks are about.
func (r *receiver) byMID(mid message.MID) *item {
	for _, it := range r.items {
		if it.MID == mid {
			return it
		}
	}
	return nil
}

// hold returns the item in memory for a record, adding it if need be, with one
// more reference.
func (r *receiver) hold(rec record.Item, m *message.Message) *item {
	i, found := slices.BinarySearchFunc(r.items, rec.Seq, func(it *item, s record.Seq) int { return int(it.Seq - s) })
	if !found {
		r.items = slices.Insert(r.items, i, &item{Item: rec, message: m, receiver: r})
	}
	r.items[i].refs++
	return r.items[i]
}

// release gives a reference back; an item that nobody holds leaves memory.
func (r *receiver) release(it *item) {
	it.refs--
	if it.refs > 0 {
		return
	}
	if i := slices.Index(r.items, it); i >= 0 {
		r.items = slices.Delete(r.items, i, i+1)
	}
}

// newest is what a read has brought of an item, or what was written since.
func (r *receiver) newest(read record.Item) record.Item {
	if now, since := r.written[read.Seq]; since {
		return now
	}
	return read
}

// alive tells whether there is a way to the receiver, be it down.
func (r *receiver) alive() bool {
	return slices.ContainsFunc(r.routes, func(rt *route) bool { return rt.kind != record.Retired })
}

// awaited tells whether a route that is retired or switched off would carry the
// item if it came back.
func (r *receiver) awaited(it *item) bool {
	return slices.ContainsFunc(r.routes, func(rt *route) bool { return rt.kind == record.Retired && !rt.passed(it) })
}

// count adds to the open items.
func (r *receiver) count(items, bytes int64) {
	r.queued = max(0, r.queued+items)
	r.queuedBytes = max(0, r.queuedBytes+bytes)
	if r.queued == 0 {
		r.queuedBytes = 0
	}
}

// full tells whether one more message of this size is over a limit.
func (r *receiver) full(c *Config, size int) bool {
	return c.QueueLength > 0 && r.queued >= c.QueueLength ||
		c.QueueBytes > 0 && r.queued > 0 && r.queuedBytes+int64(size) > c.QueueBytes
}

// join moves the receiver to a group, "" for none.
func (e *Engine) join(r *receiver, group string) {
	if group == r.group {
		return
	}
	e.leave(r)
	r.group = group
	if group != "" {
		e.groups[group] = append(e.groups[group], r)
	}
}

func (e *Engine) leave(r *receiver) {
	if r.group == "" {
		return
	}
	members := e.groups[r.group]
	if i := slices.Index(members, r); i >= 0 {
		members = slices.Delete(members, i, i+1)
	}
	if len(members) == 0 {
		delete(e.groups, r.group)
	} else {
		e.groups[r.group] = members
	}
	r.group = ""
}

// settle has it written down where an item stands.
func (e *Engine) settle(it *item, more ...record.Op) {
	if r := it.receiver; r.reads > 0 {
		if r.written == nil {
			r.written = make(map[record.Seq]record.Item)
		}
		r.written[it.Seq] = it.Item
	}
	e.write(nil, append([]record.Op{&record.Settle{Item: it.Item}}, more...)...)
}

// raise lifts an item's status and what its sender is told. A hand-off is the
// last that a sender waits for when nobody can ack.
func (e *Engine) raise(it *item, status message.Status) {
	it.Status = it.Status.Max(status)
	if it.wait == nil {
		return
	}
	it.wait.statuses[it.waitSlot].Status = it.Status
	if it.Status.Rank >= message.ChannelOK && !it.receiver.canAck() {
		e.unwait(it)
	}
}

// unwait tells the item's sender, if one waits, that its status is final.
func (e *Engine) unwait(it *item) {
	if w := it.wait; w != nil {
		it.wait = nil
		it.receiver.release(it)
		w.open--
		if w.open == 0 {
			e.finishWait(w)
		}
	}
}

// canAck tells whether the receiver itself can confirm on some route.
func (r *receiver) canAck() bool {
	return slices.ContainsFunc(r.routes, func(rt *route) bool { return rt.kind != record.Retired && rt.policy.Acks })
}

// end is the end of an item. Leases of it are recalled, but for origin, which
// brought the news and holds it no more. write is false where another operation
// ends the row.
func (e *Engine) end(it *item, state record.State, reason string, origin *route, write bool) {
	it.State, it.Reason, it.EndedAt = state, reason, e.wall
	switch state {
	case record.Acked:
		e.stats.Acked++
		e.raise(it, message.Status{Rank: message.OK})
	case record.Dead:
		e.stats.Dead++
		if write { // else all of that operation are counted together
			e.observer.Died(reason, 1)
		}
		e.raise(it, message.Status{Rank: message.Failed})
	case record.HandedOff:
		e.stats.HandedOff++
	}
	if write {
		e.settle(it)
	}
	r := it.receiver
	r.count(-1, -int64(it.message.Size()))
	if r.estimate != nil {
		r.estimate.ended(it)
	}
	it.refs++ // until the end of this function
	for _, rt := range r.routes {
		i := slices.Index(rt.window, it)
		if i < 0 {
			continue
		}
		if i < rt.leased && rt != origin {
			e.emit(&Recall{Link: rt.link, Receiver: r.name, Generation: rt.generation, MID: it.MID})
		}
		e.dropAt(rt, i)
	}
	e.unwait(it)
	r.release(it)
}

// expire ends an item whose time is over.
func (e *Engine) expire(it *item) {
	if it.Status.Rank >= message.ChannelOK {
		e.end(it, record.HandedOff, "", nil, true)
	} else {
		e.end(it, record.Dead, diedExpired, nil, true)
	}
}

// endIfDone ends an item that no route will carry any further: every route has
// passed it, and at least one handed it off or had it rejected.
func (e *Engine) endIfDone(it *item, origin *route) {
	for _, rt := range it.receiver.routes {
		if rt.kind != record.Retired && !rt.passed(it) {
			return
		}
	}
	if it.Status.Rank >= message.ChannelOK {
		e.end(it, record.HandedOff, "", origin, true)
	} else {
		e.end(it, record.Dead, diedRejected, origin, true)
	}
}
