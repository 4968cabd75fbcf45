package harness

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

func TestWhatATestBinaryLeftIsRemovedByTheNext(t *testing.T) {
	temporary := t.TempDir()
	begin := func() *scratch {
		t.Helper()
		s, err := newScratch(temporary)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	running, killed := begin(), begin()
	data := filepath.Join(killed.dir, "1", "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	mounted := runtime.GOOS == "linux" && os.Getuid() == 0 && exec.Command("mount", "-t", "tmpfs", "mpush-test", data).Run() == nil
	if err := os.WriteFile(filepath.Join(data, "mpush.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = killed.lock.Close() // as the system does
	others := filepath.Join(temporary, "mpush-test-others")
	fifo := filepath.Join(temporary, "mpush-test-1")
	if err := errors.Join(os.Mkdir(others, 0o700), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	next := begin()
	if !exists(others) || !exists(fifo) {
		t.Error("what is not its own is gone")
	}
	if exists(killed.dir) {
		t.Errorf("%s is still there; something was mounted in it: %v", killed.dir, mounted)
	}
	for _, s := range []*scratch{running, next} {
		if !exists(s.dir) {
			t.Error("one that is in use is gone")
		}
		if err := s.close(); err != nil || exists(s.dir) {
			t.Errorf("%s is there after its end: %v", s.dir, err)
		}
	}
}

// parentVariable has this test's binary be the parent in the test below.
const parentVariable = "HARNESS_TEST_PARENT"

func TestChildEndsWithTheTestBinary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	if os.Getenv(parentVariable) != "" {
		child := exec.Command("sleep", "3600")
		if err := Child(child); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(child.Process.Pid) + "\n")
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), parentVariable+"=1")
	parent.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdout := newOutput()
	parent.Stdout = stdout
	if err := Child(parent); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = parent.Wait()
	}()
	said := stdout.until(func(text string) bool { return strings.Contains(text, "\n") }, ended)
	_ = parent.Process.Kill()
	if !said {
		<-ended
		t.Fatalf("the parent says %q", stdout)
	}
	if !poll(func() bool { return len(session(parent.Process.Pid)) == 0 }) {
		t.Errorf("%v are left", endSession(parent.Process.Pid))
	}
	select {
	case <-ended: // the child had its stdout, too
	case <-time.After(Patience):
		t.Error("the parent does not end")
	}
}
