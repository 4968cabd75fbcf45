package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

func TestEngineKeepsItsPromises(t *testing.T) {

	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		name := rapid.SampledFrom(names)
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				ev := &engine.Publish{
					Link: w.links[holding].id, Request: w.request(), FromName: rapid.SampledFrom([]string{"", "s"}).Draw(t, "from"),
					SendType: message.Personal, Target: name.Draw(t, "to"), Wait: rapid.SampledFrom([]int64{0, 500}).Draw(t, "wait"),
				}
				ev.Text = fmt.Sprint(ev.Request.Number)
				if rapid.Bool().Draw(t, "group") {
					ev.SendType, ev.Target = message.Group, "g"
				}
				p := &pub{link: ev.Link, from: ev.FromName}
				if rapid.IntRange(0, 3).Draw(t, "keyed") == 0 {
					ev.Key = record.Key{Sender: "s", Name: fmt.Sprint(ev.SendType, ev.Target), Digest: "d"}
					p.key = ev.Key.Name
					p.repeats = w.isUnderWay(p.key)
				} else if w.length > 0 && w.isQuiet() {
					p.full = make(map[string]bool)
					for receiver, n := range w.waiting() {
						p.full[receiver] = n >= w.length
					}
				}
				w.published[ev.Request] = p
				w.step(ev)
			},
			"replay": func(t *rapid.T) {
				if k, ok := w.anyKey(t); ok {
					w.step(&engine.Replay{Link: w.links[holding].id, Request: w.request(), Receiver: k.receiver, MID: k.mid})
				}
			},
			"overdue": func(t *rapid.T) {
				if k, ok := w.anyKey(t); ok {
					w.step(&engine.Overdue{Overdue: record.Overdue{Receiver: k.receiver, First: w.place[k], Last: w.place[k] + record.Seq(rapid.IntRange(0, 3).Draw(t, "more"))}})
				}
			},
			"status": func(t *rapid.T) {
				if k, ok := w.anyKey(t); ok {
					request := w.request()
					w.published[request] = &pub{link: w.links[holding].id, key: fmt.Sprint("status of ", k.mid)}
					w.step(&engine.Status{Link: w.links[holding].id, Request: request, MID: k.mid, Any: true})
				}
			},
			"away": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") == 0 {
					w.restless = true
					w.step(&engine.Away{Receiver: name.Draw(t, "name"), Before: w.now - 1000})
				}
			},
			"attach": func(t *rapid.T) { w.attach(name.Draw(t, "name")) },
			"detach": func(t *rapid.T) {
				l, n := w.links[holding], name.Draw(t, "name")
				if rt := l.routes[n]; rt != nil {
					delete(l.routes, n)
					w.step(&engine.Detach{Link: l.id, Receiver: n, Generation: rt.generation})
				}
			},
			"register": func(t *rapid.T) { w.register(name.Draw(t, "name")) },
			"declare": func(t *rapid.T) {
				w.declare(rapid.SampledFrom([][]string{nil, {"ann"}, {"ann", "bob"}}).Draw(t, "names"))
			},
			"unregister": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") == 0 {
					w.restless = true
					w.step(&engine.Unregister{Link: w.links[holding].id, Request: w.request(), Receiver: name.Draw(t, "name")})
				}
			},
			"outcome": func(t *rapid.T) {
				channel := rapid.SampledFrom(channels).Draw(t, "channel")
				l, n := w.links[channel], name.Draw(t, "name")
				rt := l.routes[n]
				if rt == nil || len(rt.leases) == 0 {
					return
				}
				head := rt.leases[0].Message.MID
				kinds := []engine.OutcomeKind{engine.Acked, engine.Acked, engine.Acked, engine.Retry, engine.Rejected}
				if channel == pushing {
					kinds = []engine.OutcomeKind{engine.HandedOff, engine.HandedOff, engine.Retry, engine.Rejected, engine.Gone}
				}
				kind := rapid.SampledFrom(kinds).Draw(t, "kind")
				if kind == engine.Acked {
					w.ack(channel, n, head, false)
					return
				}
				w.refused[key{n, head}] = w.refused[key{n, head}] || kind == engine.Rejected
				w.gone[n] = w.gone[n] || kind == engine.Gone
				rt.leases = rt.leases[1:]
				if kind == engine.Retry {
					rt.leases = nil
				}
				w.markHead(n, rt)
				w.step(&engine.Outcome{Link: l.id, Receiver: n, Generation: rt.generation, MID: head, Kind: kind, Error: "no"})
			},
			"lateAck": func(t *rapid.T) {
				if k, ok := w.anyKey(t); ok {
					w.ack(holding, k.receiver, k.mid, true)
				}
			},
			"confirm": func(t *rapid.T) {
				k, ok := w.anyKey(t)
				if !ok {
					return
				}
				w.tried[k] = true
				before := w.e.Stats().Acked
				w.step(&engine.Confirm{Link: w.links[pushing].id, Request: w.request(), Receiver: k.receiver, MID: k.mid, HandoffOnly: rapid.Bool().Draw(t, "handoff")})
				if w.e.Stats().Acked > before {
					w.acked[k] = true
				}
			},
			"time": func(t *rapid.T) { w.advance(rapid.SampledFrom([]int64{1, 100, 5000}).Draw(t, "ms")) },
			"work": func(t *rapid.T) {
				if len(w.jobs) > 0 {
					w.workTracked(rapid.IntRange(1, len(w.jobs)).Draw(t, "jobs"))
				}
			},
			"fail": func(t *rapid.T) {
				if len(w.jobs) > 0 {
					w.failNext = true
					w.workTracked(rapid.IntRange(1, len(w.jobs)).Draw(t, "jobs"))
				}
			},
			"channelDies": func(t *rapid.T) {
				channel := rapid.SampledFrom(channels).Draw(t, "channel")
				w.endLink(channel)
				w.linkUp(channel)
			},
			"reload": func(t *rapid.T) {
				channel := rapid.SampledFrom(channels).Draw(t, "channel")
				config := w.config()
				w.step(&engine.LinkStopping{Link: w.links[channel].id})
				w.endLink(channel)
				delete(w.links, channel)
				if rapid.Bool().Draw(t, "off") {
					others := slices.DeleteFunc(slices.Clone(channels), func(c string) bool { return c == channel })
					w.step(&engine.Reconfigure{Config: config, Channels: others, Epoch: w.epoch})
					w.workTracked(rapid.IntRange(0, len(w.jobs)).Draw(t, "jobs"))
					w.advance(rapid.SampledFrom([]int64{0, 5000}).Draw(t, "ms"))
				}
				if rapid.Bool().Draw(t, "token") {
					w.epoch++
				}
				w.step(&engine.Reconfigure{Config: config, Channels: channels, Epoch: w.epoch})
				w.linkUp(channel)
			},
			"coreDies": func(t *rapid.T) {
				if rapid.IntRange(0, 2).Draw(t, "seldom") == 0 {
					w.crash()
				}
			},
		})
		w.quiesce()
	})
}

