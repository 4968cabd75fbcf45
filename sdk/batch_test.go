package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpush/sdk/pluginpb"
)

// batcher is a BatchEgress whose calls the test ends one by one.
type batcher struct {
	recorder
	calls chan *batchInFlight
}

type batchInFlight struct {
	ctx        context.Context
	deliveries []*Delivery
	result     chan error
}

// batchOnly hides the methods of a Dispatcher.
type batchOnly struct{ BatchEgress }

func (batchOnly) Describe() Manifest { return Manifest{Name: "batcher"} }

func (b *batcher) DeliverBatch(ctx context.Context, deliveries []*Delivery) error {
	call := &batchInFlight{ctx, deliveries, make(chan error)}
	b.calls <- call
	err := <-call.result
	if err != nil && strings.HasPrefix(err.Error(), "panic ") {
		panic(err.Error()[len("panic "):])
	}
	return err
}

func newBatcher(ctx context.Context) (*batcher, *sequencer) {
	b := &batcher{calls: make(chan *batchInFlight, 100)}
	return b, newSequencer(ctx, batchOnly{b}, slog.New(slog.DiscardHandler), b.send)
}

// leaseAll leases one message to receivers 0 to n-1, in one piece.
func (s *sequencer) leaseAll(n int, mid int64) {
	s.hold()
	defer s.release()
	d := &pluginpb.Deliver{Message: &pluginpb.Message{Mid: mid}}
	for i := range n {
		d.Routes = append(d.Routes, &pluginpb.DeliverRoute{Receiver: fmt.Sprint(i), Generation: 1})
	}
	s.deliver(d)
}

// quiet fails if a call has begun, now that everything has come to rest.
func (b *batcher) quiet(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if len(b.calls) > 0 {
		t.Errorf("DeliverBatch of %d has begun", len((<-b.calls).deliveries))
	}
}

func TestWhatIsReadyTogetherIsHandedOverTogetherWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBatcher(t.Context())
		const all = MaxBatches*MaxBatch + 250
		s.leaseAll(all, 10)
		synctest.Wait()
		if len(b.calls) != MaxBatches {
			t.Fatalf("%d calls at once", len(b.calls))
		}
		var sizes []int
		seen := map[string]bool{}
		for len(seen) < all {
			call := <-b.calls
			sizes = append(sizes, len(call.deliveries))
			for _, d := range call.deliveries {
				seen[d.Receiver] = true
			}
			call.result <- nil
			synctest.Wait()
		}
		if got := fmt.Sprint(sizes); got != "[100 100 100 100 100 100 50]" {
			t.Errorf("batches of %s", got)
		}
		b.quiet(t)
		if len(b.outcomes) != all || len(s.routes) != 0 {
			t.Errorf("%d outcomes, %d routes are still known", len(b.outcomes), len(s.routes))
		}
	})
}

func TestEachDeliveryOfABatchHasItsOwnOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		result error
		rest   string
	}{
		"nil":   {nil, "ACKED"},
		"error": {errors.New("503"), "RETRY"},
		"class": {Permanent(errors.New("no")), "REJECTED"},
		"panic": {errors.New("panic over"), "RETRY"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBatcher(t.Context())
				s.leaseAll(3, 10)
				s.deliver(leaseOf("0", 1, 11, 0))
				call := <-b.calls
				call.deliveries[0].Done(HandedOff)
				call.deliveries[1].Done(Gone(errors.New("410")))
				b.quiet(t) // 11 comes after the call, though 10 has its outcome
				call.result <- test.result
				next := <-b.calls
				if d := next.deliveries[0]; len(next.deliveries) != 1 || d.Message.MID != 11 {
					t.Errorf("then %v", next.deliveries)
				}
				next.result <- nil
				synctest.Wait()
				b.expect(t, "", "10:HANDED_OFF 10:GONE 10:"+test.rest+" 11:ACKED")
			})
		})
	}
}

