package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mpush/sdk/pluginpb"
)

// world is one receiver on one channel: a simple core, its two ways to the
// plugin, which take their time, and a client that acks what it gets.
type world struct {
	s    *sequencer
	name string
	// calls: each delivery gets its outcome by itself, there are no attachments
	// and no resends but after a retry; see house.
	calls bool

	// The core.
	mid        int64
	window     []int64 // open messages, in order
	sent       map[int64]bool
	generation uint64
	prefetch   int
	leased     int
	head       int64 // 0 for none
	attempt    uint32
	paused     bool
	givenBack  bool // all leases, until the route's turn comes
	dead       []int64

	toPlugin []func()
	toCore   []*pluginpb.Outcome

	// The client's side.
	attached uint64
	current  *Delivery // in flight, nil for none
	newest   int64     // the newest that was ever dispatched
	broken   string    // the first broken promise
	got      map[int64]bool
	done     map[int64]bool // ended while in flight on this attachment
	replayed map[int64]bool
}

func (*world) Describe() Manifest             { return Manifest{} }
func (*world) Evict(string, uint64, Eviction) {}

// Dispatch checks what the sequencer promises.
func (w *world) Dispatch(d *Delivery) {
	mid := d.Message.MID
	if d.Generation != w.attached {
		w.breaks("%d dispatched for generation %d, attached is %d", mid, d.Generation, w.attached)
	}
	if w.current != nil && w.current.Message.MID != mid && slices.Contains(w.window, w.current.Message.MID) {
		w.breaks("%d dispatched while %d is in flight", mid, w.current.Message.MID)
	}
	if w.done[mid] {
		w.breaks("%d dispatched again after its end", mid)
	}
	if !w.got[mid] && !w.replayed[mid] {
		if mid < w.newest {
			w.breaks("%d dispatched for the first time after %d", mid, w.newest)
		}
		w.newest = mid
	}
	w.got[mid] = true
	w.current = d
}

