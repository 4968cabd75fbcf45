package engine

import (
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// outcome takes a channel's word on a delivery. Acks count whatever the
// generation; everything else only for the lease that it is about.
func (e *Engine) outcome(ev *Outcome) {
	l, r := e.links[ev.Link], e.receivers[ev.Receiver]
	if l == nil {
		return
	}
	var rt *route
	if r != nil {
		rt = r.route(l.channel)
	}
	if rt == nil {
		e.foreign(ev.Link)
		return
	}
	if ev.Kind == Acked && !rt.policy.Acks {
		e.emit(&Misdeed{Link: ev.Link, Kind: UnfoundedAck})
		handedOff := *ev // so much is true of it
		handedOff.Kind = HandedOff
		ev = &handedOff
	}
	if ev.Kind == Acked {
		origin, voucher := rt, ev.Link
		if ev.Late || rt.generation != ev.Generation {
			origin, voucher = nil, 0 // the receiver's word, or that of an earlier one
		}
		rt.failures = 0
		e.settledOne(rt)
		if origin != nil && rt.head != nil && rt.head.MID == ev.MID {
			e.attemptEnded(rt, deliveredAcked)
		}
		e.ack(r, ev.MID, l.channel, origin, voucher)
		return
	}
	if !rt.up || rt.link != ev.Link || rt.generation != ev.Generation || rt.head == nil || rt.leased == 0 || rt.head.MID != ev.MID {
		e.stats.StaleOutcomes++
		return
	}
	e.settledOne(rt)
	it := rt.head
	if ev.Late { // the channel may still be about to send it
		e.emit(&Recall{Link: rt.link, Receiver: r.name, Generation: rt.generation, MID: it.MID})
	}
	e.attemptEnded(rt, deliveryOf(ev.Kind))
	switch ev.Kind {
	case HandedOff:
		rt.failures = 0
		e.raise(it, message.Status{Rank: message.ChannelOK, Channel: rt.channel})
		e.pass(rt)
	case Rejected:
		rt.failures = 0
		it.Error = ev.Error
		e.pass(rt)
	case Retry:
		e.fail(rt, ev.After, ev.Error)
	case Gone:
		if _, busy := e.changing[r.name]; busy {
			e.fail(rt, 0, ev.Error) // it may be another address by then
		} else {
			e.removeRoute(rt)
			here := r.seen(e.wall) // on disk before the route is gone there: from then on it may be away
			r.seenAt = here.Receiver.SeenAt
			e.write(nil, here, &record.DropRoute{Receiver: r.name, Channel: rt.channel})
		}
	}
}

// pass moves a route beyond its head, which may stay open for other routes:
// then it is written down that this one is done with it.
func (e *Engine) pass(rt *route) {
	it := rt.head
	it.refs++
	e.dropAt(rt, 0)
	e.endIfDone(it, rt)
	if it.State == record.Open {
		e.settle(it, &record.Advance{Receiver: rt.receiver.name, Channel: rt.channel, Cursor: rt.position()})
	}
	rt.receiver.release(it)
}

// removeRoute takes a route out of memory for good. What was open for this route
// alone is done with: a sweep finds it.
func (e *Engine) removeRoute(rt *route) {
	r := rt.receiver
	e.lowerRoute(rt)
	r.routes = slices.DeleteFunc(r.routes, func(other *route) bool { return other == rt })
	e.sweep(r, 0)
}

// ack ends the receiver's item of a message, if that was ever sent to it. The word
// came over a channel.
// origin is the route whose channel has let go of it already, or nil. voucher is
// the link that says it was given the message, or 0.
func (e *Engine) ack(r *receiver, mid message.MID, channel string, origin *route, voucher LinkID) {
	it := r.byMID(mid)
	if it == nil {
		e.find(&pendingFind{receiver: r, ack: true, voucher: voucher, channel: channel}, mid)
		return
	}
	// A lease that was taken back may have been sent before its channel heard of
	// that.
	if !it.sent() && (origin == nil || it.recalled != origin.generation) {
		e.unsent(voucher)
		return
	}
	e.acknowledged(it.message, channel)
	e.end(it, record.Acked, "", origin, true)
}

// unsent counts an ack of a message that the receiver was never sent. That is a
// lie of the link that vouches for it, if one does: else the receiver's own.
func (e *Engine) unsent(voucher LinkID) {
	e.stats.UnsentAcks++
	if voucher != 0 {
		e.emit(&Misdeed{Link: voucher, Kind: UngivenAck})
	}
}

// foreign counts the word of a link on a receiver that it does not serve.
func (e *Engine) foreign(liar LinkID) {
	e.stats.ForeignRoutes++
	e.emit(&Misdeed{Link: liar, Kind: ForeignRoute})
}

// confirm takes an ack that came another way. The caller is told "done"
// whatever becomes of it: a callback says nothing about others' messages.
func (e *Engine) confirm(ev *Confirm) {
	l := e.links[ev.Link]
	if l == nil {
		return
	}
	e.answer(ev.Link, ev.Request, Done{})
	r := e.receivers[ev.Receiver]
	switch {
	case r == nil:
		e.stats.UnsentAcks++
	case ev.ByChannel && r.route(l.channel) == nil:
		e.foreign(ev.Link)
	case !ev.HandoffOnly:
		e.ack(r, ev.MID, l.channel, nil, 0)
	default:
		if it := r.byMID(ev.MID); it != nil {
			e.confirmHandoff(it, l.channel)
		} else {
			e.find(&pendingFind{receiver: r, channel: l.channel}, ev.MID)
		}
	}
}

// confirmHandoff notes that a channel's hand-off has arrived.
func (e *Engine) confirmHandoff(it *item, channel string) {
	if it.Status.Rank < message.ChannelWait {
		e.stats.UnsentAcks++
		return
	}
	e.raise(it, message.Status{Rank: message.ChannelConfirmed, Channel: channel})
	e.settle(it)
	// What has arrived was handed off, whatever became of the attempt: it is not
	// sent again.
	if rt := it.receiver.route(channel); rt != nil && rt.head == it && it.State == record.Open {
		if rt.leased > 0 {
			e.emit(&Recall{Link: rt.link, Receiver: rt.receiver.name, Generation: rt.generation, MID: it.MID})
		}
		rt.failures = 0
		e.pass(rt)
	}
}

// pendingFind looks for an item that is not in memory: an ack, or else the
// confirmation of a channel's hand-off.
type pendingFind struct {
	receiver *receiver
	ack      bool
	voucher  LinkID
	channel  string
}

// maxReads bounds what a receiver's callbacks can make the store look up at once:
// who floods it with wrong ones delays nobody's writes. One too many is ignored,
// as if it had been lost.
const maxReads = 16

func (e *Engine) find(p *pendingFind, mid message.MID) {
	if p.receiver.reads >= maxReads {
		e.unsent(p.voucher)
		return
	}
	p.receiver.reads++
	e.emit(&Find{Token: e.await(p), Receiver: p.receiver.name, MID: mid})
}

func (e *Engine) found(ev *Found) {
	switch p := e.take(ev.Token).(type) {
	case *pendingFind:
		e.readEnds(p.receiver, func() { e.use(p, ev) })
	case *pendingReplay:
		if p.receiver.gone {
			e.refuse(p.link, p.request, NotFound, noLetter)
		}
		e.readEnds(p.receiver, func() { e.replayFound(p, ev) })
	}
}

// use takes what a Find brought. If the read failed, the receiver gets the
// message again and acks again.
func (e *Engine) use(p *pendingFind, ev *Found) {
	r := p.receiver
	if ev.Err != nil {
		return
	}
	it, rec := r.byMID(ev.Item.MID), r.newest(ev.Item.Item)
	switch {
	case ev.Item.Message == nil:
		e.unsent(p.voucher)
		return
	case it == nil && rec.State != record.Open:
		e.stats.LateAcks++
		return
	case it == nil:
		it = &item{Item: rec, message: ev.Item.Message, receiver: r}
	}
	switch {
	case !p.ack:
		e.confirmHandoff(it, p.channel)
	case !it.sent():
		e.unsent(p.voucher)
	default:
		e.acknowledged(it.message, p.channel)
		e.end(it, record.Acked, "", nil, true)
	}
}
