package sdk

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"mpush/sdk/pluginpb"
)

// lease is a message that the core has entrusted to this plugin for one route,
// until its outcome. Its fields belong to the sequencer's lock.
type lease struct {
	delivery Delivery // as it came first
	seq      *sequencer
	route    *route
	next     *lease
	batch    *batch // in whose call it is, still open; or nil

	// again is the delivery to dispatch once more, nil for none.
	again      *Delivery
	dispatched bool
	state      leaseState
}

type leaseState uint8

const (
	leased   leaseState = iota // in its route's queue
	void                       // the route's generation or an earlier retry ended it
	recalled                   // the core took it back: no outcome
	settled                    // the outcome was sent
)

// Done tells what became of the delivery, with the errors that Egress.Deliver
// returns: nil is an ack. The first call counts and later ones are ignored, as
// is one for a delivery that the core has taken back. It may be called from any
// goroutine, also from Dispatch, and never blocks for long; it may call
// Dispatch with the receiver's next message, so hold no lock that Dispatch
// takes.
func (d *Delivery) Done(err error) {
	if d.lease != nil {
		d.lease.seq.finish(d.lease, outcomeOf(err))
	}
}

// outcome is an error of a plugin as the core wants to hear it.
type outcome struct {
	kind  pluginpb.OutcomeKind
	after time.Duration
	text  string
}

func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED}
	}
	if errors.Is(err, HandedOff) {
		return outcome{kind: pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF}
	}
	out := outcome{kind: pluginpb.OutcomeKind_OUTCOME_KIND_RETRY, text: clip(err.Error(), maxErrorBytes)}
	if e, ok := errors.AsType[*outcomeError](err); ok {
		out.kind, out.after = e.kind, e.after
	}
	return out
}

// maxErrorBytes bounds what the operator is told of one failure.
const maxErrorBytes = 1 << 10

// clip makes text valid UTF-8 of at most limit bytes.
func clip(text string, limit int) string {
	if len(text) <= limit && utf8.ValidString(text) {
		return text
	}
	// A little more than fits, so that the cut below finds a character's start.
	text = strings.ToValidUTF8(text[:min(len(text), limit+utf8.UTFMax)], "\uFFFD")
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// outcomeEnvelope holds an outcome and what it is wrapped in, in one piece of
// memory.
type outcomeEnvelope struct {
	envelope pluginpb.PluginEnvelope
	body     pluginpb.PluginEnvelope_Outcome
	outcome  pluginpb.Outcome
}

// newOutcome makes the envelope. late is for an ack of what is not in flight.
func newOutcome(receiver string, generation uint64, mid int64, o outcome, late bool) *pluginpb.PluginEnvelope {
	e := &outcomeEnvelope{}
	e.outcome.Receiver = receiver
	e.outcome.Generation = generation
	e.outcome.Mid = mid
	e.outcome.Kind = o.kind
	e.outcome.RetryAfterMs = milliseconds(o.after)
	e.outcome.Error = o.text
	e.outcome.Late = late
	e.body.Outcome = &e.outcome
	e.envelope.Body = &e.body
	return &e.envelope
}
