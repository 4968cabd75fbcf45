package engine

import "mpush/core/message"

// Observer is told what becomes of messages, for whoever counts it. The calls
// come from within Step and Advance: they must neither block nor call back. What
// they return, which is nothing, changes nothing. Durations are milliseconds.
type Observer interface {
	// Accepted: a message is on disk, for at least one receiver.
	Accepted()
	// Refused: a message was not accepted, for one of RefusalReasons.
	Refused(reason string)
	// Attempted: a channel was given a message to send now; again, if it was
	// given it on the same connection before.
	Attempted(channel string, again bool)
	// Delivered: an attempt has ended with one of Deliveries, and took so long.
	Delivered(channel, outcome string, took int64)
	// Acked: a receiver has a message; the word came over the channel, and so
	// long after the message was accepted.
	Acked(channel string, after int64)
	// Died: items have become dead letters, for one of DeadReasons.
	Died(reason string, items int64)
}

// Why messages are refused, for an Observer. Those after the first group are
// found before the engine sees the message.
const (
	RefusedFull        = "full"        // every receiver's queue
	RefusedNoReceiver  = "no_receiver" // nobody has the name, or is in the group
	RefusedInvalid     = "invalid"
	RefusedTooLarge    = "too_large"
	RefusedUnavailable = "unavailable" // stopping, or the disk

	RefusedUnauthenticated = "unauthenticated"
	RefusedForbidden       = "forbidden"
	RefusedLimit           = "limit" // a rate, or too many wrong tokens
)

// RefusalReasons are all of them.
func RefusalReasons() []string {
	return []string{
		RefusedFull, RefusedNoReceiver, RefusedInvalid, RefusedTooLarge, RefusedUnavailable,
		RefusedUnauthenticated, RefusedForbidden, RefusedLimit,
	}
}

// How attempts end, for an Observer.
const (
	deliveredAcked      = "acked"
	deliveredHandedOff  = "handed_off"
	deliveredRetry      = "retry"
	deliveredRejected   = "rejected"
	deliveredGone       = "gone"
	deliveredUnanswered = "unanswered"
)

// Deliveries are all of them.
func Deliveries() []string {
	return []string{deliveredAcked, deliveredHandedOff, deliveredRetry, deliveredRejected, deliveredGone, deliveredUnanswered}
}

func deliveryOf(kind OutcomeKind) string {
	switch kind {
	case Acked:
		return deliveredAcked
	case HandedOff:
		return deliveredHandedOff
	case Retry:
		return deliveredRetry
	case Rejected:
		return deliveredRejected
	default:
		return deliveredGone
	}
}

// Why items become dead letters.
const (
	diedExpired   = "expired"
	diedRejected  = "rejected"
	diedForgotten = "forgotten"
)

// DeadReasons are all of them.
func DeadReasons() []string { return []string{diedExpired, diedRejected, diedForgotten} }

// Observe has an observer told from now on, instead of whoever was before.
func (e *Engine) Observe(o Observer) { e.observer = o }

// nobody is the observer of an engine that has none.
type nobody struct{}

func (nobody) Accepted()                       {}
func (nobody) Refused(string)                  {}
func (nobody) Attempted(string, bool)          {}
func (nobody) Delivered(string, string, int64) {}
func (nobody) Acked(string, int64)             {}
func (nobody) Died(string, int64)              {}

// refuseMessage refuses a message, and has it counted.
func (e *Engine) refuseMessage(ev *Publish, code Code, text string) {
	reason := RefusedUnavailable
	switch code {
	case Invalid:
		reason = RefusedInvalid
	case TooLarge:
		reason = RefusedTooLarge
	}
	e.observer.Refused(reason)
	e.refuse(ev.Link, ev.Request, code, text)
}

// nobodyGets has a message counted that no receiver takes.
func (e *Engine) nobodyGets(targets int) {
	if targets == 0 {
		e.observer.Refused(RefusedNoReceiver)
	} else {
		e.observer.Refused(RefusedFull)
	}
}

// attemptEnded has the end of the attempt on a route's head counted.
func (e *Engine) attemptEnded(rt *route, outcome string) {
	e.observer.Delivered(rt.channel, outcome, e.clock-rt.began)
}

// acknowledged has an ack counted that ends an item.
func (e *Engine) acknowledged(m *message.Message, channel string) {
	e.observer.Acked(channel, max(0, e.wall-m.AcceptedAt))
}
