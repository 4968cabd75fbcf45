package supervisor

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRemovedRuntimeDirectoryIsMadeAgain(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Timeouts.Grace = patience })
	b.start(spec(t, "alpha", ""))
	for _, removed := range []string{b.dir, filepath.Join(b.dir, "lock")} {
		if err := os.RemoveAll(removed); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(b.only().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.awaitError("signal: killed")
		b.await("running or failed", func(s Status) bool {
			if s.State == Waiting {
				t.Fatalf("without %s: status %+v", removed, s)
			}
			return s.State == Running
		})
		if info, err := os.Stat(b.dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("without %s: mode %v, %v", removed, info.Mode(), err)
		}
		second := New(Options{RuntimeDir: b.dir, Logger: slog.New(newJournal()), Handler: newOwner()})
		if err := second.Start(t.Context(), nil); err == nil {
			t.Errorf("without %s: a second one was let in", removed)
			second.Stop(t.Context())
		}
	}
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	results, err := b.Check(t.Context(), []Spec{spec(t, "beta", "")}, newOwner())
	if err != nil || results[0].Err != nil {
		t.Errorf("a check: %+v, %v", results, err)
	}
}

func TestRuntimeDirectoryOfOthersIsNotTakenForTheRemovedOne(t *testing.T) {
	b := newBench(t, nil)
	b.start(spec(t, "alpha", ""))
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(b.only().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.awaitError("must be a directory of mode 0700")
	if _, err := b.Check(t.Context(), []Spec{spec(t, "beta", "")}, newOwner()); err == nil || !strings.Contains(err.Error(), "must be a directory of mode 0700") {
		t.Errorf("a check: %v", err)
	}
}
