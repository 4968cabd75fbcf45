package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"mpush/core/message"
	"mpush/core/record"
)

func openTest(t testing.TB) *SQLite {
	t.Helper()
	s, err := OpenSQLite(context.Background(), filepath.Join(t.TempDir(), "mpush.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// withWriter lends the test the writer.
func withWriter(t testing.TB, s *SQLite, f func(w *writer) error) {
	t.Helper()
	w, err := s.lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.writing <- w }()
	if err := f(w); err != nil {
		t.Fatal(err)
	}
}

func places(t testing.TB, s *SQLite, receiver string) string {
	t.Helper()
	items, _, err := s.Next(context.Background(), receiver, 0, 100, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var seqs []record.Seq
	for _, it := range items {
		seqs = append(seqs, it.Seq)
	}
	return fmt.Sprint(seqs)
}

func TestFullDatabaseRefusesAndRecovers(t *testing.T) {
	ctx := context.Background()
	s := openTest(t)
	first := &record.Put{Message: &message.Message{MID: 1}, Receivers: []string{"a"}}
	if err := s.Commit(ctx, []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}, first}); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int64) {
		withWriter(t, s, func(w *writer) error { return w.once(fmt.Sprintf("PRAGMA max_page_count = %d", pages)) })
	}
	limit(1) // cannot go below what is used
	big := &record.Put{Message: &message.Message{MID: 3, Text: strings.Repeat("x", 100_000)}, Receivers: []string{"a", "b"}}
	batch := []record.Op{
		&record.SaveReceiver{Receiver: record.Receiver{Name: "b"}},
		&record.Settle{Item: record.Item{Receiver: "a", Seq: 1, MID: 1, State: record.Acked}},
		big,
	}
	for range 3 {
		if err := s.Commit(ctx, batch); !errors.Is(err, ErrFull) || errors.Is(err, ErrFatal) {
			t.Fatalf("commit: %v", err)
		}
		if big.Seqs != nil || places(t, s, "a") != "[1]" {
			t.Fatalf("something was applied: %v, open %s", big.Seqs, places(t, s, "a"))
		}
	}
	if err := s.Commit(ctx, batch[1:2]); err != nil {
		t.Fatalf("an ack needs no space here: %v", err)
	}
	limit(1 << 20)
	if err := s.Commit(ctx, batch); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(big.Seqs); got != "[2 1]" {
		t.Fatalf("got places %s, want [2 1]", got)
	}
}

func TestFailedTransactionLeavesNoTraceInMemory(t *testing.T) {
	s := openTest(t)
	ctx := context.Background()
	if err := s.Commit(ctx, []record.Op{
		&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}},
		&record.SaveReceiver{Receiver: record.Receiver{Name: "b"}},
		&record.Put{Message: &message.Message{MID: 1, Text: "x"}, Receivers: []string{"a"}},
	}); err != nil {
		t.Fatal(err)
	}
	show := func(w *writer) string {
		out := fmt.Sprint(w.tails.lastMID, w.tails.unfolded, len(w.tails.byName))
		for _, name := range []string{"a", "b", "c"} {
			if r := w.tails.byName[name]; r != nil {
				out += fmt.Sprintf(" %s%+v", name, *r)
			}
		}
		return out
	}
	injected := errors.New("injected")
	withWriter(t, s, func(w *writer) error {
		before := show(w)
		err := w.transaction(func() error {
			for _, op := range []record.Op{
				&record.Put{Message: &message.Message{MID: 2, Text: "x"}, Receivers: []string{"a", "b"}},
				&record.Forget{Receiver: "a", Reason: "forgotten", At: 1},
				&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}},
				&record.SaveReceiver{Receiver: record.Receiver{Name: "c"}},
				&record.Put{Message: &message.Message{MID: 3, Text: "x"}, Receivers: []string{"a", "c"}},
			} {
				if err := w.apply(op); err != nil {
					return err
				}
			}
			if err := w.tails.fold(w.conn); err != nil {
				return err
			}
			if show(w) == before {
				t.Error("the transaction changed nothing")
			}
			return injected
		})
		if !errors.Is(err, injected) {
			return fmt.Errorf("got %w, want the injected error", err)
		}
		if after := show(w); after != before {
			t.Errorf("got  %s\nwant %s", after, before)
		}
		return nil
	})
}

