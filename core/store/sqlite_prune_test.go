package store

import (
	"context"
	"fmt"
	"testing"

	"modernc.org/sqlite"

	"mpush/core/message"
	"mpush/core/record"
)

// history fills a store with messages that were accepted at their mids, and acked
// at once.
func history(t *testing.T, s *SQLite, from, to message.MID, receivers ...string) {
	t.Helper()
	var ops []record.Op
	for _, name := range receivers {
		ops = append(ops, &record.SaveReceiver{Receiver: record.Receiver{Name: name}})
	}
	var puts []*record.Put
	for mid := from; mid <= to; mid++ {
		p := &record.Put{Message: &message.Message{MID: mid, Text: "text", AcceptedAt: int64(mid)}, Receivers: receivers}
		puts = append(puts, p)
		ops = append(ops, p)
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
	ops = nil
	for _, p := range puts {
		for i, name := range receivers {
			ops = append(ops, &record.Settle{Item: record.Item{
				Receiver: name, Seq: p.Seqs[i], MID: p.Message.MID, State: record.Acked, EndedAt: int64(p.Message.MID),
			}})
		}
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
}

// pass prunes to the end and returns the steps that it took.
func pass(t *testing.T, s *SQLite, before, keys int64, n int) (steps int) {
	t.Helper()
	for next := message.MID(0); ; {
		var err error
		if next, err = s.Prune(context.Background(), before, keys, next, n); err != nil {
			t.Fatal(err)
		}
		if steps++; next == 0 {
			return steps
		}
	}
}

// count returns a table's rows.
func count(t *testing.T, s *SQLite, table string) (n int64) {
	t.Helper()
	withWriter(t, s, func(w *writer) (err error) {
		n, err = w.integer(`SELECT count(*) FROM ` + table)
		return err
	})
	return n
}

// visited counts the pages that the connections of Prune have looked at.
func visited(t *testing.T, s *SQLite) (pages int) {
	t.Helper()
	add := func(c *conn) {
		for _, op := range []sqlite.DBStatusOp{sqlite.DBStatusCacheHit, sqlite.DBStatusCacheMiss} {
			n, _, err := c.c.(sqlite.DBStatus).Status(op, false)
			if err != nil {
				t.Fatal(err)
			}
			pages += n
		}
	}
	withWriter(t, s, func(w *writer) error { add(w.conn); return nil })
	c := <-s.surveying
	add(c)
	s.surveying <- c
	return pages
}

func TestPruningDoesNotLookAtWhatIsYoung(t *testing.T) {
	s := openTest(t)
	history(t, s, 1, 10, "a")
	looks := func() int {
		t.Helper()
		pass(t, s, 11, 0, 500) // the old ones
		before := visited(t, s)
		pass(t, s, 11, 0, 500)
		return visited(t, s) - before
	}
	history(t, s, 11, 20, "a")
	few := looks()
	history(t, s, 21, 10_000, "a")
	if many := looks(); many > 2*few {
		t.Errorf("it looks at %d pages where 10 messages are too young, at %d where 10,000 are", few, many)
	}
	if n := count(t, s, "message"); n != 9990 {
		t.Errorf("%d messages are left", n)
	}
	before := visited(t, s)
	pass(t, s, 0, 0, 500) // for ever
	if n := visited(t, s) - before; n > few {
		t.Errorf("it looks at %d pages where nothing is old", n)
	}
}

// Senders wait for the writer.
func TestPruningLeavesTheWriterAloneWhereNothingIsOld(t *testing.T) {
	s := openTest(t)
	history(t, s, 1, 10, "a")
	withWriter(t, s, func(*writer) error {
		return within(t, "Prune", func() error {
			_, err := s.Prune(context.Background(), 1, 0, 0, 500)
			return err
		})
	})
}

func TestPruningTakesFewRowsAtATime(t *testing.T) {
	s := openTest(t)
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprint("r", i))
	}
	history(t, s, 1, 3, names...)
	history(t, s, 4, 50, "r1")
	const n = 100
	withWriter(t, s, func(w *writer) error {
		for i := range 250 {
			if err := w.exec(insertKey, "s", fmt.Sprint(i), "", int64(1), int64(i)); err != nil {
				return err
			}
		}
		return nil
	})
	now, most := 0, 0
	withWriter(t, s, func(w *writer) error {
		hooks := w.c.(sqlite.HookRegisterer)
		hooks.RegisterPreUpdateHook(func(sqlite.SQLitePreUpdateData) { now++ })
		hooks.RegisterCommitHook(func() int32 { most, now = max(most, now), 0; return 0 })
		return nil
	})
	steps := pass(t, s, 1000, 239, n)
	withWriter(t, s, func(w *writer) error { // the hooks are called with it alone
		// Each deleted item is counted in its receiver's row, and once the ends of
		// the queues are written down.
		if most > 2*n+len(names)+1 {
			t.Errorf("a transaction changes %d rows", most)
		}
		return nil
	})
	if steps < 4 {
		t.Errorf("%d steps, want one for each large message and for the rest", steps)
	}
	if items, messages, keys := count(t, s, "item"), count(t, s, "message"), count(t, s, "sent"); items+messages != 0 || keys != 10 {
		t.Errorf("left are %d items, %d messages, %d keys", items, messages, keys)
	}
	accounts, err := s.Audit(context.Background())
	if err != nil || len(accounts) != len(names) {
		t.Errorf("%d accounts, %v", len(accounts), err)
	}
	for _, a := range accounts {
		if !a.Balanced() {
			t.Errorf("the books do not balance: %+v", a)
		}
	}
}

