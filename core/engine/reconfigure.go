package engine

import (
	"slices"

	"mpush/core/record"
)

// reconfigure takes over what the operator has changed. Nothing that is queued
// is touched: new limits hold for what comes.
func (e *Engine) reconfigure(ev *Reconfigure) {
	e.config = ev.Config
	e.switchChannels(ev.Channels)
	e.epoch, e.holding = max(e.epoch, ev.Epoch), slices.Clone(ev.Holding)
	e.endSessions()
}

// ended tells whether an epoch is over.
func (e *Engine) ended(epoch uint64) bool {
	if e.holding == nil {
		return epoch < e.epoch
	}
	return epoch <= e.epoch && !slices.Contains(e.holding, epoch)
}

// isOn tells whether the operator has switched the channel on.
func (e *Engine) isOn(channel string) bool {
	return e.channels == nil || slices.Contains(e.channels, channel)
}

// suspend retires a route in memory alone, for as long as its channel is
// switched off.
func (rt *route) suspend() {
	if rt.kind != record.Retired {
		rt.suspended, rt.kind = rt.kind, record.Retired
	}
}

// switchChannels retires the routes of channels that were switched off and
// brings those back whose channel is on again. One that is exclusive stays
// retired while another channel holds the name.
func (e *Engine) switchChannels(channels []string) {
	e.channels = slices.Clone(channels)
	for _, r := range e.sorted() {
		for _, rt := range r.routes {
			switch on := e.isOn(rt.channel); {
			case !on && rt.kind != record.Retired:
				if rt.up && rt.kind == record.Attached {
					e.saw(r)
				}
				e.lowerRoute(rt)
				rt.suspend()
				e.sweep(r, 0) // it may be what other routes have handed off waited for
			case on && rt.suspended != 0 && !(rt.policy.Exclusive && r.holder() != nil):
				rt.kind, rt.suspended = rt.suspended, 0
			}
		}
	}
}

// endSessions evicts everybody who was let in with a token that is none any more.
func (e *Engine) endSessions() {
	for _, r := range e.sorted() {
		for _, rt := range r.routes {
			if rt.up && rt.kind == record.Attached && e.ended(rt.epoch) {
				e.emit(&Evict{Link: rt.link, Receiver: r.name, Generation: rt.generation, Cause: TokenEnded})
				e.lowerRoute(rt)
				e.saw(r)
			}
		}
	}
}

const tokenInvalid = "the token is no longer valid"

// linkStopping lets a channel drain: whoever waits on it is answered with the
// statuses of the moment, now and from now on.
func (e *Engine) linkStopping(ev *LinkStopping) {
	l := e.links[ev.Link]
	if l == nil {
		return
	}
	l.stopping = true
	e.endWaits(func(w *wait) bool { return w.link == ev.Link })
}
