package store_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

var queueLength = flag.Int("queue", 20_000, "items in the queue that BenchmarkNext reads")

// bench is a store with receivers and the settlements that are due.
type bench struct {
	*testing.B
	s     store.Store
	names []string
	mid   message.MID
	due   []record.Op
}

func newBench(b *testing.B, receivers int) *bench {
	b.Helper()
	s, err := store.OpenSQLite(context.Background(), filepath.Join(b.TempDir(), "mpush.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	x := &bench{B: b, s: s, mid: 1 << 40}
	var ops []record.Op
	for i := range receivers {
		name := fmt.Sprint("receiver-", i)
		x.names = append(x.names, name)
		ops = append(ops, known(name), &record.SaveRoute{Route: record.Route{
			Receiver: name, Channel: "bench", Kind: record.Attached, Address: []byte("twenty bytes or more"), Policy: record.Policy{Prefetch: 32},
		}})
	}
	x.commit(ops)
	return x
}

func (x *bench) commit(ops []record.Op) {
	if err := x.s.Commit(context.Background(), ops); err != nil {
		x.Fatal(err)
	}
}

func (x *bench) put(receivers ...string) *record.Put {
	x.mid++
	return &record.Put{Receivers: receivers, Message: &message.Message{
		MID: x.mid, SendType: message.Personal, Target: "receiver-1", FromMethod: "in", FromName: "sender",
		Text: "a title", Desp: strings.Repeat("x", 100), Extra: []byte(`{"a":"233","b":{"hello":"world"}}`), AcceptedAt: int64(x.mid),
	}}
}

// ack makes the settlements of a Put, and moves cursors if asked to.
func (x *bench) ack(p *record.Put, advance bool) {
	for i, name := range p.Receivers {
		x.due = append(x.due, &record.Settle{Item: record.Item{
			Receiver: name, Seq: p.Seqs[i], MID: p.Message.MID, State: record.Acked, Status: message.Status{Rank: message.OK},
			Tries: 1, SentAt: int64(x.mid), EndedAt: int64(x.mid),
		}})
		if advance {
			x.due = append(x.due, &record.Advance{Receiver: name, Channel: "bench", Cursor: p.Seqs[i]})
		}
	}
}

// measure runs f until it has done b.N units, and reports CPU time per unit.
func (x *bench) measure(f func() (units int)) {
	x.ReportAllocs()
	start := cpu()
	x.ResetTimer()
	for done := 0; done < x.N; {
		done += f()
	}
	x.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(x.N), "cpu-ns/op")
}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkPutSettle: a message to one receiver and, with a later batch, its
// ack. One op is one message.
func BenchmarkPutSettle(b *testing.B) {
	run := func(name string, batch, receivers int, advance bool) {
		b.Run(name, func(b *testing.B) {
			x := newBench(b, receivers)
			at := 0
			x.measure(func() int {
				n := min(batch, b.N)
				ops := x.due
				x.due = nil
				var puts []*record.Put
				for range n {
					at = (at + 7919) % receivers
					p := x.put(x.names[at])
					puts, ops = append(puts, p), append(ops, p)
				}
				x.commit(ops)
				for _, p := range puts {
					x.ack(p, advance)
				}
				return n
			})
		})
	}
	for _, batch := range []int{1, 16, 64, 256} {
		run(fmt.Sprintf("batch=%d", batch), batch, 200, false)
	}
	run("batch=64/receivers=10000", 64, 10_000, false)
	run("batch=64/cursors", 64, 200, true)
	run("batch=64/cursors/receivers=10000", 64, 10_000, true)
}

// BenchmarkGroup: a message to 1,000 receivers and their acks. One op is one
// delivery.
func BenchmarkGroup(b *testing.B) {
	x := newBench(b, 1000)
	x.measure(func() int {
		p := x.put(x.names...)
		x.commit(append(x.due, p))
		x.due = nil
		x.ack(p, false)
		return len(x.names)
	})
}

// BenchmarkNext reads 32 items. -queue=1000000 makes it a long one.
func BenchmarkNext(b *testing.B) {
	x := newBench(b, 2)
	const batch = 500
	for done := 0; done < *queueLength; done += batch {
		var ops []record.Op
		for range batch {
			ops = append(ops, x.put(x.names[0]), x.put(x.names[1]))
		}
		x.commit(ops)
		for i := range ops { // all of the second receiver's but the last
			if p := ops[i].(*record.Put); i%2 == 1 && done+i/2 < *queueLength-1 {
				x.ack(p, false)
			}
		}
		x.commit(x.due)
		x.due = nil
	}
	ctx := context.Background()
	read := func(b *testing.B, receiver string, after record.Seq, want int) {
		items, _, err := x.s.Next(ctx, receiver, after, 32, 256<<10)
		if err != nil || len(items) != want {
			b.Fatalf("got %d items, %v", len(items), err)
		}
	}
	b.Run("head", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, x.names[0], 0, 32)
		}
	})
	b.Run("middle", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, x.names[0], record.Seq(*queueLength/2), 32)
		}
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := x.s.Next(ctx, x.names[0], record.Seq(*queueLength/2), 1, 256<<10); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("behind ended items", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, x.names[1], 0, 1)
		}
	})
	b.Run("find", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found, err := x.s.Find(ctx, x.names[1], x.mid); err != nil || !found {
				b.Fatalf("found %v, %v", found, err)
			}
		}
	})
}
