// Package storetest is the suite that every store.Store passes: a case for each
// rule of the contract, and a state machine that drives random operations
// against two models, with restarts and crashes in between. A new store calls
// Run from its own test.
package storetest

import (
	"context"
	"reflect"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// Open returns a new, empty store. It is closed by the suite or with the test.
type Open func(t *testing.T) store.Store

// Life ends a store, in order or by a crash, and returns the next one with what
// the old one had committed.
type Life func(t *testing.T, s store.Store) store.Store

// Run holds a store to the contract. lives are the ways in which it can end and
// come back, by name.
func Run(t *testing.T, open Open, lives map[string]Life) {
	t.Run("put", func(t *testing.T) { testPut(t, open) })
	t.Run("settle", func(t *testing.T) { testSettle(t, open) })
	t.Run("registry", func(t *testing.T) { testRegistry(t, open) })
	t.Run("read", func(t *testing.T) { testRead(t, open) })
	t.Run("history", func(t *testing.T) { testHistory(t, open, lives) })
	t.Run("commit", func(t *testing.T) { testCommit(t, open) })
	for name, life := range lives {
		t.Run("after "+name, func(t *testing.T) { testLife(t, open, life) })
	}
	t.Run("random operations", func(t *testing.T) { testMachine(t, open, lives) })
}

// fixture is a store with a test's shorthand. Whatever fails ends the test.
type fixture struct {
	t *testing.T
	s store.Store
}

func start(t *testing.T, open Open, receivers ...string) *fixture {
	t.Helper()
	f := &fixture{t: t, s: open(t)}
	for _, name := range receivers {
		f.commit(&record.SaveReceiver{Receiver: record.Receiver{Name: name}})
	}
	return f
}

func (f *fixture) commit(ops ...record.Op) {
	f.t.Helper()
	if err := f.s.Commit(context.Background(), ops); err != nil {
		f.t.Fatalf("commit: %v", err)
	}
}

// put commits a small message.
func (f *fixture) put(mid message.MID, receivers ...string) *record.Put {
	f.t.Helper()
	p := &record.Put{Message: small(mid), Receivers: receivers}
	f.commit(p)
	return p
}

func (f *fixture) load() record.Registry {
	f.t.Helper()
	reg, err := f.s.Load(context.Background())
	if err != nil {
		f.t.Fatalf("load: %v", err)
	}
	return reg
}

func (f *fixture) next(receiver string, after record.Seq, n, maxBytes int) ([]record.Queued, bool) {
	f.t.Helper()
	items, more, err := f.s.Next(context.Background(), receiver, after, n, maxBytes)
	if err != nil {
		f.t.Fatalf("next: %v", err)
	}
	return items, more
}

// seqs are the places of all open items after a place.
func (f *fixture) seqs(receiver string, after record.Seq) []record.Seq {
	f.t.Helper()
	items, _ := f.next(receiver, after, 1000, 1<<30)
	var seqs []record.Seq
	for _, it := range items {
		seqs = append(seqs, it.Seq)
	}
	return seqs
}

func (f *fixture) find(receiver string, mid message.MID) (record.Queued, bool) {
	f.t.Helper()
	item, found, err := f.s.Find(context.Background(), receiver, mid)
	if err != nil {
		f.t.Fatalf("find: %v", err)
	}
	return item, found
}

func (f *fixture) state(channel, prefix string) map[string][]byte {
	f.t.Helper()
	entries, err := f.s.State(context.Background(), channel, prefix)
	if err != nil {
		f.t.Fatalf("state: %v", err)
	}
	return entries
}

func (f *fixture) equal(got, want any, what string) {
	f.t.Helper()
	if !reflect.DeepEqual(got, want) {
		f.t.Fatalf("%s: got %+v, want %+v", what, got, want)
	}
}

// small is a message of 10 bytes.
func small(mid message.MID) *message.Message {
	return &message.Message{MID: mid, SendType: message.Personal, Target: "a", FromMethod: "in", Text: "seven b", AcceptedAt: int64(mid)}
}

// item is what a test knows of the item that a Put made for its i-th receiver.
func item(p *record.Put, i int) record.Item {
	return record.Item{Receiver: p.Receivers[i], Seq: p.Seqs[i], MID: p.Message.MID}
}