// The ends of the queues are written down now and then only, and the rest is
// counted at open.
func TestEndsOfQueuesAreCountedFromTheLastFold(t *testing.T) {
	s := openTest(t)
	names := []string{"a", "b", "c"}
	for _, name := range names {
		if err := s.Commit(context.Background(), []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: name}}}); err != nil {
			t.Fatal(err)
		}
	}
	var mid message.MID
	puts := func(n int, receivers ...string) {
		t.Helper()
		for range n {
			mid++
			p := &record.Put{Message: &message.Message{MID: mid, Text: "text"}, Receivers: receivers}
			if err := s.Commit(context.Background(), []record.Op{p}); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(folded message.MID, unfolded int, ends string) {
		t.Helper()
		// What a crash leaves at this moment, in a file of its own.
		path := filepath.Join(t.TempDir(), "mpush.db")
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(s.path + suffix)
			if err == nil {
				err = os.WriteFile(path+suffix, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		crashed, err := OpenSQLite(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer crashed.Close()
		withWriter(t, crashed, func(w *writer) error {
			at, err := w.integer(`SELECT value FROM meta WHERE key = 'tails_mid'`)
			if message.MID(at) != folded || w.tails.unfolded != unfolded {
				t.Errorf("folded up to %d with %d beyond, want %d with %d", at, w.tails.unfolded, folded, unfolded)
			}
			return err
		})
		got := ""
		reg, err := crashed.Load(context.Background())
		for _, r := range reg.Receivers {
			got += fmt.Sprintf("%s %d %d; ", r.Name, r.Seq, r.Bytes)
		}
		if err != nil || got != ends || reg.LastMID != mid {
			t.Errorf("got %s last %d, %v; want %s last %d", got, reg.LastMID, err, ends, mid)
		}
	}
	puts(2, "a", "b")
	check(0, 4, "a 2 8; b 2 8; c 0 0; ")
	withWriter(t, s, func(w *writer) error { w.tails.unfolded = foldEvery - 1; return nil })
	puts(1, "a")
	check(3, 0, "a 3 12; b 2 8; c 0 0; ")
	puts(3, "a", "c")
	check(3, 6, "a 6 24; b 2 8; c 3 12; ")
	withWriter(t, s, func(w *writer) error { w.tails.unfolded = foldEvery - 1; return nil })
	puts(1, "ghost")
	check(3, 6, "a 6 24; b 2 8; c 3 12; ")
	puts(1, "b")
	check(8, 0, "a 6 24; b 3 12; c 3 12; ")
}

func TestClassesOfErrors(t *testing.T) {
	for code, want := range map[int]error{
		sqlite3.SQLITE_FULL:               ErrFull,
		sqlite3.SQLITE_IOERR_SHMSIZE:      ErrFull,
		sqlite3.SQLITE_IOERR:              ErrFatal,
		sqlite3.SQLITE_IOERR_FSYNC:        ErrFatal,
		sqlite3.SQLITE_IOERR_WRITE:        ErrFatal,
		sqlite3.SQLITE_CORRUPT:            ErrFatal,
		sqlite3.SQLITE_NOTADB:             ErrFatal,
		sqlite3.SQLITE_READONLY:           ErrFatal,
		sqlite3.SQLITE_READONLY_DBMOVED:   ErrFatal,
		sqlite3.SQLITE_BUSY:               nil,
		sqlite3.SQLITE_CONSTRAINT_UNIQUE:  nil,
		sqlite3.SQLITE_NOMEM:              nil,
		sqlite3.SQLITE_TOOBIG:             nil,
		sqlite3.SQLITE_CONSTRAINT_TRIGGER: nil,
	} {
		if got := class(code); got != want {
			t.Errorf("code %d: got %v, want %v", code, got, want)
		}
	}
}

func TestCommitStopsWaitingWhenCancelled(t *testing.T) {
	s := openTest(t)
	withWriter(t, s, func(*writer) error {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			done <- s.Commit(ctx, []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}})
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("commit: %v", err)
		}
		return nil
	})
	reg, err := s.Load(context.Background())
	if err != nil || len(reg.Receivers) != 0 {
		t.Fatalf("got %+v, %v; want nothing", reg, err)
	}
}

func TestLockedByAnotherWriterPasses(t *testing.T) {
	s := openTest(t)
	withWriter(t, s, func(w *writer) error { return w.once("PRAGMA busy_timeout = 1") })
	other, err := openConn(s.path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if err := other.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	ops := []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}}
	if err := s.Commit(context.Background(), ops); err == nil || errors.Is(err, ErrFatal) || errors.Is(err, ErrFull) {
		t.Fatalf("commit against a lock: %v", err)
	}
	if err := other.exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
}

