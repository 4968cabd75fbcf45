package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// raw opens the file as somebody else would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func mustCommit(t *testing.T, s store.Store, ops ...record.Op) {
	t.Helper()
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t *testing.T, s store.Store) record.Registry {
	t.Helper()
	reg, err := s.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func known(name string) *record.SaveReceiver {
	return &record.SaveReceiver{Receiver: record.Receiver{Name: name}}
}

func put(mid message.MID, receivers ...string) *record.Put {
	return &record.Put{Message: &message.Message{MID: mid, SendType: message.Personal, Text: "text"}, Receivers: receivers}
}

func settle(receiver string, seq record.Seq, mid message.MID, state record.State) *record.Settle {
	return &record.Settle{Item: record.Item{Receiver: receiver, Seq: seq, MID: mid, State: state, EndedAt: 9}}
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	valid := filepath.Join(t.TempDir(), "valid.db")
	f := make(files)
	s := f.at(t, valid)
	for mid := message.MID(1); mid < 200; mid++ {
		mustCommit(t, s, known("a"), put(mid, "a"))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		want   string
	}{
		"text": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "restore a backup"},
		"cut short": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		}, ".recover"},
		"somebody else's": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			db := raw(t, path)
			mustExec(t, db, `CREATE TABLE meta (key, value)`)
			_ = db.Close()
		}, "not a database of mpush"},
		"newer": {func(t *testing.T, path string) {
			db := raw(t, path)
			mustExec(t, db, `UPDATE meta SET value = 3 WHERE key = 'schema'`)
			_ = db.Close()
		}, "written by a newer mpush (schema 3, this one knows 2)"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mpush.db")
			copyFile(t, valid, path)
			c.damage(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := store.OpenSQLite(context.Background(), path)
			if err == nil {
				_ = s.Close()
				t.Fatal("it opens")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %q, want the path and %q", err, c.want)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file has changed (%v)", err)
			}
		})
	}
	t.Run("no such directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "missing", "mpush.db")
		if s, err := store.OpenSQLite(context.Background(), path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, %v", s, err)
		}
	})
}

func TestOpenTakesAnEmptyFileAndAnyName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "50% ?mode=ro #1.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := make(files)
	s := f.at(t, path)
	mustCommit(t, s, known("a"))
	s = f.restart(t, s)
	if reg := mustLoad(t, s); len(reg.Receivers) != 1 {
		t.Fatalf("got %+v", reg)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("the file itself is empty: %v", err)
	}
}

func TestOthersReadTheFileMeanwhile(t *testing.T) {
	f := make(files)
	s := f.open(t)
	db := raw(t, f[s]+"?mode=ro")
	for mid := message.MID(1); mid <= 3; mid++ {
		mustCommit(t, s, known("a"), put(mid, "a"))
		var n message.MID
		if err := db.QueryRow(`SELECT count(*) FROM item`).Scan(&n); err != nil || n != mid {
			t.Fatalf("got %d items, %v; want %d", n, err, mid)
		}
	}
}

// Every accepted item is in exactly one of the four.
func TestBooksBalance(t *testing.T) {
	f := make(files)
	s := f.open(t)
	mustCommit(t, s, known("a"), known("b"))
	for mid := message.MID(1); mid <= 6; mid++ {
		mustCommit(t, s, put(mid, "a", "b"))
	}
	mustCommit(t, s, settle("a", 1, 1, record.Acked), settle("a", 2, 2, record.Acked), settle("a", 3, 3, record.HandedOff),
		settle("a", 4, 4, record.Dead), settle("b", 2, 2, record.Acked))
	mustCommit(t, s, &record.Forget{Receiver: "b", Reason: "forgotten", At: 77}, known("b"), put(7, "b"))

	rows, err := raw(t, f[s]).Query(`SELECT name, forgotten_at, count(*), sum(state = 1), sum(state = 2), sum(state = 3), sum(state = 0)
FROM item JOIN receiver ON receiver.id = item.receiver GROUP BY receiver.id ORDER BY receiver.id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var name string
		var n [6]int
		if err := rows.Scan(&name, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]); err != nil {
			t.Fatal(err)
		}
		got = append(got, name+fmt.Sprint(n))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := []string{"a[0 6 2 1 1 2]", "b[77 6 1 0 5 0]", "b[0 1 0 0 0 1]"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	var reason string
	var ended, rank int
	if err := raw(t, f[s]).QueryRow(`SELECT reason, ended_at, rank FROM item WHERE mid = 3 AND receiver = 2`).Scan(&reason, &ended, &rank); err != nil {
		t.Fatal(err)
	}
	if reason != "forgotten" || ended != 77 || rank != int(message.Failed) {
		t.Fatalf("a forgotten item: reason %q, ended %d, rank %d", reason, ended, rank)
	}
}

func TestPruningLowersNothing(t *testing.T) {
	f := make(files)
	s := f.open(t)
	mustCommit(t, s, known("a"), put(10, "a"), put(11, "a"))
	before := mustLoad(t, s)
	before.Receivers[0].Queued, before.Receivers[0].QueuedBytes = 0, 0 // what is deleted is not queued

	db := raw(t, f[s])
	if _, err := db.Exec(`DELETE FROM item`); err == nil || !strings.Contains(err.Error(), "tails_mid") {
		t.Fatalf("items that count towards the end of a queue are deleted: %v", err)
	}
	if err := s.Close(); err != nil { // writes the ends down
		t.Fatal(err)
	}
	mustExec(t, db, `DELETE FROM item`, `DELETE FROM message`)
	_ = db.Close()

	s = f.at(t, f[s])
	if after := mustLoad(t, s); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Fatalf("got %+v, want %+v", after, before)
	}
	p := put(12, "a")
	mustCommit(t, s, p)
	if p.Seqs[0] != 3 || p.Bytes[0] != 12 {
		t.Fatalf("got place %d and %d bytes, want 3 and 12", p.Seqs[0], p.Bytes[0])
	}
}

// A crash in the middle of a commit leaves all of it or nothing, whatever part
// of the log reached the disk.
func TestTornCommitIsAllOrNothing(t *testing.T) {
	f := make(files)
	s := f.open(t)
	mustCommit(t, s, known("a"), known("b"), put(1, "a", "b"))
	main, err := os.ReadFile(f[s])
	if err != nil {
		t.Fatal(err)
	}
	read := func() []byte {
		t.Helper()
		b, err := os.ReadFile(f[s] + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := read()
	mustCommit(t, s, put(2, "a"), settle("b", 1, 1, record.Acked), put(3, "a", "b"))
	after := read()
	if len(after) <= len(before) || !bytes.HasPrefix(after, before) {
		t.Fatal("the commit did not append to the log")
	}

	look := func(wal []byte) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "mpush.db")
		for name, b := range map[string][]byte{path: main, path + "-wal": wal} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := f.at(t, path)
		a, _, err := s.Next(context.Background(), "a", 0, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := s.Next(context.Background(), "b", 0, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		reg := mustLoad(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(reg, len(a), len(b))
	}
	old, now := look(before), look(after)
	if old == now {
		t.Fatal("the commit changed nothing")
	}
	for cut := len(before); cut < len(after); cut += 1000 {
		if got := look(after[:cut]); got != old {
			t.Errorf("cut at %d of %d: got %s, want %s", cut, len(after), got, old)
		}
		torn := bytes.Clone(after)
		torn[cut] ^= 0x55
		if got := look(torn); got != old {
			t.Errorf("damaged at %d of %d: got %s, want %s", cut, len(after), got, old)
		}
	}
}
