package engine

import "mpush/core/record"

// When a channel with many receivers goes, all of them were seen until then. That is
// written a few at a time, so that no sender waits for all of it.
const (
	seenAtOnce = 500
	seenPause  = 20 // between two times, in milliseconds
)

// departures is the line of receivers whose SeenAt is to be written.
type departures struct {
	line  []*receiver
	timer timer // set for a while after each time
}

// saw notes that a receiver was here until now, if what is known is stale.
func (e *Engine) saw(r *receiver) {
	if e.wall-r.seenAt < seenLast {
		return
	}
	r.seenAt = max(r.seenAt, e.wall)
	d := &e.departures
	d.line = append(d.line, r)
	if d.timer.index == 0 || e.stopping { // no timer fires after the end
		d.fire(e)
	}
}

func (d *departures) fire(e *Engine) {
	n := min(len(d.line), seenAtOnce)
	if n == 0 {
		return
	}
	e.timers.set(&d.timer, e.clock+seenPause)
	now := d.line[:n:n]
	d.line = d.line[n:]
	for _, r := range now {
		if _, busy := e.changing[r.name]; busy {
			d.line = append(d.line, r) // the change may forget it, or fail
		} else if !r.gone {
			e.write(nil, r.seen(r.seenAt))
		}
	}
	clear(now)
}

// writeAll is for the end.
func (d *departures) writeAll(e *Engine) {
	for n := len(d.line); n > 0; n -= seenAtOnce {
		d.fire(e)
	}
}

// seen is a receiver's record when it was last seen at a time, or later.
func (r *receiver) seen(at int64) *record.SaveReceiver {
	return &record.SaveReceiver{Receiver: record.Receiver{Name: r.name, Group: r.group, SeenAt: max(r.seenAt, at)}}
}