// plan is what SQLite says of how it runs a query.
func plan(t *testing.T, s *SQLite, query string, args int) string {
	t.Helper()
	var steps []string
	withWriter(t, s, func(w *writer) error {
		return w.query("EXPLAIN QUERY PLAN "+query, func(row []driver.Value) error {
			steps = append(steps, row[3].(string))
			return nil
		}, make([]driver.Value, args)...)
	})
	if len(steps) == 0 {
		t.Fatalf("no plan for %s", query)
	}
	return strings.Join(steps, "; ")
}

// Reading a queue takes no scan and no sort, whatever else is in the file.
func TestPlansSearchOnly(t *testing.T) {
	s := openTest(t)
	for query, args := range map[string]int{selectOpen: 3, selectItem: 2, updateItem: 14, updateCursor: 4} {
		if p := plan(t, s, query, args); strings.Contains(p, "SCAN") || strings.Contains(p, "TEMP") {
			t.Errorf("%s\nplan: %s", query, p)
		}
	}
	for query, args := range map[string]int{selectLook: 3, selectOverdue: 2, selectDeadOf + inOrder: 1, selectDeadOf + ` AND receiver.name = ?` + inOrder: 2} {
		if p := plan(t, s, query, args); strings.Contains(p, "TEMP") {
			t.Errorf("%s\nplan: %s", query, p)
		}
	}
}

// What is read of a message for each of its receivers is not the message.
func TestLargeMessageToManyIsReadOnce(t *testing.T) {
	s := openTest(t)
	const receivers, size = 1000, 1 << 20
	p := &record.Put{Message: &message.Message{MID: 1, Text: strings.Repeat("x", size)}}
	var ops []record.Op
	for i := range receivers {
		p.Receivers = append(p.Receivers, fmt.Sprintf("r%04d", receivers-i))
		ops = append(ops, &record.SaveReceiver{Receiver: record.Receiver{Name: p.Receivers[i]}})
	}
	if err := s.Commit(context.Background(), append(ops, p)); err != nil {
		t.Fatal(err)
	}
	ops = nil
	for i, name := range p.Receivers {
		ops = append(ops, &record.Settle{Item: record.Item{Receiver: name, Seq: p.Seqs[i], MID: 1, State: record.Dead, Reason: "expired"}})
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
	bounded := func(what string, read func() (first string, n int, err error)) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		first, n, err := read()
		runtime.ReadMemStats(&after)
		if err != nil || n != receivers || first != "r0001" {
			t.Errorf("%s: %d from %s on, %v", what, n, first, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 8*size {
			t.Errorf("%s takes %d bytes of memory", what, used)
		}
	}
	bounded("a trace", func() (string, int, error) {
		m, items, err := s.Trace(context.Background(), 1)
		if err != nil || len(m.Text) != size {
			t.Fatalf("the message: %v", err)
		}
		return items[0].Receiver, len(items), nil
	})
	bounded("a list of dead letters", func() (string, int, error) {
		letters, err := s.Dead(context.Background(), "", 0, receivers)
		if err != nil || len(letters[0].Message.Text) != size {
			t.Fatalf("the message: %v", err)
		}
		return letters[0].Receiver, len(letters), nil
	})
}
