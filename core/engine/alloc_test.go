package engine

import (
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

// line is the shortest way through the engine: one send, its write, its ack.
type line struct {
	e          *Engine
	now        int64
	seq        record.Seq
	generation uint64
	seqs       []record.Seq
}

func newLine(tb testing.TB) *line {
	l := &line{e: New(Config{}, record.Registry{}, nil), now: 1_000_000, seqs: make([]record.Seq, 1)}
	l.e.Step(l.now, &LinkUp{Link: 1, Channel: "sock"})
	effects := l.e.Step(l.now, &Attach{Link: 1, Request: RequestID{Number: 1}, Name: "ann", Policy: record.Policy{Exclusive: true, Acks: true, Prefetch: 32, Resend: 3000}})
	effects = l.e.Step(l.now, &Written{Token: effects[0].(*Write).Token})
	l.generation = effects[0].(*Answer).Body.(Attached).Generation
	return l
}

func (l *line) pass(tb testing.TB) {
	effects := l.e.Step(l.now, &Publish{Link: 1, Request: RequestID{Number: 2}, SendType: message.Personal, Target: "ann", Text: "hello", Wait: 5000})
	write := effects[0].(*Write)
	put := write.Ops[0].(*record.Put)
	l.seq++
	l.seqs[0] = l.seq
	put.Seqs = l.seqs
	effects = l.e.Step(l.now, &Written{Token: write.Token})
	d, ok := effects[0].(*Deliver)
	if !ok {
		tb.Fatalf("%T after the write", effects[0])
	}
	effects = l.e.Step(l.now, &Outcome{Link: 1, Receiver: "ann", Generation: l.generation, MID: d.Message.MID, Kind: Acked})
	if a, ok := effects[len(effects)-1].(*Answer); !ok || a.Body.(Published).Statuses[0].Status.Rank != message.OK {
		tb.Fatalf("%+v in the end", effects[len(effects)-1])
	}
}

// TestAllocationsPerMessage is a budget: what it counts does not depend on the
// machine. The events themselves, three, are the caller's.
func TestAllocationsPerMessage(t *testing.T) {
	l := newLine(t)
	l.pass(t)
	const budget = 20
	if n := testing.AllocsPerRun(1000, func() { l.pass(t) }); n > budget {
		t.Errorf("%v allocations for a message, the budget is %d", n, budget)
	} else {
		t.Logf("%v allocations for a message", n)
	}
}

func BenchmarkMessage(b *testing.B) {
	l := newLine(b)
	b.ReportAllocs()
	for b.Loop() {
		l.pass(b)
	}
}
