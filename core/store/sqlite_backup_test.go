package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpush/core/message"
	"mpush/core/record"
)

// large fills a store with so much that a backup takes a while.
func large(t *testing.T, s *SQLite) {
	t.Helper()
	text := strings.Repeat("x", 1<<20)
	ops := []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}}
	for mid := range message.MID(64) {
		ops = append(ops, &record.Put{Message: &message.Message{MID: mid + 1, Text: text}, Receivers: []string{"a"}})
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
}

// names are the files of a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// interrupted begins a backup and cancels it as soon as something is written.
func interrupted(t *testing.T, s *SQLite, path string) (took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Backup(ctx, path) }()
	for {
		for _, name := range names(t, filepath.Dir(path)) {
			if info, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err == nil && info.Size() > 0 {
				cancel()
				began := time.Now()
				err := <-ended
				return time.Since(began), err
			}
		}
		select {
		case err := <-ended:
			return 0, err
		default:
		}
	}
}

func TestBackupThatIsInterruptedLeavesNothing(t *testing.T) {
	s := openTest(t)
	large(t, s)
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	// One that is looked at too late has ended and is tried again.
	for try := 1; ; try++ {
		took, err := interrupted(t, s, path)
		if errors.Is(err, context.Canceled) && took < 30*time.Second {
			break
		}
		if err != nil || try == 10 || os.Remove(path) != nil {
			t.Fatalf("try %d, after %s: %v", try, took, err)
		}
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	if err := s.Backup(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("beside the backup: %s", left)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A process that was killed leaves what it has written under another name.
func TestBackupTakesThePlaceOfOneThatWasCutOff(t *testing.T) {
	s := openTest(t)
	if err := s.Commit(context.Background(), []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	if err := os.WriteFile(path+partial, []byte("half a database"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("beside the backup: %s", left)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	copied, err := OpenSQLite(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if registry, err := copied.Load(context.Background()); err != nil || len(registry.Receivers) != 1 {
		t.Errorf("%+v, %v", registry, err)
	}
}

func TestBackupLeavesAloneWhatIsNotItsOwn(t *testing.T) {
	s := openTest(t)
	dir := t.TempDir()
	path, other := filepath.Join(dir, "copy.db"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(why string) {
		t.Helper()
		if err := s.Backup(context.Background(), path); err == nil {
			t.Errorf("%s: no error", why)
		}
		if text, err := os.ReadFile(other); err != nil || string(text) != "precious" {
			t.Errorf("%s: %q, %v", why, text, err)
		}
	}
	if err := os.Symlink(other, path+partial); err != nil {
		t.Fatal(err)
	}
	refused("a link under the other name")
	if err := os.Remove(path + partial); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path); err != nil {
		t.Fatal(err)
	}
	refused("a link under its name")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// Somebody else is writing it.
	file, err := os.Create(path + partial)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(context.Background(), path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("two at once: %v", err)
	}
	if _, err := os.Lstat(path + partial); err != nil {
		t.Errorf("what the other has written: %v", err)
	}
}
