package store

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mpush/core/record"
)

// allClosed looks at the files of a store.
func allClosed(t *testing.T, path string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mpush.db%s has mode %o", suffix, info.Mode().Perm())
		}
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	before := syscall.Umask(0o022)
	t.Cleanup(func() { syscall.Umask(before) })
	for name, prepare := range map[string]func(t *testing.T, path string){
		"new": func(*testing.T, string) {},
		"empty": func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		},
		// One that an older version has left open, after a crash.
		"old": func(t *testing.T, path string) {
			s, err := OpenSQLite(context.Background(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(context.Background(), []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}}); err != nil {
				t.Fatal(err)
			}
			kept := make(map[string][]byte)
			for _, suffix := range []string{"", "-wal"} {
				if kept[suffix], err = os.ReadFile(path + suffix); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for suffix, content := range kept {
				if err := os.WriteFile(path+suffix, content, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path+suffix, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "mpush.db")
			prepare(t, path)
			s, err := OpenSQLite(context.Background(), path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := s.Commit(context.Background(), []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "b"}}}); err != nil {
				t.Fatal(err)
			}
			allClosed(t, path)
			if name == "old" {
				registry, err := s.Load(context.Background())
				if err != nil || len(registry.Receivers) != 2 {
					t.Errorf("%+v, %v", registry, err)
				}
			}
		})
	}
}

// A file that is refused is left as it is, its mode included.
func TestRefusedFileKeepsItsMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mpush.db")
	if err := os.WriteFile(path, []byte("somebody else's, and no database at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := OpenSQLite(context.Background(), path); err == nil {
		_ = s.Close()
		t.Fatal("it opens")
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.FileMode(0o644) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
