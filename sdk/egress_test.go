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

// caller is an Egress whose calls the test ends one by one.
type caller struct {
	recorder
	calls chan *callInFlight
}

type callInFlight struct {
	ctx context.Context
	*Delivery
	result chan error
}

// egressOnly hides the methods of a Dispatcher.
type egressOnly struct{ Egress }

func (egressOnly) Describe() Manifest { return Manifest{Name: "caller"} }

func (c *caller) Deliver(ctx context.Context, d *Delivery) error {
	call := &callInFlight{ctx, d, make(chan error)}
	c.calls <- call
	err := <-call.result
	if err != nil && strings.HasPrefix(err.Error(), "panic ") {
		panic(err.Error()[len("panic "):])
	}
	return err
}

func newCaller(ctx context.Context) (*caller, *sequencer) {
	c := &caller{calls: make(chan *callInFlight, 100)}
	return c, newSequencer(ctx, egressOnly{c}, slog.New(slog.DiscardHandler), c.send)
}

// quiet fails if a call has begun, now that everything has come to rest.
func (c *caller) quiet(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case call := <-c.calls:
		t.Errorf("Deliver of %d has begun", call.Message.MID)
	default:
	}
}

func (c *caller) next(t *testing.T, mid int64) *callInFlight {
	t.Helper()
	call := <-c.calls
	if call.Message.MID != mid {
		t.Fatalf("Deliver of %d, want %d", call.Message.MID, mid)
	}
	return call
}

func TestEgressDeliversOneAtATimePerReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCaller(t.Context())
		s.lease(1, 10, 11)
		s.deliver(leaseOf("tablet", 2, 10, 0))
		a, b := <-c.calls, <-c.calls
		if a.Receiver == b.Receiver {
			t.Errorf("two at once for %s", a.Receiver)
		}
		if a.Receiver != "phone" {
			a, b = b, a
		}
		s.resend(1, 10) // it still runs
		c.quiet(t)
		a.result <- nil
		c.next(t, 11).result <- Permanent(errors.New("no"))
		b.result <- HandedOff
		c.quiet(t)
		if len(s.routes) != 0 {
			t.Errorf("%d routes are still known", len(s.routes))
		}
	})
}

func TestRecallEndsTheCallAndTheNextWaitsForIt(t *testing.T) {
	for name, end := range map[string]func(*sequencer){
		"recall":         func(s *sequencer) { s.recall("phone", 1, 10); s.lease(1, 20) },
		"evict":          func(s *sequencer) { s.evict("phone", 1); s.lease(2, 20) },
		"new generation": func(s *sequencer) { s.lease(2, 20) },
		"skipped":        func(s *sequencer) { s.lease(1, 20); s.resend(1, 20) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newCaller(t.Context())
				s.lease(1, 10)
				running := c.next(t, 10)
				end(s)
				<-running.ctx.Done()
				c.quiet(t)
				running.result <- running.ctx.Err()
				c.next(t, 20).result <- nil
				c.quiet(t)
				c.expect(t, "", "20:ACKED")
			})
		})
	}
}

func TestPanicInDeliverIsARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCaller(t.Context())
		s.lease(1, 10)
		c.next(t, 10).result <- errors.New("panic over")
		synctest.Wait()
		if got := c.outcomes[0].GetError(); got != "panic: over" {
			t.Errorf("error %q", got)
		}
		c.expect(t, "", "10:RETRY")
		s.resend(1, 10)
		c.next(t, 10).result <- nil
		c.quiet(t)
	})
}

func TestDoneInDeliverCountsBeforeItsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCaller(t.Context())
		s.lease(1, 10, 11)
		call := c.next(t, 10)
		call.Done(nil)
		c.quiet(t) // one call at a time all the same
		call.result <- errors.New("later")
		c.next(t, 11).result <- nil
		c.quiet(t)
		c.expect(t, "", "10:ACKED 11:ACKED")
	})
}

func TestDrainWaitsThenCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{calls: make(chan *callInFlight, 100)}
		x := newExchange(t.Context(), egressOnly{c}, "test")
		s := x.sequencer
		s.send = c.send
		s.lease(1, 10, 11)
		s.deliver(leaseOf("tablet", 2, 20, 0))
		s.deliver(leaseOf("watch", 3, 30, 0))
		calls := map[string]*callInFlight{}
		for range 3 {
			call := <-c.calls
			calls[call.Receiver] = call
		}
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			calls["phone"].result <- nil
			<-calls["tablet"].ctx.Done()
			if took := time.Since(begun); took != 4*time.Second {
				t.Errorf("cut off after %v", took)
			}
			calls["tablet"].result <- calls["tablet"].ctx.Err()
			calls["watch"].result <- HandedOff
		}()
		x.drain(ctx)
		c.quiet(t)
		got := fmt.Sprint(outcomeWords(c))
		if got != "[10:ACKED 30:HANDED_OFF]" {
			t.Errorf("outcomes %s", got)
		}
	})
}

func outcomeWords(c *caller) (words []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.outcomes {
		words = append(words, fmt.Sprint(o.GetMid(), ":", strings.TrimPrefix(o.GetKind().String(), "OUTCOME_KIND_")))
	}
	return words
}

func TestDrainGivesUpOnADeafCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{calls: make(chan *callInFlight, 100)}
		x := newExchange(t.Context(), egressOnly{c}, "test")
		x.sequencer.deliver(&pluginpb.Deliver{
			Message: &pluginpb.Message{Mid: 10}, Routes: []*pluginpb.DeliverRoute{{Receiver: "phone"}},
		})
		call := c.next(t, 10)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		x.drain(ctx)
		if took := time.Since(begun); took != 6*time.Second {
			t.Errorf("drained after %v", took)
		}
		call.result <- nil
	})
}
