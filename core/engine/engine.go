package engine

import (
	"math/rand/v2"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// Config bounds what the engine accepts. 0 means no limit, except for Seed.
type Config struct {
	QueueLength  int64  // open messages per receiver
	QueueBytes   int64  // their bytes
	Receivers    int    // known receivers
	GroupMembers int    // receivers in one group
	TTL          int64  // milliseconds until an undelivered message expires
	Seed         uint64 // of the jitter
}

// Engine is the state machine. It is not safe for concurrent use: one loop owns
// it.
type Engine struct {
	config Config
	// wall is the time as the caller tells it, for what people and receivers
	// read. clock goes on with it but never back, for timers: a clock that is
	// set back stops nothing.
	wall, clock int64

	lastMID    message.MID
	receivers  map[string]*receiver
	groups     map[string][]*receiver // in the order of joining
	links      map[LinkID]*link
	pending    map[uint64]any     // what a token's answer continues
	goingOn    bool               // what is dispatched has waited before
	changing   map[string][]Event // receivers whose record is being written, with what waits for that
	coming     coming
	counter    counter
	departures departures
	lastToken  uint64
	lastGen    uint64
	timers     timers
	jitter     *rand.Rand
	keys       map[keyID]*keyed   // that are being looked up or written
	lines      map[sender][]*turn // of messages behind a key that is being looked up
	traces     int                // Traces under way
	tracing    map[message.MID]*tracing
	stopping   bool
	diskLow    bool
	channels   []string // that are switched on; nil is all
	epoch      uint64   // the newest of all
	holding    []uint64 // epochs that have not ended; nil: epoch alone
	stats      Stats
	observer   Observer

	effects  []Effect
	touched  []*route // to be pumped at the end of the step
	freed    []*link  // whose waiting routes are to be served then
	finished []*wait  // to be answered at the end of the step
}

// Stats counts what has happened since New. All but the first three are signs
// of a late, confused or lying channel; none of them changed anything.
type Stats struct {
	Accepted  uint64 // items
	Acked     uint64
	HandedOff uint64
	Dead      uint64

	LateAcks      uint64 // acks of ended items
	UnsentAcks    uint64 // acks of messages never sent to that receiver
	StaleOutcomes uint64 // outcomes of ended leases
	ForeignRoutes uint64 // outcomes for receivers without a route on the channel
}

// link is one channel's stream.
type link struct {
	id      LinkID
	channel string
	ready   bool
	// stopping: the channel drains.
	stopping         bool
	waits            int      // senders that wait
	waitBytes        int64    // of their messages
	waitTargets      int      // receivers of those with more than a few
	changes, repeats parked   // events that wait for the disk
	routes           []*route // up over this link; each knows its place
	quota            quota
}

func newLink(ev *LinkUp) *link {
	l := &link{id: ev.Link, channel: ev.Channel}
	l.quota.most, l.quota.link = ev.InFlight, ev.Link
	l.quota.hoard.owner = &l.quota
	return l
}

// pending is what goes on when a write has ended.
type pending interface{ resume(*Engine, error) }

// New starts from what the store holds. channels are those that the operator has
// switched on: routes of others hold no name and keep no message waiting, until
// they are back. nil stands for all.
func New(config Config, registry record.Registry, channels []string) *Engine {
	e := &Engine{
		config:    config,
		lastMID:   registry.LastMID,
		receivers: make(map[string]*receiver, len(registry.Receivers)),
		groups:    make(map[string][]*receiver),
		links:     make(map[LinkID]*link),
		pending:   make(map[uint64]any),
		changing:  make(map[string][]Event),
		coming:    coming{members: make(map[string]int)},
		keys:      make(map[keyID]*keyed),
		lines:     make(map[sender][]*turn),
		tracing:   make(map[message.MID]*tracing),
		jitter:    rand.New(rand.NewPCG(config.Seed, 0)),
		channels:  slices.Clone(channels),
		observer:  nobody{},
	}
	e.counter.timer.owner, e.departures.timer.owner = &e.counter, &e.departures
	for _, tail := range registry.Receivers {
		r := &receiver{
			name: tail.Name, seenAt: tail.SeenAt,
			tail: tail.Seq, queued: tail.Queued, queuedBytes: tail.QueuedBytes,
		}
		e.receivers[r.name] = r
		e.join(r, tail.Group)
	}
	for _, rec := range registry.Routes {
		if r := e.receivers[rec.Receiver]; r != nil {
			rt := newRoute(r, rec.Channel)
			rt.kind, rt.address, rt.policy, rt.cursor = rec.Kind, rec.Address, rec.Policy, rec.Cursor
			if !e.isOn(rec.Channel) {
				rt.suspend()
			}
			r.routes = append(r.routes, rt)
		}
	}
	for i := range registry.Receivers {
		e.estimate(&registry.Receivers[i])
	}
	return e
}

// Step takes one event at a time (Unix milliseconds; it may go back) and
// returns what to do. The slice is valid until the next call.
func (e *Engine) Step(now int64, event Event) []Effect {
	e.begin(now)
	e.dispatch(event)
	return e.finish()
}

func (e *Engine) dispatch(event Event) {
	switch ev := event.(type) {
	case *Publish:
		e.publish(ev)
	case *Outcome:
		e.outcome(ev)
	case *Written:
		e.resume(ev.Token, ev.Err)
	case *Loaded:
		e.loaded(ev)
	case *Found:
		e.found(ev)
	case *Attach:
		e.attach(ev)
	case *Enter:
		e.enter(ev)
	case *Detach:
		e.detach(ev)
	case *Confirm:
		e.confirm(ev)
	case *Register:
		e.register(ev)
	case *Unregister:
		e.unregister(ev)
	case *Declare:
		e.declare(ev)
	case *LinkUp:
		e.links[ev.Link] = newLink(ev)
	case *LinkReady:
		e.linkReady(ev)
	case *LinkDown:
		e.linkDown(ev)
	case *Status:
		e.status(ev)
	case *Ping:
		e.answer(ev.Link, ev.Request, Done{})
	case *Look:
		e.look(ev)
	case *Survey:
		e.survey(ev)
	case *Visit:
		e.visit(ev)
	case *Replay:
		e.replay(ev)
	case *DropDead:
		e.dropDead(ev)
	case *Overdue:
		e.overdue(ev)
	case *Away:
		e.away(ev)
	case *DiskLow:
		e.diskLow = ev.Low
	case *Traced:
		e.traced(ev)
	case *Sent:
		e.sent(ev)
	case *Stopping:
		e.stop()
	case *LinkStopping:
		e.linkStopping(ev)
	case *Reconfigure:
		e.reconfigure(ev)
	}
}

// Advance fires what is due. Call it when NextTimer has passed.
func (e *Engine) Advance(now int64) []Effect {
	e.begin(now)
	for t := e.timers.due(e.clock); t != nil; t = e.timers.due(e.clock) {
		t.owner.fire(e)
	}
	return e.finish()
}

// NextTimer tells when Advance has something to do, in the caller's time.
func (e *Engine) NextTimer() (at int64, ok bool) {
	if len(e.timers.heap) == 0 {
		return 0, false
	}
	return e.wall + e.timers.heap[0].at - e.clock, true
}

// Stats returns the counters.
func (e *Engine) Stats() Stats { return e.stats }

func (e *Engine) begin(now int64) {
	e.clock += max(0, now-e.wall)
	e.wall = now
	clear(e.effects)
	e.effects = e.effects[:0]
}

// finish gives routes that changed their next deliveries, then answers the
// senders whose waits are over: in this order, so that an answer tells what was
// just sent.
func (e *Engine) finish() []Effect {
	for i, j := 0, 0; i < len(e.touched) || j < len(e.freed); {
		if i < len(e.touched) {
			e.touched[i].touched = false
			e.pump(e.touched[i])
			i++
		} else {
			e.giveTurns(e.freed[j])
			j++
		}
	}
	clear(e.touched)
	e.touched = e.touched[:0]
	clear(e.freed)
	e.freed = e.freed[:0]
	e.countNext()
	for _, w := range e.finished {
		w.letGo()
		e.answer(w.link, w.request, Published{MID: w.mid, Statuses: w.statuses})
	}
	clear(e.finished)
	e.finished = e.finished[:0]
	return e.effects
}

func (e *Engine) emit(effect Effect) { e.effects = append(e.effects, effect) }

// write asks for ops. next, if not nil, resumes when they are on disk.
func (e *Engine) write(next pending, ops ...record.Op) {
	if e.traces > 0 {
		e.noteSettled(ops)
	}
	w := &Write{Ops: ops}
	if next != nil {
		w.Token = e.await(next)
	}
	e.emit(w)
}

func (e *Engine) await(next any) (token uint64) {
	e.lastToken++
	e.pending[e.lastToken] = next
	return e.lastToken
}

func (e *Engine) take(token uint64) any {
	next := e.pending[token]
	delete(e.pending, token)
	return next
}

func (e *Engine) resume(token uint64, err error) {
	if next, ok := e.take(token).(pending); ok {
		next.resume(e, err)
	}
}

func (e *Engine) answer(link LinkID, request RequestID, body AnswerBody) {
	if request != (RequestID{}) && e.links[link] != nil {
		e.emit(&Answer{Link: link, Request: request, Body: body})
	}
}

func (e *Engine) refuse(link LinkID, request RequestID, code Code, text string) {
	e.answer(link, request, &Refusal{Code: code, Message: text})
}

// nextMID resembles the clock, but never repeats and never goes back.
func (e *Engine) nextMID() message.MID {
	e.lastMID = max(message.MID(e.wall), e.lastMID+1)
	return e.lastMID
}
