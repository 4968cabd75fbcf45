package conformance

import (
	"fmt"
	"slices"
	"time"

	"mpush/sdk/pluginpb"
)

// ledger is what the plugin was given, and what is wrong with what it said of
// it. life.mu guards it.
type ledger struct {
	routes map[string]*route
	names  []string // of routes, as they came
	given  map[leaseKey]*lease
	known  map[string]*route // the last of each receiver, gone or not
	source func(receiver string) *pluginpb.Message
	// wrong holds, by the check that it fails, what is not lawful.
	wrong map[string][]string

	kinds map[pluginpb.OutcomeKind]int
	gone  []string  // receivers whose routes the plugin has given up
	last  time.Time // of an outcome
}

// route is one of the plugin's routes.
type route struct {
	*pluginpb.DeclaredRoute
	generation uint64
	attached   bool
	waiting    []*offer
	leases     []*lease // without outcome, in order; the first is the head
}

// offer is a message to be leased, perhaps once more.
type offer struct {
	message *pluginpb.Message
	attempt uint32
}

type leaseKey struct {
	receiver   string
	generation uint64
	mid        int64
}

// lease is a message given to the plugin for a route.
type lease struct {
	leaseKey
	offer
	deliveries, outcomes int
	retries              int
	state                leaseState
	voided               bool // once, behind a retry
	// over: the plugin has seen what ended the lease, since it has answered
	// what it was given after that.
	over bool
	sent time.Time
}

type leaseState uint8

const (
	open     leaseState = iota
	settled             // with an outcome
	void                // behind a retry
	recalled            // taken back
	evicted             // with its generation
	stale               // of a generation that had ended before
)

// mostRetries is how often a message is given again that the plugin wants to
// try later. After that it is given up, as one that expires.
const mostRetries = 1

func newLedger() ledger {
	return ledger{
		routes: map[string]*route{}, known: map[string]*route{}, given: map[leaseKey]*lease{},
		wrong: map[string][]string{}, kinds: map[pluginpb.OutcomeKind]int{},
	}
}

// fault notes what fails a check.
func (g *ledger) fault(check, format string, args ...any) {
	g.wrong[check] = append(g.wrong[check], fmt.Sprintf(format, args...))
}

// raise brings a route up in a new generation. What an earlier one had waits
// again.
func (l *life) raise(declared *pluginpb.DeclaredRoute) *route {
	g := &l.ledger
	name := declared.GetReceiver()
	r := &route{DeclaredRoute: declared, generation: l.kit.nextGeneration()}
	if old := g.routes[name]; old != nil {
		l.lower(old)
	}
	if !slices.Contains(g.names, name) {
		g.names = append(g.names, name)
	}
	g.routes[name], g.known[name] = r, r
	return r
}

// lower takes a route away with its leases.
func (l *life) lower(r *route) {
	for _, lease := range r.leases {
		lease.state = evicted
	}
	r.leases, r.waiting = nil, nil
	if name := r.GetReceiver(); l.ledger.routes[name] == r {
		delete(l.ledger.routes, name)
	}
}

func (l *life) detach(receiver string, generation uint64) {
	if r := l.ledger.routes[receiver]; r != nil && r.generation == generation {
		l.lower(r)
	}
}

// receivers are those that messages are delivered to.
func (l *life) receivers() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, name := range l.ledger.names {
		only := l.kit.target.Receivers
		if l.ledger.routes[name] != nil && (len(only) == 0 || slices.Contains(only, name)) {
			found = append(found, name)
		}
	}
	return found
}

// credit is how many leases a route has at most.
func (r *route) credit() int { return max(1, int(r.GetPolicy().GetPrefetch())) }

func (r *route) interval() time.Duration {
	if ms := max(r.GetPolicy().GetRetryMs(), r.GetPolicy().GetResendMs()); ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return 3 * time.Second
}

// pump leases what may be leased on a route.
func (l *life) pump(r *route) {
	for len(r.leases) < r.credit() {
		if len(r.waiting) == 0 && l.ledger.source != nil {
			if m := l.ledger.source(r.GetReceiver()); m != nil {
				r.waiting = append(r.waiting, &offer{message: m})
			}
		}
		if len(r.waiting) == 0 {
			return
		}
		next := r.waiting[0]
		r.waiting = r.waiting[1:]
		l.send(l.lease(r, next))
	}
}

// lease notes a delivery and makes its envelope.
func (l *life) lease(r *route, o *offer) *pluginpb.CoreEnvelope {
	key := leaseKey{r.GetReceiver(), r.generation, o.message.GetMid()}
	given := l.ledger.given[key]
	if given == nil {
		given = &lease{leaseKey: key, offer: *o}
		l.ledger.given[key] = given
	}
	given.deliveries++
	given.attempt, given.state, given.over, given.sent = o.attempt, open, false, time.Now()
	envelope := deliver(o.message, given.to(r))
	given.attempt = o.attempt + 1
	if !slices.Contains(r.leases, given) {
		r.leases = append(r.leases, given)
	}
	return envelope
}

func (given *lease) to(r *route) *pluginpb.DeliverRoute {
	return &pluginpb.DeliverRoute{
		Receiver: r.GetReceiver(), Generation: r.generation, Address: r.GetAddress(),
		Attempt: given.attempt, IntervalMs: uint32(r.interval().Milliseconds()),
	}
}

// again delivers the head of a route once more.
func (l *life) again(r *route) *pluginpb.CoreEnvelope {
	head := r.leases[0]
	head.deliveries++
	head.sent = time.Now()
	envelope := deliver(head.message, head.to(r))
	head.attempt++
	return envelope
}

// resend delivers again what has had no outcome for as long as its route says,
// and returns when to look next.
func (l *life) resend() (next time.Duration) {
	next = time.Hour
	for _, r := range l.ledger.routes {
		every := time.Duration(r.GetPolicy().GetResendMs()) * time.Millisecond
		if every == 0 || len(r.leases) == 0 {
			continue
		}
		left := time.Until(r.leases[0].sent.Add(every))
		if left <= 0 {
			l.send(l.again(r))
			left = every
		}
		next = min(next, left)
	}
	return max(next, time.Millisecond)
}

// message makes one.
func (k *Kit) message(target, text string) *pluginpb.Message {
	return &pluginpb.Message{
		Mid: k.nextMID(), SendType: pluginpb.SendType_SEND_TYPE_PERSONAL, Target: target,
		FromMethod: "http", FromName: "conformance", Text: text,
		Desp: "a message of the conformance kit, ünïcödé 消息", Extra: []byte(`{"conformance":{"n":1}}`),
	}
}

func deliver(m *pluginpb.Message, routes ...*pluginpb.DeliverRoute) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: &pluginpb.Deliver{Message: m, Routes: routes}}}
}

func recall(r *route, mid int64) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Recall{Recall: &pluginpb.Recall{
		Receiver: r.GetReceiver(), Generation: r.generation, Mid: mid,
	}}}
}

func evict(receiver string, generation uint64, reason string) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Evict{Evict: &pluginpb.Evict{
		Receiver: receiver, Generation: generation, Reason: reason,
	}}}
}