func TestBatchGoesOnUntilAllOfItWasTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBatcher(t.Context())
		s.leaseAll(3, 10)
		call := <-b.calls
		s.recall("0", 1, 10)
		s.recall("0", 1, 10) // counts once
		s.evict("1", 1)
		if call.ctx.Err() != nil {
			t.Error("cut off while one is wanted")
		}
		s.deliver(leaseOf("2", 2, 20, 0)) // a new generation
		<-call.ctx.Done()
		b.quiet(t)
		call.result <- call.ctx.Err()
		next := <-b.calls
		next.result <- nil
		synctest.Wait()
		b.expect(t, "", "20:ACKED")
	})
}

func TestDrainLetsBatchesEndThenCutsThemOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batcher{calls: make(chan *batchInFlight, 100)}
		x := newExchange(t.Context(), batchOnly{b}, "test")
		s := x.sequencer
		s.send = b.send
		s.leaseAll(2, 10)
		s.leaseAll(4, 20) // 0 and 1 are busy: 2 and 3
		first, second := <-b.calls, <-b.calls
		if len(first.deliveries) != 2 {
			first, second = second, first
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		begun := time.Now()
		go func() {
			time.Sleep(time.Second)
			first.result <- nil
			second.deliveries[0].Done(nil)
			<-second.ctx.Done()
			if took := time.Since(begun); took != 4*time.Second {
				t.Errorf("cut off after %v", took)
			}
			second.result <- second.ctx.Err()
		}()
		x.drain(ctx)
		b.quiet(t)
		if len(b.outcomes) != 3 {
			t.Errorf("outcomes %v", b.outcomes)
		}
	})
}

type contradictory struct {
	*recorder
	Egress
}

func TestPluginThatContradictsItselfIsRefused(t *testing.T) {
	p := contradictory{&recorder{}, &caller{}}
	if contradiction(p.recorder) != nil || contradiction(batchOnly{}) != nil {
		t.Error("one way to deliver is none too many")
	}
	defer func() {
		if got := fmt.Sprint(recover()); got != "sdk: sdk.contradictory implements Egress (Deliver) and Dispatcher (Dispatch and Evict): messages go out one way, keep one of these" {
			t.Errorf("Register: %s", got)
		}
	}()
	Register(nil, p)
}

// A call that hangs over what was taken back is cut off, although the rest of it
// has its outcome: else it would keep its place for ever.
func TestBatchIsCutOffWhenNothingInItIsOpenAnyMore(t *testing.T) {
	for name, test := range map[string]func(s *sequencer, d *Delivery){
		"taken back last":  func(s *sequencer, d *Delivery) { d.Done(nil); s.recall("1", 1, 10) },
		"taken back first": func(s *sequencer, d *Delivery) { s.recall("1", 1, 10); d.Done(nil) },
		"evicted":          func(s *sequencer, d *Delivery) { d.Done(errors.New("503")); s.evict("1", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBatcher(t.Context())
				s.leaseAll(2, 10)
				call := <-b.calls
				test(s, call.deliveries[0])
				if call.ctx.Err() == nil {
					t.Error("it goes on for nobody")
				}
				call.result <- nil
			})
		})
	}
}

func TestBatchWhoseDeliveriesAllHaveOutcomesIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBatcher(t.Context())
		s.leaseAll(2, 10)
		call := <-b.calls
		call.deliveries[0].Done(errors.New("503"))
		call.deliveries[1].Done(nil)
		s.evict("0", 1)
		if call.ctx.Err() != nil {
			t.Error("cut off at its end")
		}
		call.result <- nil
	})
}

func TestOutcomeWithoutAReasonIsOneToo(t *testing.T) {
	for want, err := range map[string]error{
		"RETRY": Retry(nil), "REJECTED": Permanent(nil), "GONE": Gone(nil),
	} {
		o := outcomeOf(err)
		if got := strings.TrimPrefix(o.kind.String(), "OUTCOME_KIND_"); got != want || o.text == "" {
			t.Errorf("%s: %s %q", want, got, o.text)
		}
	}
}
