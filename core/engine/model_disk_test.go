package engine_test

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

// The model's disk: when it does what the engine asks for, and what must be true of
// what is on it.

// lateTrace is a Trace that was read and is not yet reported.
type lateTrace struct {
	*engine.Trace
	ev *engine.Traced
}

// work lets the store do its next n jobs: the writes first, in one transaction.
// Queues and traces may have their turn later.
func (w *world) work(n int) {
	jobs := w.jobs[:n]
	w.jobs = slices.Clone(w.jobs[n:])
	ops := w.kept
	w.kept = nil
	var lazy []record.Op
	lazy = append(lazy, ops...)
	for _, job := range jobs {
		if write, ok := job.(*engine.Write); ok {
			ops = append(ops, write.Ops...)
			if write.Token == 0 {
				lazy = append(lazy, write.Ops...)
			}
		}
	}
	var err error
	if w.failNext {
		err, w.failNext, w.failedAt = errors.New("injected"), false, w.now
		w.kept = lazy
	} else if err = w.mem.Commit(context.Background(), ops); err != nil {
		w.t.Fatal(err)
	} else {
		w.noteCommitted(ops)
	}
	for _, job := range jobs {
		if write, ok := job.(*engine.Write); ok && write.Token != 0 {
			w.step(&engine.Written{Token: write.Token, Err: err})
		}
	}
	for _, job := range jobs {
		switch job.(type) {
		case *engine.Load, *engine.Trace:
			if err == nil && w.later() {
				w.jobs = append(w.jobs, job)
				continue
			}
		}
		switch ef := job.(type) {
		case *engine.Load:
			ev := &engine.Loaded{Token: ef.Token, Err: err}
			if err != nil { // a read must not miss what could not be written
				w.step(ev)
				continue
			}
			ev.Items, ev.More, ev.Err = w.mem.Next(context.Background(), ef.Receiver, ef.After, ef.N, ef.MaxBytes)
			w.step(ev)
		case *engine.Find:
			ev := &engine.Found{Token: ef.Token, Err: err}
			if err != nil {
				w.step(ev)
				continue
			}
			ev.Item, _, ev.Err = w.mem.Find(context.Background(), ef.Receiver, ef.MID)
			w.step(ev)
		case *engine.Trace:
			ev := &engine.Traced{Token: ef.Token, Err: err}
			if err == nil {
				ev.Message, ev.Items, ev.Err = w.mem.Trace(context.Background(), ef.MID)
			}
			if w.later() {
				w.jobs = append(w.jobs, &lateTrace{ef, ev})
				continue
			}
			w.step(ev)
		case *lateTrace:
			w.step(ef.ev)
		case *engine.LookUp:
			ev := &engine.Sent{Token: ef.Token, Err: err}
			if err == nil {
				ev.Key, ev.Found, ev.Err = w.mem.Sent(context.Background(), ef.Sender, ef.Name)
			}
			w.step(ev)
		}
	}
}

func (w *world) later() bool { return rapid.IntRange(0, 3).Draw(w.t, "later") == 3 }

func (w *world) noteCommitted(ops []record.Op) {
	w.count()
	for _, op := range ops {
		if put, ok := op.(*record.Put); ok {
			if put.Message.MID <= w.lastMID {
				w.t.Fatalf("mid %d after %d", put.Message.MID, w.lastMID)
			}
			w.lastMID = put.Message.MID
			w.inOrder(put.Message)
			for i, name := range put.Receivers {
				if put.Seqs[i] != 0 {
					w.accepted[key{name, put.Message.MID}] = true
					w.place[key{name, put.Message.MID}] = put.Seqs[i]
					w.queued++
					w.order[key{name, put.Message.MID}] = w.queued
				}
			}
		}
		if replay, ok := op.(*record.Replay); ok && replay.Seq != 0 {
			k := key{replay.Receiver, replay.MID}
			w.replayed++
			w.queued++
			w.place[k], w.order[k] = replay.Seq, w.queued
			delete(w.sent, k)
			delete(w.ranks, k)
		}
		if settle, ok := op.(*record.Settle); ok && settle.Item.Reason == "rejected" {
			if k := (key{settle.Item.Receiver, settle.Item.MID}); !w.refused[k] && !w.gone[k.receiver] {
				w.t.Fatalf("%v ends as rejected, and nobody has rejected it", k)
			}
		}
	}
}

// waiting counts what is open for each receiver on disk.
func (w *world) waiting() map[string]int64 {
	waiting := make(map[string]int64)
	accounts, err := w.mem.Audit(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range accounts {
		if !a.Forgotten {
			waiting[a.Receiver] = a.Pending
		}
	}
	return waiting
}

// isQuiet tells whether the engine knows all that the disk does.
func (w *world) isQuiet() bool { return len(w.jobs)+len(w.kept) == 0 && w.now-w.failedAt > 1000 }

// isUnderWay tells whether a message with the key may have no answer yet.
func (w *world) isUnderWay(key string) bool {
	for _, p := range w.published {
		if p.key == key && (p.answered == 0 || p.unheard) {
			return true
		}
	}
	return false
}

// inOrder holds a message to the order in which its sender has sent: its text is
// its request's number.
func (w *world) inOrder(m *message.Message) {
	n, err := strconv.ParseUint(m.Text, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	p := w.published[engine.RequestID{Number: n}]
	if p == nil {
		w.t.Fatalf("a message of the unknown request %d is on disk", n)
	}
	if p.repeats {
		return
	}
	if last := w.newest[p.from]; n < last {
		w.t.Fatalf("the message of the request %d of %q is behind that of %d", n, p.from, last)
	}
	w.newest[p.from] = n
}

// count holds the receivers on disk to the limits.
func (w *world) count() {
	registry, err := w.mem.Load(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	members := 0
	for _, r := range registry.Receivers {
		if r.Group == "g" {
			members++
		}
	}
	if known := len(registry.Receivers); w.receivers > 0 && known > w.receivers || w.members > 0 && members > w.members {
		w.t.Fatalf("%d receivers are known, and %d in the group", known, members)
	}
}
