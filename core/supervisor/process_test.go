package supervisor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// transcript is a reader that keeps everything.
type transcript struct {
	stdout, stderr bytes.Buffer
}

func (r *transcript) begin(int) (io.Writer, io.Writer) { return &r.stdout, &r.stderr }
func (r *transcript) end()                             {}

func run(t *testing.T, cmd *exec.Cmd) (*process, *transcript) {
	t.Helper()
	var r transcript
	p, err := startProcess(cmd, &r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		<-p.done
	})
	return p, &r
}

func awaitDone(t *testing.T, p *process) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatal("the process's end was not noticed")
	}
}

func shell(script string, args ...string) *exec.Cmd {
	return &exec.Cmd{Path: "/bin/sh", Args: append([]string{"sh", "-c", script}, args...), Env: []string{"PATH=/usr/bin:/bin"}}
}

func TestOutputOfADyingProcessIsRead(t *testing.T) {
	p, r := run(t, shell("echo out; echo err >&2; exit 3"))
	awaitDone(t, p)
	if r.stdout.String() != "out\n" || r.stderr.String() != "err\n" || p.state.ExitCode() != 3 || p.wasKilled() {
		t.Errorf("stdout %q, stderr %q, %v", r.stdout.String(), r.stderr.String(), p.state)
	}
}

func TestStdinIsOpenUntilItIsClosed(t *testing.T) {
	p, r := run(t, shell("cat; echo end"))
	select {
	case <-p.done:
		t.Fatal("the process ended before its stdin")
	default:
	}
	p.closeStdin()
	awaitDone(t, p)
	if r.stdout.String() != "end\n" {
		t.Errorf("stdout %q", r.stdout.String())
	}
}

func TestEnvironmentIsTheGivenOne(t *testing.T) {
	t.Setenv("MPUSH_SECRET", "x")
	p, r := run(t, &exec.Cmd{Path: "/usr/bin/env", Args: []string{"env"}, Env: []string{"GIVEN=value"}})
	awaitDone(t, p)
	if got := r.stdout.String(); got != "GIVEN=value\n" {
		t.Errorf("environment %q", got)
	}
}

func TestProgramThatIsMissingIsAnError(t *testing.T) {
	_, err := startProcess(&exec.Cmd{Path: "/nonexistent/x", Args: []string{"x"}}, &transcript{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// copyProgram copies an executable. Nothing else is started meanwhile: a child
// that holds the written file open would keep it from being run.
func copyProgram(t *testing.T, from, to string) (digest string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// runProgram runs an opened executable and returns what it printed.
func runProgram(t *testing.T, x *executable, args ...string) string {
	t.Helper()
	defer x.close()
	path, err := x.command(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	p, r := run(t, &exec.Cmd{Path: path, Args: append([]string{x.name}, args...), Env: []string{"PATH=/usr/bin:/bin"}})
	awaitDone(t, p)
	return r.stdout.String() + r.stderr.String()
}

func TestVerifiedExecutableRunsThoughItsFileWasReplaced(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	path := filepath.Join(shortDir(t), "program")
	digest := copyProgram(t, "/bin/sh", path)
	x, err := openExecutable(path, strings.ToUpper(digest))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	copyProgram(t, "/bin/false", path)
	got := runProgram(t, x, "-c", `cat /proc/$$/comm; echo $0`)
	if want := "program\n" + path + "\n"; got != want {
		t.Errorf("the process says %q, want %q", got, want)
	}
}

func TestChangedExecutableIsRefused(t *testing.T) {
	path := filepath.Join(shortDir(t), "program")
	digest := copyProgram(t, "/bin/sh", path)
	copyProgram(t, "/bin/false", path)
	_, err := openExecutable(path, digest)
	if !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), digest) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func TestVerifiedScriptRunsByItsPath(t *testing.T) {
	path := filepath.Join(shortDir(t), "script")
	script := []byte("#!/bin/sh\necho \"$0\"\n")
	if err := os.WriteFile(path, script, 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(script)
	x, err := openExecutable(path, hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	if got := runProgram(t, x); got != path+"\n" {
		t.Errorf("the script says %q", got)
	}
}

func TestEmptyFileIsNoExecutable(t *testing.T) {
	path := filepath.Join(shortDir(t), "empty")
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openExecutable(path, strings.Repeat("0", 64)); err == nil {
		t.Error("it was accepted")
	}
}

func TestWhatIsNoFileIsRefusedAtOnce(t *testing.T) {
	fifo := filepath.Join(shortDir(t), "fifo")
	if err := syscall.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/zero", filepath.Dir(fifo)} {
		refused := make(chan error, 1)
		go func() {
			_, err := openExecutable(path, strings.Repeat("0", 64))
			refused <- err
		}()
		select {
		case err := <-refused:
			if err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
				t.Errorf("%s: error %v", path, err)
			}
		case <-time.After(patience):
			t.Errorf("%s: it is still being read", path)
		}
	}
}
