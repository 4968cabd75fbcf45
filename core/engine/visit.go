package engine

import (
	"cmp"
	"slices"
	"strings"

	"mpush/core/record"
)

// visit tells how receivers are.
func (e *Engine) visit(ev *Visit) {
	visited := Visited{Receivers: []Resident{}}
	for _, name := range ev.Names {
		if r := e.receivers[name]; r != nil {
			visited.Receivers = append(visited.Receivers, e.resident(r))
		}
	}
	e.answer(ev.Link, ev.Request, visited)
}

func (e *Engine) resident(r *receiver) Resident {
	res := Resident{Name: r.name, Group: r.group, SeenAt: r.seenAt, Queued: r.queued, Bytes: r.queuedBytes, Routes: []Track{}}
	for _, rt := range r.routes {
		track := Track{Channel: rt.channel, Kind: cmp.Or(rt.suspended, rt.kind), Off: rt.suspended != 0, Up: rt.up, InFlight: rt.leased}
		if rt.up && rt.failures > 0 && rt.head != nil {
			track.Failures, track.Error = rt.failures, rt.head.Error
			if rt.paused {
				track.Next = e.due(rt)
			}
		}
		res.Routes = append(res.Routes, track)
	}
	slices.SortFunc(res.Routes, func(a, b Track) int { return strings.Compare(a.Channel, b.Channel) })
	return res
}

// ways tells where each open item can go.
func (e *Engine) ways(items []record.Item) [][]Way {
	all := make([][]Way, len(items))
	for i := range items {
		r := e.receivers[items[i].Receiver]
		if items[i].State != record.Open || r == nil {
			continue
		}
		it := r.bySeq(items[i].Seq)
		for _, rt := range r.routes {
			if rt.kind == record.Retired {
				continue
			}
			way := Way{Channel: rt.channel, Up: rt.up}
			switch {
			case it == nil: // then it is in no window
				way.Passed = rt.position() >= items[i].Seq
			case rt.head == it:
				way.InFlight, way.Paused, way.Attempt, way.Next = !rt.paused, rt.paused, rt.attempt, e.due(rt)
			default:
				way.Passed = rt.passed(it)
			}
			all[i] = append(all[i], way)
		}
		slices.SortFunc(all[i], func(a, b Way) int { return strings.Compare(a.Channel, b.Channel) })
	}
	return all
}

// due is when a route's timer goes off, as people read time.
func (e *Engine) due(rt *route) int64 { return e.wall + rt.timer.at - e.clock }
