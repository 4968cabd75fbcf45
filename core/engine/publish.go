package engine

import (
	"cmp"
	"fmt"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// wait is a sender that wants to know what becomes of its message.
type wait struct {
	link     LinkID
	request  RequestID
	mid      message.MID
	statuses []TargetStatus
	items    []*item // that are held for it
	open     int     // targets without a final status
	done     bool
	held     int64 // bytes, against what its link may hold; 0: not yet, or no more
	many     int   // receivers, likewise; 0 for a few
	timer    timer
}

// A link's senders may wait for so many messages at once, which stay in memory
// for so long. One more is answered at once.
const (
	maxWaits     = 16_384
	maxWaitBytes = 64 << 20
)

// Those that wait for more than a few receivers may wait for so many in all, of
// which each takes some 250 bytes. They take no place of those that wait for few.
const (
	fewTargets     = 8
	maxWaitTargets = 262_144
)

func (w *wait) fire(e *Engine) { e.finishWait(w) }

// finishWait ends a wait: it is answered at the end of the step, with what the
// step's deliveries have changed by then.
func (e *Engine) finishWait(w *wait) {
	if !w.done {
		w.done = true
		e.timers.clear(&w.timer)
		if l := e.links[w.link]; l != nil && w.held > 0 {
			l.waits--
			l.waitBytes -= w.held
			l.waitTargets -= w.many
		}
		e.finished = append(e.finished, w)
	}
}

// letGo gives back what a wait holds.
func (w *wait) letGo() {
	for _, it := range w.items {
		if it.wait == w {
			it.wait = nil
			it.receiver.release(it)
		}
	}
	w.items = nil
}

// publish routes a message: one item for each receiver with room in its queue.
// It is accepted when it is on disk.
func (e *Engine) publish(ev *Publish) {
	line := e.lines[senderOf(ev)]
	switch {
	case e.links[ev.Link] == nil: // it has gone while this waited
	case ev.Key.Name != "":
		e.publishOnce(ev)
	case len(line) > 0:
		e.lines[senderOf(ev)] = append(line, &turn{event: ev})
	default:
		e.route(ev, nil)
	}
}

// route is publish for a message that was not sent before. key is nil, or what
// to go on with when it is written or refused.
func (e *Engine) route(ev *Publish, key *keyed) {
	routed := false
	defer func() {
		if key != nil && !routed {
			e.unkey(key)
		}
	}()
	switch {
	case e.stopping:
		e.refuseMessage(ev, Unavailable, "the server is stopping")
		return
	case e.diskLow:
		e.refuseMessage(ev, Unavailable, "limits.diskReserve: the server's disk is almost full, nothing is accepted until there is space")
		return
	case ev.SendType != message.Personal && ev.SendType != message.Group:
		e.refuseMessage(ev, Invalid, "sendType must be personal or group")
		return
	case !message.ValidName(ev.Target):
		e.refuseMessage(ev, Invalid, fmt.Sprintf("target must have 1 to %d bytes and no control characters", message.MaxNameBytes))
		return
	case e.links[ev.Link] == nil:
		return
	}
	m := &message.Message{
		SendType: ev.SendType, Target: ev.Target, FromMethod: cmp.Or(ev.FromMethod, e.links[ev.Link].channel), FromName: ev.FromName,
		Text: ev.Text, Desp: ev.Desp, Extra: ev.Extra, AcceptedAt: e.wall,
	}
	size := m.Size()
	if size > message.MaxSize {
		e.refuseMessage(ev, TooLarge, fmt.Sprintf("a message may have %d bytes, this one has %d", message.MaxSize, size))
		return
	}
	if ttl := e.ttl(ev.TTL); ttl > 0 {
		m.ExpiresAt = e.wall + ttl
	}
	targets := e.targets(ev)
	w := &wait{link: ev.Link, request: ev.Request, statuses: make([]TargetStatus, 0, max(len(targets), 1))}
	w.timer.owner = w
	p := &pendingPut{wait: w, message: m, deadline: e.clock + ev.Wait, key: key}
	names := make([]string, 0, len(targets))
	for _, r := range targets {
		status := message.Status{Rank: message.Ready}
		if e.isFull(r, size) {
			status = message.Status{Rank: message.Full}
		} else {
			r.count(1, int64(size))
			r.unwritten++
			names = append(names, r.name)
			p.slots = append(p.slots, slot{r, len(w.statuses)})
		}
		w.statuses = append(w.statuses, TargetStatus{r.name, status})
	}
	if len(targets) == 0 && ev.SendType == message.Personal {
		w.statuses = append(w.statuses, TargetStatus{ev.Target, message.Status{Rank: message.No}})
	}
	if len(p.slots) == 0 {
		e.nobodyGets(len(targets))
		e.finishWait(w)
		return
	}
	m.MID = e.nextMID()
	p.put = &record.Put{Message: m, Receivers: names}
	if key != nil {
		p.put.Key = &record.Key{Sender: ev.Key.Sender, Name: ev.Key.Name, Digest: ev.Key.Digest, MID: m.MID, At: e.wall}
	}
	routed = true
	e.write(p, p.put)
}

// ttl is how long a message may wait, in milliseconds: the relay's time, or a
// shorter one of the sender's. 0 is for ever.
func (e *Engine) ttl(senders int64) int64 {
	if senders > 0 && (e.config.TTL <= 0 || senders < e.config.TTL) {
		return senders
	}
	return e.config.TTL
}

func (e *Engine) targets(ev *Publish) []*receiver {
	if ev.SendType == message.Group {
		return slices.Clone(e.groups[ev.Target])
	}
	if r := e.receivers[ev.Target]; r != nil {
		return []*receiver{r}
	}
	return nil
}

// pendingPut is a message on its way to disk.
type pendingPut struct {
	put      *record.Put
	message  *message.Message
	wait     *wait
	slots    []slot
	deadline int64
	key      *keyed
}

// enqueue adds an item that is on disk at the end of a queue, and holds it for
// the caller.
func (e *Engine) enqueue(r *receiver, seq record.Seq, m *message.Message) *item {
	r.tail = max(r.tail, seq)
	it := r.hold(record.Item{Receiver: r.name, Seq: seq, MID: m.MID, Status: message.Status{Rank: message.Ready}}, m)
	for _, rt := range r.routes {
		if rt.up && rt.next == seq && rt.hasRoom() {
			it.refs++
			rt.appendTo(it)
			e.touch(rt)
		} else if rt.up {
			e.touch(rt) // it may be idle at a queue that it must load
		}
	}
	return it
}

type slot struct {
	receiver *receiver
	status   int // index into the wait's statuses
}

// resume goes on with the accepted message: it joins its receivers' queues.
func (p *pendingPut) resume(e *Engine, err error) {
	if p.key != nil {
		defer e.unkey(p.key)
	}
	w, size := p.wait, int64(p.message.Size())
	for _, s := range p.slots {
		s.receiver.unwritten--
	}
	if err != nil {
		for _, s := range p.slots {
			s.receiver.count(-1, -size)
		}
		e.observer.Refused(RefusedUnavailable)
		e.refuse(w.link, w.request, Unavailable, "the message could not be stored: "+err.Error())
		return
	}
	e.observer.Accepted()
	w.mid = p.message.MID
	for i, s := range p.slots {
		r, seq := s.receiver, p.put.Seqs[i]
		if seq == 0 || r.gone {
			w.statuses[s.status].Status = message.Status{Rank: message.Failed}
			continue
		}
		e.stats.Accepted++
		it := e.enqueue(r, seq, p.message)
		it.wait, it.waitSlot = w, s.status
		w.items = append(w.items, it)
		w.open++
		if it.expired(e.wall) { // writing took so long
			e.expire(it)
		}
	}
	l := e.links[w.link]
	if w.open == 0 || p.deadline <= e.clock || e.stopping || l == nil || l.stopping || l.waits >= maxWaits || l.waitBytes >= maxWaitBytes || len(w.statuses) > fewTargets && l.waitTargets >= maxWaitTargets {
		e.finishWait(w)
	} else {
		w.held = max(size, 1)
		if len(w.statuses) > fewTargets {
			w.many = len(w.statuses)
		}
		l.waits++
		l.waitBytes += w.held
		l.waitTargets += w.many
		e.timers.set(&w.timer, max(p.deadline, e.clock))
	}
}