// workTracked works, and takes note of acks that the store's answers complete.
func (w *world) workTracked(n int) {
	finds := map[uint64]key{}
	for _, job := range w.jobs[:n] {
		if f, ok := job.(*engine.Find); ok {
			finds[f.Token] = key{f.Receiver, f.MID}
		}
	}
	before := w.e.Stats().Acked
	w.work(n)
	if w.e.Stats().Acked > before {
		w.reread(finds)
	}
}

// reread asks the engine's writes which of the looked-up messages have ended.
func (w *world) reread(finds map[uint64]key) {
	for _, job := range w.jobs {
		if write, ok := job.(*engine.Write); ok {
			for _, op := range write.Ops {
				if settle, ok := op.(*record.Settle); ok && settle.Item.State == record.Acked {
					w.acked[key{settle.Item.Receiver, settle.Item.MID}] = true
				}
			}
		}
	}
}

func (w *world) anyKey(t *rapid.T) (key, bool) {
	if len(w.accepted) == 0 {
		return key{}, false
	}
	all := make([]key, 0, len(w.accepted))
	for k := range w.accepted {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b key) int {
		if a.mid != b.mid {
			return int(a.mid - b.mid)
		}
		return slices.Compare([]byte(a.receiver), []byte(b.receiver))
	})
	return rapid.SampledFrom(all).Draw(t, "message"), true
}

func (w *world) advance(ms int64) {
	for end := w.now + ms; ; {
		at, ok := w.e.NextTimer()
		if !ok || at > end {
			w.now = end
			return
		}
		w.now = max(w.now, at)
		w.take(slices.Clone(w.e.Advance(w.now)))
	}
}

// crash loses everything but what was committed.
func (w *world) crash() {
	w.mem, w.restless = w.mem.Reopen(), true
	for k := range w.acked {
		item, found, err := w.mem.Find(context.Background(), k.receiver, k.mid)
		if err != nil {
			w.t.Fatal(err)
		}
		if found && item.State == record.Open {
			delete(w.acked, k) // it may come once more
		}
	}
	w.boot()
}

// quiesce lets everything work, lets everybody ack, and counts.
func (w *world) quiesce() {
	w.declare(nil)
	for len(w.jobs)+len(w.kept) > 0 {
		w.workTracked(len(w.jobs))
	}
	for _, n := range names {
		w.attach(n)
	}
	for range 10_000 {
		if len(w.jobs)+len(w.kept) > 0 {
			w.workTracked(len(w.jobs))
			continue
		}
		busy := false
		for _, channel := range channels {
			for _, n := range names {
				rt := w.links[channel].routes[n]
				if rt == nil || len(rt.leases) == 0 {
					continue
				}
				busy = true
				head := rt.leases[0].Message.MID
				if channel != pushing {
					w.ack(channel, n, head, false)
					break
				}
				rt.leases = rt.leases[1:]
				w.step(&engine.Outcome{Link: w.links[channel].id, Receiver: n, Generation: rt.generation, MID: head, Kind: engine.HandedOff})
			}
		}
		if !busy && len(w.jobs) == 0 {
			at, ok := w.e.NextTimer()
			if !ok {
				break
			}
			w.advance(at - w.now)
		}
	}
	w.step(&engine.Visit{Link: w.links[holding].id, Request: w.request(), Names: names})
	for k := range w.accepted {
		item, found, err := w.mem.Find(context.Background(), k.receiver, k.mid)
		if err != nil {
			w.t.Fatal(err)
		}
		if found && item.State == record.Open {
			w.t.Fatalf("%v is still open in the end: %+v", k, item.Item)
		}
		if found && item.State == record.Acked && !w.sent[k] {
			w.t.Fatalf("%v is acked but was never sent", k)
		}
	}
	if s := w.e.Stats(); !w.restless && s.Accepted+uint64(w.replayed) != s.Acked+s.HandedOff+s.Dead {
		w.t.Fatalf("the books do not balance: %+v", s)
	}
	for request, p := range w.published {
		if p.answered != 1 {
			w.t.Fatalf("request %v has %d answers", request, p.answered)
		}
	}
}
