package engine_test

import (
	"context"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// The model drives the engine with random schedules, plays the store (which may
// be late, fail or crash) and the channels (which may be late, fail or lie), and
// holds every effect to the promises:
//
//   - nothing is delivered that is not on disk, and nothing to whom it was not sent
//   - a sender's messages are queued in the order in which it has sent them
//   - a route's first deliveries come in the order of acceptance, leases never
//     exceed the prefetch, nor all of a channel's what it may hold, and only the
//     head is sent again
//   - what the engine took as acked is not delivered again, unless a crash
//     forgot the ack
//   - each publish gets one answer, and it tells the truth
//   - there are no more receivers than the limit says, and no group has more members
//   - a status does not go back, unless a crash forgot it
//   - nothing ends as rejected that no channel has rejected or has no way left for
//   - who is told that a queue is full is told so by what is open on disk, also after
//     a crash
//   - in the end every accepted message has ended, and the counts balance

const (
	holding = "alpha" // exclusive, receivers attach and ack
	pushing = "beta"  // additional, registered, hands off
	hooking = "gamma" // exclusive, declared by configuration, acks
)

var channels = []string{holding, pushing, hooking}

type world struct {
	t   *rapid.T
	mem *store.Memory
	e   *engine.Engine
	now int64

	jobs      []engine.Effect // for the store, in order
	kept      []record.Op     // lazy writes that failed
	failNext  bool
	links     map[string]*simLink // by channel
	lastLink  engine.LinkID
	lastReq   uint64
	prefetch  int
	inFlight  int // 0: any number
	ttl       int64
	receivers int // the limits; 0: none
	members   int
	length    int64 // of a queue
	failedAt  int64 // when the disk failed last
	lastMID   message.MID
	published map[engine.RequestID]*pub
	accepted  map[key]bool           // on disk
	acked     map[key]bool           // the engine took it
	tried     map[key]bool           // somebody acked it
	sent      map[key]bool           // some channel had it as the head
	refused   map[key]bool           // some channel has rejected it
	gone      map[string]bool        // receivers of whom a channel has said that its way is gone
	ranks     map[key]message.Rank   // the highest that somebody was told
	place     map[key]record.Seq     // in its receiver's queue, the newest
	order     map[key]int            // in which they were queued
	first     map[string]message.MID // what was accepted first under a sender's key
	newest    map[string]uint64      // request of each sender's that is on disk
	queued    int
	replayed  int  // dead letters that were queued again
	restless  bool // a receiver was forgotten or the core died
	epoch     uint64
}

type key struct {
	receiver string
	mid      message.MID
}

type pub struct {
	link     engine.LinkID
	from     string
	key      string          // the sender's, or ""
	repeats  bool            // one that is under way, and is sent again if that is refused
	full     map[string]bool // who has no room for it; nil: not known
	answered int
	unheard  bool // nobody was left to hear the answer
}

type simLink struct {
	id     engine.LinkID
	ready  bool
	routes map[string]*simRoute
	first  map[string]int // newest order of a first delivery per receiver
	names  map[engine.RequestID]string
}

type simRoute struct {
	generation uint64
	leases     []*engine.Deliver
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, mem: store.NewMemory(), now: 1_000_000, links: map[string]*simLink{},
		prefetch:  rapid.SampledFrom([]int{1, 3}).Draw(t, "prefetch"),
		inFlight:  rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "in flight"),
		ttl:       rapid.SampledFrom([]int64{0, 7000}).Draw(t, "ttl"),
		receivers: rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "receivers"),
		length:    rapid.SampledFrom([]int64{0, 0, 3, 8}).Draw(t, "length"),
		members:   rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "members"), published: map[engine.RequestID]*pub{},
		accepted: map[key]bool{}, tried: map[key]bool{}, acked: map[key]bool{}, sent: map[key]bool{},
		refused: map[key]bool{}, gone: map[string]bool{}, ranks: map[key]message.Rank{},
		place: map[key]record.Seq{}, order: map[key]int{}, first: map[string]message.MID{}, newest: map[string]uint64{},
	}
	w.boot()
	return w
}

