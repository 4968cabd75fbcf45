package engine

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"mpush/core/message"
	"mpush/core/record"
)

// pendingTrace is a Trace under way, for somebody who asked for the statuses of a
// message, or with whole for all that is known.
type pendingTrace struct {
	link    LinkID
	request RequestID
	from    string
	any     bool
	whole   bool
	sent    message.MID // not 0: the caller sent it itself, by a key
	mid     message.MID
}

func (e *Engine) status(ev *Status) {
	e.trace(&pendingTrace{link: ev.Link, request: ev.Request, from: ev.From, any: ev.Any}, ev.MID)
}

func (e *Engine) look(ev *Look) {
	e.trace(&pendingTrace{link: ev.Link, request: ev.Request, any: true, whole: true}, ev.MID)
}

// MaxTraces bounds the Traces under way: they are done one after the other, and each
// may bring as many items as a group has members.
const MaxTraces = 128

// tracesOfOne bounds those of one message, so that who asks for it without end takes
// nobody else's place. Who repeats it by its key is not bound.
const tracesOfOne = 8

// tracing is what is known of a message while Traces of it are under way.
type tracing struct {
	n       int
	settled map[place]record.Item // what was written meanwhile: what they bring may be older
}

// place is an item's.
type place struct {
	receiver string
	seq      record.Seq
}

func (e *Engine) noteSettled(ops []record.Op) {
	for _, op := range ops {
		if s, ok := op.(*record.Settle); ok {
			if t := e.tracing[s.Item.MID]; t != nil {
				t.settled[place{s.Item.Receiver, s.Item.Seq}] = s.Item
			}
		}
	}
}

func (e *Engine) trace(p *pendingTrace, mid message.MID) {
	t := e.tracing[mid]
	if e.traces >= MaxTraces || t != nil && t.n >= tracesOfOne && p.sent == 0 {
		e.refuse(p.link, p.request, Unavailable, "too many statuses are asked for at once: try again")
		return
	}
	e.traces++
	if t == nil {
		t = &tracing{settled: make(map[place]record.Item)}
		e.tracing[mid] = t
	}
	t.n++
	p.mid = mid
	e.emit(&Trace{Token: e.await(p), MID: mid})
}

// traced answers with what is on disk, and newer where that is in memory. Others'
// messages are as if they were not there.
func (e *Engine) traced(ev *Traced) {
	p, ok := e.take(ev.Token).(*pendingTrace)
	if !ok {
		return
	}
	t := e.tracing[p.mid]
	e.traces--
	if t.n--; t.n == 0 {
		delete(e.tracing, p.mid)
	}
	switch {
	case ev.Err != nil:
		e.refuse(p.link, p.request, Unavailable, "the message could not be read: "+ev.Err.Error())
		return
	case ev.Message == nil && p.sent != 0: // the key is kept longer than the history
		e.answer(p.link, p.request, Published{MID: p.sent})
		return
	case ev.Message == nil || !p.any && (p.from == "" || p.from != ev.Message.FromName):
		e.refuse(p.link, p.request, NotFound, "there is no such message, or no more")
		return
	}
	for i := range ev.Items {
		e.refresh(t, &ev.Items[i])
	}
	if p.whole {
		e.answer(p.link, p.request, Looked{Message: ev.Message, Items: ev.Items, Ways: e.ways(ev.Items)})
		return
	}
	published := Published{MID: ev.Message.MID}
	for _, it := range ev.Items {
		published.Statuses = append(published.Statuses, TargetStatus{it.Receiver, it.Status})
	}
	e.answer(p.link, p.request, published)
}

// refresh puts what memory knows of an item in the place of what was on disk.
func (e *Engine) refresh(t *tracing, rec *record.Item) {
	if now, written := t.settled[place{rec.Receiver, rec.Seq}]; written && now.MID == rec.MID && rec.State == record.Open {
		now.Status = rec.Status.Max(now.Status)
		*rec = now
	}
	if r := e.receivers[rec.Receiver]; r != nil {
		if it := r.bySeq(rec.Seq); it != nil && it.MID == rec.MID {
			*rec = it.Item
		}
	}
}

// mostFailing bounds what a survey names.
const mostFailing = 1000

func (e *Engine) survey(ev *Survey) {
	s, shares := Surveyed{Receivers: len(e.receivers), DiskLow: e.diskLow}, make(map[string]*Share)
	for _, r := range e.receivers { // not sorted: all traffic waits meanwhile
		s.Queued += r.queued
		for _, rt := range r.routes {
			if rt.kind != record.Retired || rt.suspended != 0 {
				share := shares[rt.channel]
				if share == nil {
					share = &Share{Channel: rt.channel}
					shares[rt.channel] = share
				}
				share.Routes++
				share.Queued += r.queued
				share.InFlight += rt.leased
				if rt.up {
					share.Up++
				}
			}
			if !rt.up {
				continue
			}
			s.Routes++
			if rt.failures > 0 && rt.head != nil {
				next := e.wall
				if rt.paused {
					next = e.due(rt)
				}
				s.Failing = append(s.Failing, Failing{
					Receiver: r.name, Channel: rt.channel, Failures: rt.failures, Next: next, Error: rt.head.Error,
				})
			}
		}
	}
	slices.SortFunc(s.Failing, func(a, b Failing) int {
		return cmp.Or(strings.Compare(a.Receiver, b.Receiver), strings.Compare(a.Channel, b.Channel))
	})
	s.Failing = s.Failing[:min(len(s.Failing), mostFailing)]
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		if l := e.linkOf(name); l != nil {
			shares[name].Most, shares[name].Waiting = l.quota.most, l.quota.waiting.Len()
		}
		s.Channels = append(s.Channels, *shares[name])
	}
	e.answer(ev.Link, ev.Request, s)
}
