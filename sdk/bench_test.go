package sdk

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
)

// cycle is one message's way through the sequencer: leased, dispatched, acked,
// and its outcome taken from the outbox.
type cycle struct {
	s      *sequencer
	outbox *outbox
	lease  *pluginpb.Deliver
	batch  []*pluginpb.PluginEnvelope
}

type swallow struct{}

func (swallow) Describe() Manifest             { return Manifest{} }
func (swallow) Dispatch(*Delivery)             {}
func (swallow) Evict(string, uint64, Eviction) {}

func newCycle() *cycle {
	c := &cycle{outbox: newOutbox(), lease: leaseOf("phone", 1, 0, 0)}
	c.lease.Message.Extra = []byte("{}")
	c.s = newSequencer(context.Background(), swallow{}, slog.New(slog.DiscardHandler), c.outbox.post)
	c.s.attach("phone", 1, Policy{Prefetch: 32, Resend: time.Second})
	return c
}

func (c *cycle) run() {
	c.lease.Message.Mid++
	c.s.deliver(c.lease)
	c.s.acked("phone", 1, c.lease.Message.Mid)
	var bytes int
	c.batch, bytes = c.outbox.take(c.batch[:0])
	c.outbox.sent(bytes)
}

func BenchmarkDispatchedAndAcked(b *testing.B) {
	c := newCycle()
	b.ReportAllocs()
	for b.Loop() {
		c.run()
	}
}

// TestAllocationsPerDelivery: the message, which its routes share, the lease
// with the Delivery in it, and the outcome.
func TestAllocationsPerDelivery(t *testing.T) {
	c := newCycle()
	for range 2 * maxRecent {
		c.run()
	}
	if got := testing.AllocsPerRun(1000, c.run); got > 3 {
		t.Errorf("%v allocations", got)
	}
	if len(c.batch) != 1 || c.batch[0].GetOutcome().GetMid() != c.lease.Message.Mid {
		t.Errorf("outbox %v", c.batch)
	}
}
