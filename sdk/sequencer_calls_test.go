package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"mpush/sdk/pluginpb"
)

// house is several receivers on the channel of a plugin whose deliveries are
// calls, one by one or in batches: each receiver is a world of its own, with the
// promises of TestSequencerKeepsOrderAndNeverSticks, and the calls are ended by
// the test.
type house struct {
	s      *sequencer
	batch  bool
	worlds []*world

	mu      sync.Mutex
	running []*houseCall
	broken  string
}

type houseCall struct {
	ctx        context.Context
	deliveries []*Delivery
	done       []bool
	result     chan error
}

// one and many are the two kinds of plugins of a house.
type one struct{ *house }
type many struct{ *house }

func (*house) Describe() Manifest { return Manifest{} }

func (o one) Deliver(ctx context.Context, d *Delivery) error { return o.call(ctx, []*Delivery{d}) }

func (m many) DeliverBatch(ctx context.Context, deliveries []*Delivery) error {
	return m.call(ctx, deliveries)
}

func newHouse(t *rapid.T, batch bool) *house {
	h := &house{batch: batch}
	var plugin Plugin = one{h}
	if batch {
		plugin = many{h}
	}
	h.s = newSequencer(context.Background(), plugin, slog.New(slog.DiscardHandler), func(e *pluginpb.PluginEnvelope) {
		h.of(e.GetOutcome().GetReceiver()).send(e)
	})
	for i := range rapid.IntRange(1, 12).Draw(t, "receivers") {
		w := makeWorld(fmt.Sprint("r", i), 1)
		w.s, w.calls = h.s, true
		h.worlds = append(h.worlds, w)
		w.takeOver()
	}
	return h
}

func (h *house) of(receiver string) *world {
	return h.worlds[slices.IndexFunc(h.worlds, func(w *world) bool { return w.name == receiver })]
}

// call checks what the sequencer promises of calls, and lasts until the test
// ends it.
func (h *house) call(ctx context.Context, deliveries []*Delivery) error {
	c := &houseCall{ctx: ctx, deliveries: deliveries, done: make([]bool, len(deliveries)), result: make(chan error)}
	h.mu.Lock()
	for _, d := range deliveries {
		for _, other := range append(slices.Clone(h.running), c) {
			for _, theirs := range other.deliveries {
				if theirs.Receiver == d.Receiver && theirs != d {
					h.broken = fmt.Sprintf("%d and %d for %s at once", theirs.Message.MID, d.Message.MID, d.Receiver)
				}
			}
		}
		h.of(d.Receiver).Dispatch(d)
	}
	h.running = append(h.running, c)
	if h.batch && (len(h.running) > MaxBatches || len(deliveries) > MaxBatch) {
		h.broken = fmt.Sprintf("%d calls at once, one of %d deliveries", len(h.running), len(deliveries))
	}
	h.mu.Unlock()
	return <-c.result
}

// told is what the world of a delivery knows once its outcome was told.
func (h *house) told(c *houseCall, i int, err error) {
	if c.done[i] {
		return
	}
	c.done[i] = true
	d := c.deliveries[i]
	w := h.of(d.Receiver)
	if w.current == d {
		w.current = nil
		if err == nil && d.Generation == w.attached {
			w.done[d.Message.MID] = true
		}
	}
}

// end returns from a call.
func (h *house) end(c *houseCall, err error) {
	for i := range c.deliveries {
		h.told(c, i, err)
	}
	h.running = slices.DeleteFunc(h.running, func(r *houseCall) bool { return r == c })
	c.result <- err
	synctest.Wait()
}

func (h *house) step() (any bool) {
	for _, w := range h.worlds {
		for w.stepPlugin() || w.stepCore() {
			any = true
			synctest.Wait()
		}
	}
	return any
}

func (h *house) settle(t *rapid.T) {
	for range 1000 {
		any := h.step()
		for len(h.running) > 0 {
			any = true
			h.end(h.running[0], nil)
		}
		if any {
			continue
		}
		open := 0
		for _, w := range h.worlds {
			open += len(w.window)
			w.timer()
		}
		if open == 0 {
			return
		}
	}
	t.Fatal("stuck")
}

func (h *house) check(t *rapid.T) {
	for _, w := range h.worlds {
		if w.broken != "" {
			t.Fatalf("%s: %s", w.name, w.broken)
		}
	}
	if h.broken != "" {
		t.Fatal(h.broken)
	}
}

func TestSequencerOfCallsKeepsOrderAndNeverSticks(t *testing.T) {
	for name, batch := range map[string]bool{"one by one": false, "batches": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				most := 0
				// Within a bubble Deadline must not be asked for.
				rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) { most = max(most, liveInAHouse(t, batch)) })
				if batch && most < 3 {
					t.Errorf("the largest batch had %d deliveries: the test shows little", most)
				}
			})
		})
	}
}

// liveInAHouse returns how many deliveries the largest call had.
func liveInAHouse(t *rapid.T, batch bool) (most int) {
	h := newHouse(t, batch)
	some := func(t *rapid.T) *world { return rapid.SampledFrom(h.worlds).Draw(t, "receiver") }
	running := func(t *rapid.T) *houseCall {
		if len(h.running) == 0 {
			return nil
		}
		// Which of two that began together came first is left to chance.
		slices.SortFunc(h.running, func(a, b *houseCall) int {
			return int(a.deliveries[0].Message.MID-b.deliveries[0].Message.MID)*100 + slices.Compare([]byte(a.deliveries[0].Receiver), []byte(b.deliveries[0].Receiver))
		})
		return h.running[rapid.IntRange(0, len(h.running)-1).Draw(t, "call")]
	}
	result := func(t *rapid.T) error {
		return rapid.SampledFrom([]error{nil, nil, errors.New("busy")}).Draw(t, "result")
	}
	h.s.hold()
	for _, w := range h.worlds { // a message to all of them
		w.publish()
		for w.stepPlugin() {
		}
	}
	h.s.release()
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			synctest.Wait()
			for _, c := range h.running {
				most = max(most, len(c.deliveries))
			}
			h.check(t)
		},
		"publish": func(t *rapid.T) { some(t).publish() },
		"toCore":  func(t *rapid.T) { some(t).stepCore() },
		"frame": func(t *rapid.T) {
			h.s.hold()
			for _, w := range h.worlds {
				if rapid.Bool().Draw(t, w.name) {
					w.stepPlugin()
				}
			}
			h.s.release()
		},
		"done": func(t *rapid.T) {
			if c := running(t); c != nil {
				i, err := rapid.IntRange(0, len(c.deliveries)-1).Draw(t, "delivery"), result(t)
				h.told(c, i, err)
				c.deliveries[i].Done(err)
			}
		},
		"return": func(t *rapid.T) {
			if c := running(t); c != nil {
				h.end(c, result(t))
			}
		},
		"timer":    func(t *rapid.T) { some(t).timer() },
		"takeOver": func(t *rapid.T) { some(t).takeOver() },
		"endedElsewhere": func(t *rapid.T) {
			if w := some(t); len(w.window) > 0 {
				w.end(rapid.SampledFrom(w.window).Draw(t, "mid"), true)
			}
		},
	})
	h.settle(t)
	h.check(t)
	if n := len(h.s.routes); n > 0 {
		t.Fatalf("%d routes are still known", n)
	}
	return most
}
