package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// diskEnv names the directory in which a subprocess of the test binary plays a
// scenario that would harm its neighbours.
const diskEnv = "MPUSH_STORE_TEST_DIR"

// again runs the named test in a process of its own.
func again(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), diskEnv+"="+t.TempDir())
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "--- SKIP") {
		t.Skipf("no namespace of its own here: %v\n%s", err, out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func openAt(t *testing.T, dir string) store.Store {
	t.Helper()
	return make(files).at(t, filepath.Join(dir, "mpush.db"))
}

func big(mid message.MID) *record.Put {
	return &record.Put{Message: &message.Message{MID: mid, Text: strings.Repeat("x", 20_000)}, Receivers: []string{"a"}}
}

// fill commits until that fails and returns how many went in.
func fill(t *testing.T, s store.Store, mid message.MID) (n message.MID, err error) {
	t.Helper()
	for ; n < 1000; n++ {
		if err := s.Commit(context.Background(), []record.Op{big(mid + n)}); err != nil {
			return n, err
		}
	}
	t.Fatal("the limit was never met")
	return 0, nil
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	dir := os.Getenv(diskEnv)
	if dir == "" {
		again(t, &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		})
		return
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dir)
	mustCommit(t, s, known("a"))
	n, err := fill(t, s, 1)
	if n == 0 || !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrFatal) {
		t.Fatalf("after %d messages: %v", n, err)
	}
	for range 3 {
		if err := s.Commit(context.Background(), []record.Op{big(n + 1)}); !errors.Is(err, store.ErrFull) {
			t.Fatalf("commit to a full disk: %v", err)
		}
	}
	check := func(s store.Store, want message.MID) {
		t.Helper()
		items, more, err := s.Next(context.Background(), "a", 0, 1000, 1<<30)
		if err != nil || more || message.MID(len(items)) != want {
			t.Fatalf("got %d items, more %v, %v; want %d", len(items), more, err, want)
		}
		if reg := mustLoad(t, s); reg.LastMID != want || reg.Receivers[0].Seq != record.Seq(want) {
			t.Fatalf("got %+v, want an end at %d", reg, want)
		}
	}
	check(s, n)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p := big(n + 1)
	mustCommit(t, s, p)
	if p.Seqs[0] != record.Seq(n+1) {
		t.Fatalf("got place %d, want %d", p.Seqs[0], n+1)
	}
	check(s, n+1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(openAt(t, dir), n+1)
}

func TestFailedWriteIsFatalForGood(t *testing.T) {
	dir := os.Getenv(diskEnv)
	if dir == "" {
		again(t, nil)
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	s := openAt(t, dir)
	mustCommit(t, s, known("a"), put(1, "a"))
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	limited := unlimited
	limited.Cur = 200_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	n, err := fill(t, s, 2)
	if !errors.Is(err, store.ErrFatal) || errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d messages: %v", n, err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	if again := s.Commit(context.Background(), []record.Op{put(1000, "a")}); !errors.Is(again, store.ErrFatal) {
		t.Fatalf("a later commit is called good: %v", again)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if reg := mustLoad(t, openAt(t, dir)); fmt.Sprint(reg.LastMID, reg.Receivers[0].Seq) != fmt.Sprint(n+1, n+1) {
		t.Fatalf("got %+v, want an end at %d", reg, n+1)
	}
}
