package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// firstSchema is what the first version made, with a message that waits.
const firstSchema = `CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE receiver (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, grp TEXT NOT NULL, seen_at INTEGER NOT NULL,
  forgotten_at INTEGER NOT NULL DEFAULT 0, tail_seq INTEGER NOT NULL DEFAULT 0, tail_bytes INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX receiver_name ON receiver (name) WHERE forgotten_at = 0;
CREATE TABLE route (id INTEGER PRIMARY KEY AUTOINCREMENT, receiver INTEGER NOT NULL REFERENCES receiver (id), channel TEXT NOT NULL,
  kind INTEGER NOT NULL, address BLOB NOT NULL, exclusive INTEGER NOT NULL, acks INTEGER NOT NULL, prefetch INTEGER NOT NULL,
  resend INTEGER NOT NULL, retry INTEGER NOT NULL, retry_max INTEGER NOT NULL, UNIQUE (receiver, channel));
CREATE TABLE cursor (route INTEGER PRIMARY KEY REFERENCES route (id), seq INTEGER NOT NULL);
CREATE TABLE message (mid INTEGER PRIMARY KEY, send_type INTEGER NOT NULL, target TEXT NOT NULL, from_method TEXT NOT NULL,
  from_name TEXT NOT NULL, text TEXT NOT NULL, desp TEXT NOT NULL, extra BLOB NOT NULL, accepted_at INTEGER NOT NULL, expires_at INTEGER NOT NULL);
CREATE TABLE item (receiver INTEGER NOT NULL REFERENCES receiver (id), seq INTEGER NOT NULL, mid INTEGER NOT NULL REFERENCES message (mid),
  state INTEGER NOT NULL DEFAULT 0, rank INTEGER NOT NULL DEFAULT 1, channel TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0,
  sent_at INTEGER NOT NULL DEFAULT 0, ended_at INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
  total INTEGER NOT NULL, PRIMARY KEY (mid, receiver)) WITHOUT ROWID;
CREATE INDEX item_open ON item (receiver, seq) WHERE state = 0;
CREATE TRIGGER item_prune BEFORE DELETE ON item WHEN old.mid > (SELECT value FROM meta WHERE key = 'tails_mid')
BEGIN SELECT RAISE(ABORT, 'this item still counts'); END;
CREATE TABLE state (channel TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (channel, key)) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', 1), ('last_mid', 7), ('tails_mid', 0);
INSERT INTO receiver (name, grp, seen_at) VALUES ('a', '', 1);
INSERT INTO message VALUES (7, 1, 'a', 'in', '', 'hello', '', x'', 5, 6);
INSERT INTO item (receiver, seq, mid, total) VALUES (1, 1, 7, 8);`

func TestFileOfTheFirstVersionIsUpgraded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mpush.db")
	db := raw(t, path)
	mustExec(t, db, firstSchema)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		s, err := store.OpenSQLite(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		overdue, _, err := s.Overdue(context.Background(), 0, 10, 10)
		if got := fmt.Sprint(overdue, err); got != "[{a 1 1}] <nil>" {
			t.Errorf("overdue %s", got)
		}
		accounts, err := s.Audit(context.Background())
		if got := fmt.Sprint(accounts, err); got != "[{a false 1 0 0 0 1}] <nil>" {
			t.Errorf("books %s", got)
		}
		if _, found, err := s.Sent(context.Background(), "", ""); found || err != nil {
			t.Errorf("a key is found, %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBackupIsAWholeStore(t *testing.T) {
	dir := t.TempDir()
	s, err := store.OpenSQLite(context.Background(), filepath.Join(dir, "mpush.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(mid message.MID) {
		t.Helper()
		err := s.Commit(context.Background(), []record.Op{
			&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}},
			&record.Put{Message: &message.Message{MID: mid, Text: "hello"}, Receivers: []string{"a"}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	path := filepath.Join(dir, "backup.db")
	if err := s.Backup(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	put(2)
	if err := s.Backup(context.Background(), path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a backup onto a file: %v", err)
	}
	copied, err := store.OpenSQLite(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	accounts, err := copied.Audit(context.Background())
	if got := fmt.Sprint(accounts, err); got != "[{a false 1 0 0 0 1}] <nil>" {
		t.Errorf("books of the copy %s", got)
	}
	if registry, err := copied.Load(context.Background()); err != nil || registry.LastMID != 1 || registry.Receivers[0].Seq != 1 {
		t.Errorf("registry of the copy %+v, %v", registry, err)
	}
}
