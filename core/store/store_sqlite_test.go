package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"mpush/core/store"
	"mpush/core/store/storetest"
)

// files remembers where each store lives.
type files map[store.Store]string

func (f files) open(t *testing.T) store.Store {
	return f.at(t, filepath.Join(t.TempDir(), "mpush.db"))
}

func (f files) at(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := store.OpenSQLite(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	f[s] = path
	return s
}

func (f files) restart(t *testing.T, s store.Store) store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return f.at(t, f[s])
}

// crash opens what is on disk at this moment, as after a kill.
func (f files) crash(t *testing.T, s store.Store) store.Store {
	t.Helper()
	next := filepath.Join(t.TempDir(), "mpush.db")
	copyFile(t, f[s], next)
	copyFile(t, f[s]+"-wal", next+"-wal")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return f.at(t, next)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSQLite(t *testing.T) {
	f := make(files)
	storetest.Run(t, f.open, map[string]storetest.Life{"restart": f.restart, "crash": f.crash})
}