// What was found may change before the writer comes to it.
func TestPruningSparesWhatIsReplayedMeanwhile(t *testing.T) {
	s := openTest(t)
	ctx := context.Background()
	p := &record.Put{Message: &message.Message{MID: 1, AcceptedAt: 1}, Receivers: []string{"a", "b"}}
	if err := s.Commit(ctx, []record.Op{
		&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}, &record.SaveReceiver{Receiver: record.Receiver{Name: "b"}}, p,
		&record.Settle{Item: record.Item{Receiver: "a", Seq: 1, MID: 1, State: record.Dead, EndedAt: 2}},
		&record.Settle{Item: record.Item{Receiver: "b", Seq: 1, MID: 1, State: record.Dead, EndedAt: 2}},
	}); err != nil {
		t.Fatal(err)
	}
	rows, _, err := s.old(ctx, 9, 0, 10)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if err := s.Commit(ctx, []record.Op{&record.Replay{Receiver: "a", MID: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := s.write(ctx, func(w *writer) error { return w.prune(9, rows) }); err != nil {
		t.Fatal(err)
	}
	if got := places(t, s, "a"); got != "[2]" {
		t.Errorf("open are %s", got)
	}
	accounts, err := s.Audit(ctx)
	if got := fmt.Sprint(accounts, err); got != "[{a false 1 0 0 0 1} {b false 1 0 0 1 0}] <nil>" {
		t.Errorf("books %s", got)
	}
}

// A clock that was ahead for a while makes messages that are young for long: those
// after them are pruned all the same.
func TestPruningPassesOverAClockThatWasAhead(t *testing.T) {
	s := openTest(t)
	history(t, s, 1, 10, "a")
	ops := []record.Op{}
	for mid := message.MID(1000); mid < 1010; mid++ {
		at := int64(mid)
		if mid > 1004 { // it is set back
			at = int64(mid) - 980
		}
		ops = append(ops, &record.Put{Message: &message.Message{MID: mid, AcceptedAt: at}, Receivers: []string{"a"}})
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
	ops = nil
	for mid := message.MID(1000); mid < 1010; mid++ {
		ops = append(ops, &record.Settle{Item: record.Item{Receiver: "a", Seq: record.Seq(mid - 989), MID: mid, State: record.Acked, EndedAt: 30}})
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
	pass(t, s, 40, 0, 3)
	if n := count(t, s, "message"); n != 5 {
		t.Errorf("%d messages are left, want those of the time ahead", n)
	}
}