func (w *world) boot() {
	registry, err := w.mem.Load(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.e = engine.New(w.config(), registry, nil)
	w.jobs, w.kept, w.links = nil, nil, map[string]*simLink{}
	w.published = map[engine.RequestID]*pub{}
	for _, channel := range channels {
		w.linkUp(channel)
	}
}

func (w *world) config() engine.Config {
	return engine.Config{Seed: 1, TTL: w.ttl, Receivers: w.receivers, GroupMembers: w.members, QueueLength: w.length}
}

func (w *world) linkUp(channel string) {
	w.lastLink++
	l := &simLink{id: w.lastLink, routes: map[string]*simRoute{}, first: map[string]int{}, names: map[engine.RequestID]string{}}
	w.links[channel] = l
	w.step(&engine.LinkUp{Link: l.id, Channel: channel, InFlight: w.inFlight})
	l.ready = true
	w.step(&engine.LinkReady{Link: l.id})
}

func (w *world) request() engine.RequestID {
	w.lastReq++
	return engine.RequestID{Number: w.lastReq}
}

func (w *world) step(event engine.Event) {
	w.take(slices.Clone(w.e.Step(w.now, event)))
}

func (w *world) take(effects []engine.Effect) {
	for _, effect := range effects {
		switch ef := effect.(type) {
		case *engine.Write, *engine.Load, *engine.Find, *engine.Trace, *engine.LookUp:
			w.jobs = append(w.jobs, effect)
		case *engine.Deliver:
			w.delivered(ef)
		case *engine.Recall:
			if _, rt := w.route(ef.Link, ef.Receiver); rt != nil && rt.generation == ef.Generation {
				rt.leases = slices.DeleteFunc(rt.leases, func(d *engine.Deliver) bool { return d.Message.MID == ef.MID })
				w.markHead(ef.Receiver, rt)
			}
		case *engine.Evict:
			if l, rt := w.route(ef.Link, ef.Receiver); rt != nil && rt.generation == ef.Generation {
				delete(l.routes, ef.Receiver)
			}
		case *engine.Answer:
			w.answered(ef)
		}
	}
}

func (w *world) link(id engine.LinkID) (string, *simLink) {
	for channel, l := range w.links {
		if l.id == id {
			return channel, l
		}
	}
	return "", nil
}

func (w *world) route(id engine.LinkID, receiver string) (*simLink, *simRoute) {
	_, l := w.link(id)
	if l == nil {
		w.t.Fatalf("effect for the dead link %d", id)
	}
	return l, l.routes[receiver]
}

// markHead notes what the channel sends now.
func (w *world) markHead(receiver string, rt *simRoute) {
	if len(rt.leases) == 0 {
		return
	}
	_, l := w.link(rt.leases[0].Link)
	mid := rt.leases[0].Message.MID
	k := key{receiver, mid}
	if !w.sent[k] && w.order[k] < l.first[receiver] {
		w.t.Fatalf("%v is sent for the first time, after one that was queued later", k)
	}
	l.first[receiver] = max(l.first[receiver], w.order[k])
	w.sent[k] = true
}

func (w *world) delivered(d *engine.Deliver) {
	channel, l := w.link(d.Link)
	if l == nil {
		w.t.Fatalf("delivery over the dead link %d", d.Link)
	}
	k := key{d.Receiver, d.Message.MID}
	if !w.accepted[k] {
		w.t.Fatalf("%v was delivered but is not on disk", k)
	}
	if w.acked[k] {
		w.t.Fatalf("%v was delivered after its ack", k)
	}
	rt := l.routes[d.Receiver]
	if rt == nil || d.Generation > rt.generation {
		if channel == holding && rt == nil {
			w.t.Fatalf("delivery to %s before its attach was answered", d.Receiver)
		}
		rt = &simRoute{generation: d.Generation}
		l.routes[d.Receiver] = rt
	}
	if d.Generation < rt.generation {
		w.t.Fatalf("delivery of the stale generation %d of %s", d.Generation, d.Receiver)
	}
	if i := slices.IndexFunc(rt.leases, func(o *engine.Deliver) bool { return o.Message.MID == d.Message.MID }); i > 0 {
		w.t.Fatalf("%v was sent again but is not the head", k)
	} else if i == 0 {
		return
	}
	if n := len(rt.leases); n > 0 && w.order[key{d.Receiver, rt.leases[n-1].Message.MID}] >= w.order[k] {
		w.t.Fatalf("%v leased after %v", k, rt.leases[n-1].Message.MID)
	}
	rt.leases = append(rt.leases, d)
	limit := w.prefetch
	if channel != holding {
		limit = 1
	}
	if len(rt.leases) > limit {
		w.t.Fatalf("%d leases for %s, the prefetch is %d", len(rt.leases), d.Receiver, limit)
	}
	w.markHead(d.Receiver, rt)
	held := 0
	for _, other := range l.routes {
		held += len(other.leases)
	}
	// What a declaration retires is not told: each stream has one, at its start.
	if channel != hooking && w.inFlight > 0 && held > w.inFlight {
		w.t.Fatalf("%s holds %d messages, it may hold %d", channel, held, w.inFlight)
	}
}

func (w *world) answered(a *engine.Answer) {
	_, l := w.link(a.Link)
	if l == nil {
		w.t.Fatalf("answer over the dead link %d", a.Link)
	}
	switch body := a.Body.(type) {
	case engine.Attached:
		l.routes[body.Name] = &simRoute{generation: body.Generation}
	case engine.Visited:
		waiting := w.waiting()
		for _, r := range body.Receivers {
			if r.Queued != waiting[r.Name] {
				w.t.Fatalf("%s is said to have %d messages, %d are open", r.Name, r.Queued, waiting[r.Name])
			}
		}
	case engine.Published:
		w.told(a.Request, body)
	case *engine.Refusal:
		if p := w.published[a.Request]; p != nil {
			p.answered++
		}
	}
}

func (w *world) told(request engine.RequestID, body engine.Published) {
	p := w.published[request]
	if p == nil {
		w.t.Fatalf("an answer to the unknown request %v", request)
	}
	if p.answered++; p.answered > 1 {
		w.t.Fatalf("a second answer to %v", request)
	}
	stored := slices.ContainsFunc(body.Statuses, func(s engine.TargetStatus) bool { return w.accepted[key{s.Receiver, body.MID}] })
	if p.key != "" && stored {
		if first := w.first[p.key]; first != 0 && first != body.MID {
			w.t.Fatalf("the key %s was %d and is %d", p.key, first, body.MID)
		}
		w.first[p.key] = body.MID
	}
	for _, s := range body.Statuses {
		k := key{s.Receiver, body.MID}
		if full, known := p.full[s.Receiver]; known && full != (s.Status.Rank == message.Full) {
			w.t.Fatalf("%v is told as %v, and full is %v", k, s.Status, full)
		}
		if ok := s.Status.Rank == message.OK; ok && !w.tried[k] {
			w.t.Fatalf("%v is told as ok but was not acked", k)
		}
		if w.sent[k] && s.Status.Rank < message.Wait && !(p.key != "" && w.restless) {
			w.t.Fatalf("%v is told as %v but was sent", k, s.Status)
		}
		if before := w.ranks[k]; s.Status.Rank < before && !w.restless {
			w.t.Fatalf("%v is told as %v, and was told as %v before", k, s.Status, before)
		}
		if w.accepted[k] {
			w.ranks[k] = max(w.ranks[k], s.Status.Rank)
		}
		if body.MID != 0 && !w.accepted[k] && s.Status.Rank != message.Failed && s.Status.Rank != message.Full {
			w.t.Fatalf("%v is told as %v but is not on disk", k, s.Status)
		}
	}
}

var names = []string{"ann", "bob", "cid"}

func (w *world) attach(name string) {
	w.step(&engine.Attach{
		Link: w.links[holding].id, Request: w.request(), Name: name, Group: "g",
		Policy: record.Policy{Exclusive: true, Acks: true, Prefetch: w.prefetch, Resend: 100, Retry: 100},
		Epoch:  w.epoch,
	})
}

// endLink is the end of a channel's stream, whose requests nobody is left to hear
// of.
func (w *world) endLink(channel string) {
	l := w.links[channel]
	for _, p := range w.published {
		if p.link == l.id {
			p.unheard = p.unheard || p.answered == 0
			p.answered = 1
		}
	}
	w.step(&engine.LinkDown{Link: l.id})
}

func (w *world) register(name string) {
	w.step(&engine.Register{Link: w.links[pushing].id, Request: w.request(), Route: engine.RouteSpec{
		Receiver: name, Group: "g", Address: fmt.Appendf(nil, "%d", w.now),
		Policy: record.Policy{Prefetch: 1, Retry: 100, RetryMax: 1000},
	}})
}

func (w *world) declare(names []string) {
	ev := &engine.Declare{Link: w.links[hooking].id, Request: w.request(), TakeNames: true}
	for _, name := range names {
		ev.Routes = append(ev.Routes, engine.RouteSpec{Receiver: name, Group: "g",
			Policy: record.Policy{Exclusive: true, Acks: true, Retry: 100, RetryMax: 1000}})
	}
	w.step(ev)
}

// ack lets a channel say that a receiver acked, and keeps what the engine must
// make of it.
func (w *world) ack(channel, name string, mid message.MID, late bool) {
	l := w.links[channel]
	var generation uint64
	if rt := l.routes[name]; rt != nil {
		generation = rt.generation
		if !late {
			rt.leases = rt.leases[1:]
			w.markHead(name, rt)
		}
	}
	w.tried[key{name, mid}] = true
	before := w.e.Stats().Acked
	w.step(&engine.Outcome{Link: l.id, Receiver: name, Generation: generation, MID: mid, Kind: engine.Acked, Late: late})
	if w.e.Stats().Acked > before {
		if !w.sent[key{name, mid}] {
			w.t.Fatalf("the ack of %s %d counted, but it was never sent", name, mid)
		}
		w.acked[key{name, mid}] = true
	}
}
