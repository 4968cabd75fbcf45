package conformance

import (
	"slices"
	"time"

	"mpush/sdk/pluginpb"
)

// outcome judges what the plugin says of a lease, and lets its route go on.
// Called with mu held.
func (l *life) outcome(o *pluginpb.Outcome) {
	g := &l.ledger
	g.last = time.Now()
	g.kinds[o.GetKind()]++
	acked := o.GetKind() == pluginpb.OutcomeKind_OUTCOME_KIND_ACKED
	if o.GetKind() < pluginpb.OutcomeKind_OUTCOME_KIND_ACKED || o.GetKind() > pluginpb.OutcomeKind_OUTCOME_KIND_GONE {
		g.fault("kinds", "the outcome of message %d has the kind %d: say ACKED, HANDED_OFF, RETRY, REJECTED or GONE", o.GetMid(), o.GetKind())
	}
	if r := g.known[o.GetReceiver()]; r != nil && acked && !r.GetPolicy().GetAcks() {
		g.fault("kinds", "message %d for %q is ACKED on a route whose policy has no acks: say HANDED_OFF, or set acks if the receiver itself confirms", o.GetMid(), o.GetReceiver())
	}
	given := g.given[leaseKey{o.GetReceiver(), o.GetGeneration(), o.GetMid()}]
	if given == nil {
		l.strange(o)
		return
	}
	given.outcomes++
	if given.outcomes > given.deliveries && !(acked && o.GetLate()) {
		g.fault("outcomes", "message %d for %q has %d outcomes and was delivered %d times: send one for each delivery", o.GetMid(), o.GetReceiver(), given.outcomes, given.deliveries)
	}
	switch given.state {
	case open:
		l.settle(given, o)
	case void:
		if !acked {
			l.voidAnswered(o)
		}
	case recalled:
		if given.over && !acked {
			g.fault("recall", "message %d for %q has an outcome, but was recalled long before: send none", o.GetMid(), o.GetReceiver())
		}
	case stale:
		g.fault("stale-generation", "message %d for %q has an outcome, but came under generation %d, which an Evict had ended: skip what comes under an ended generation", o.GetMid(), o.GetReceiver(), o.GetGeneration())
	case evicted:
		if given.over && !acked {
			g.fault("evict", "message %d for %q has an outcome, but its generation was evicted long before: send none", o.GetMid(), o.GetReceiver())
		}
	}
}

func (l *life) voidAnswered(o *pluginpb.Outcome) {
	l.ledger.fault("retry", "message %d for %q has an outcome, but a RETRY before it on this route has voided it: drop what is leased behind a RETRY, it comes again", o.GetMid(), o.GetReceiver())
}

// strange judges an outcome for what was not leased like that.
func (l *life) strange(o *pluginpb.Outcome) {
	g := &l.ledger
	acked := o.GetKind() == pluginpb.OutcomeKind_OUTCOME_KIND_ACKED
	for key := range g.given {
		if key.receiver != o.GetReceiver() || key.mid != o.GetMid() {
			continue
		}
		if !acked {
			g.fault("generation", "the outcome of message %d for %q has the generation %d, but was leased under %d: return the generation of the delivery", o.GetMid(), o.GetReceiver(), o.GetGeneration(), key.generation)
		}
		return
	}
	if l.foreign(o) {
		return
	}
	g.fault("credit", "an outcome for message %d and receiver %q, which was not leased: answer what was delivered and nothing else", o.GetMid(), o.GetReceiver())
}

// foreign tells whether an outcome is for what the kit gave without a lease, to
// see whether the plugin bears it.
func (l *life) foreign(o *pluginpb.Outcome) bool { return o.GetReceiver() == strangerName }

// settle ends a lease and lets the route go on.
func (l *life) settle(given *lease, o *pluginpb.Outcome) {
	g := &l.ledger
	r := g.routes[given.receiver]
	at := slices.Index(r.leases, given)
	late := o.GetLate() && o.GetKind() == pluginpb.OutcomeKind_OUTCOME_KIND_ACKED
	if at > 0 && !late && given.voided {
		l.voidAnswered(o)
	} else if at > 0 && !late {
		g.fault("order", "message %d for %q has its outcome before message %d, which was leased before it: send one receiver's messages one after the other", given.mid, given.receiver, r.leases[0].mid)
	}
	given.state = settled
	r.leases = slices.Delete(r.leases, at, at+1)
	switch o.GetKind() {
	case pluginpb.OutcomeKind_OUTCOME_KIND_RETRY:
		var anew []*offer
		if given.retries < mostRetries {
			given.retries++
			anew = append(anew, &offer{given.message, given.attempt})
		}
		for _, behind := range r.leases {
			behind.state, behind.voided = void, true
			anew = append(anew, &offer{behind.message, 0})
		}
		r.leases, r.waiting = nil, append(anew, r.waiting...)
	case pluginpb.OutcomeKind_OUTCOME_KIND_GONE:
		l.lower(r)
		g.gone = append(g.gone, given.receiver)
		l.kit.mu.Lock()
		delete(l.kit.memory.registered, given.receiver)
		l.kit.mu.Unlock()
		return
	}
	l.pump(r)
}