func (w *world) breaks(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

func (w *world) send(e *pluginpb.PluginEnvelope) { w.toCore = append(w.toCore, e.GetOutcome()) }

func makeWorld(name string, prefetch int) *world {
	return &world{name: name, prefetch: prefetch, sent: map[int64]bool{}, got: map[int64]bool{}, replayed: map[int64]bool{}}
}

func newWorld(t *rapid.T) *world {
	w := makeWorld("phone", rapid.IntRange(1, 4).Draw(t, "prefetch"))
	w.s = newSequencer(context.Background(), w, slog.New(slog.DiscardHandler), w.send)
	w.takeOver()
	return w
}

func (w *world) takeOver() {
	w.generation++
	w.leased, w.head, w.attempt, w.paused, w.givenBack = 0, 0, 0, false, false
	generation, old := w.generation, w.generation-1
	w.toPlugin = append(w.toPlugin, func() {
		w.attached, w.current, w.done = generation, nil, map[int64]bool{}
		if w.calls { // there the evict alone ends the old generation
			w.s.evict(w.name, old)
			return
		}
		w.s.attach(w.name, generation, Policy{Prefetch: w.prefetch, Resend: time.Second})
	}, func() { w.s.evict(w.name, old) })
	w.pump()
}

func (w *world) publish() {
	w.mid++
	w.window = append(w.window, w.mid)
	w.pump()
}

func (w *world) pump() {
	if w.paused || w.givenBack {
		return
	}
	for w.leased < min(w.prefetch, len(w.window)) {
		mid := w.window[w.leased]
		w.leased++
		if mid == w.head { // it was given back
			w.lease(mid, w.attempt)
			w.attempt++
		} else {
			w.lease(mid, 0)
		}
	}
	if w.leased > 0 && w.head == 0 {
		w.head, w.attempt = w.window[0], 1
		w.sent[w.head] = true
	}
}

func (w *world) lease(mid int64, attempt uint32) {
	d := leaseOf(w.name, w.generation, mid, attempt)
	w.toPlugin = append(w.toPlugin, func() {
		if attempt == 0 {
			delete(w.done, mid) // else the core would not begin with it
		}
		w.s.deliver(d)
	})
}

// end ends a message; recall tells whether the plugin must hear of it.
func (w *world) end(mid int64, recall bool) {
	i := slices.Index(w.window, mid)
	if i < 0 {
		return
	}
	w.window = slices.Delete(w.window, i, i+1)
	if i < w.leased {
		w.leased--
		if recall {
			w.recall(mid)
		}
	}
	if mid == w.head {
		w.head, w.attempt, w.paused = 0, 0, false
	}
	w.pump()
}

func (w *world) recall(mid int64) {
	generation := w.generation
	w.toPlugin = append(w.toPlugin, func() {
		if w.current != nil && w.current.Message.MID == mid && w.current.Generation == generation {
			w.current = nil
		}
		w.s.recall(w.name, generation, mid)
	})
}

// giveBack takes all leases back, since other routes wait for them.
func (w *world) giveBack() {
	if w.head == 0 || w.paused || w.givenBack {
		return
	}
	for _, mid := range slices.Backward(w.window[:w.leased]) {
		w.recall(mid)
	}
	w.leased, w.givenBack = 0, true
}

// die ends a message that may be replayed.
func (w *world) die(mid int64) {
	w.end(mid, true)
	w.dead = append(w.dead, mid)
}

// replay puts a dead message at the end of the queue.
func (w *world) replay(mid int64) {
	w.dead = slices.DeleteFunc(w.dead, func(m int64) bool { return m == mid })
	w.window = append(w.window, mid)
	delete(w.sent, mid)
	w.replayed[mid] = true
	w.pump()
}

func (w *world) outcome(o *pluginpb.Outcome) {
	switch {
	case o.GetKind() == acked:
		if w.sent[o.GetMid()] {
			w.end(o.GetMid(), o.GetLate() || o.GetGeneration() != w.generation)
		}
	case o.GetGeneration() != w.generation || o.GetMid() != w.head || w.leased == 0: // stale
	case o.GetKind() == handedOff:
		w.end(o.GetMid(), false)
	default:
		w.leased, w.paused = 0, true
	}
}

func (w *world) timer() {
	if w.givenBack {
		w.givenBack = false
		w.pump()
		return
	}
	if w.head == 0 || w.calls && !w.paused {
		return
	}
	if w.paused {
		w.paused, w.leased = false, 1
	}
	w.lease(w.head, w.attempt)
	w.attempt++
	w.pump()
}

// stepPlugin and stepCore carry the next event of a way to its end.
func (w *world) stepPlugin() bool {
	if len(w.toPlugin) == 0 {
		return false
	}
	next := w.toPlugin[0]
	w.toPlugin = w.toPlugin[1:]
	next()
	return true
}

func (w *world) stepCore() bool {
	if len(w.toCore) == 0 {
		return false
	}
	next := w.toCore[0]
	w.toCore = w.toCore[1:]
	w.outcome(next)
	return true
}

func (w *world) ack() {
	if d := w.current; d != nil {
		w.current = nil
		w.acked(d.Generation, d.Message.MID)
	}
}

// acked is Host.Acked.
func (w *world) acked(generation uint64, mid int64) {
	if done := w.done; !w.s.acked(w.name, generation, mid) {
		w.send(newOutcome(w.name, generation, mid, outcome{kind: acked}, true))
	} else {
		done[mid] = true
	}
}

// tell ends what is in flight by Done.
func (w *world) tell(err error) {
	if d := w.current; d != nil {
		w.current = nil
		w.done[d.Message.MID] = err == nil || errors.Is(err, HandedOff)
		d.Done(err)
	}
}

// settle lets everything come to its end, with a client that acks.
func (w *world) settle(t *rapid.T) {
	for range 20 * (int(w.mid) + 5) {
		for w.stepPlugin() || w.stepCore() {
			w.ack()
		}
		w.ack()
		if len(w.toPlugin)+len(w.toCore) > 0 {
			continue
		}
		if len(w.window) == 0 {
			return
		}
		w.timer()
	}
	t.Fatalf("stuck with %v, head %d, leased %d, paused %v", w.window, w.head, w.leased, w.paused)
}

func TestSequencerKeepsOrderAndNeverSticks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if w.broken != "" {
					t.Fatal(w.broken)
				}
			},
			"publish":  func(*rapid.T) { w.publish() },
			"toPlugin": func(*rapid.T) { w.stepPlugin() },
			"toCore":   func(*rapid.T) { w.stepCore() },
			"ack":      func(*rapid.T) { w.ack() },
			"done":     func(*rapid.T) { w.tell(nil) },
			"handOff":  func(*rapid.T) { w.tell(HandedOff) },
			"fail":     func(*rapid.T) { w.tell(errors.New("busy")) },
			"timer":    func(*rapid.T) { w.timer() },
			"takeOver": func(*rapid.T) { w.takeOver() },
			"endedElsewhere": func(t *rapid.T) {
				if len(w.window) > 0 {
					w.die(rapid.SampledFrom(w.window).Draw(t, "mid"))
				}
			},
			"giveBack": func(*rapid.T) { w.giveBack() },
			"replay": func(t *rapid.T) {
				if len(w.dead) > 0 {
					w.replay(rapid.SampledFrom(w.dead).Draw(t, "mid"))
				}
			},
			"oldAck": func(t *rapid.T) {
				mid := rapid.Int64Range(1, max(w.mid, 1)).Draw(t, "mid")
				if !w.got[mid] {
					return
				}
				if w.current != nil && w.current.Message.MID == mid {
					w.current = nil
				}
				w.acked(w.attached, mid)
			},
		})
		w.settle(t)
		if w.broken != "" {
			t.Fatal(w.broken)
		}
		if n := len(w.s.routes); n != 1 {
			t.Fatalf("%d routes", n)
		}
		if r := w.s.routes["phone"]; r.queue.head != nil {
			t.Fatalf("%d is left in the queue", r.queue.head.delivery.Message.MID)
		}
	})
}
