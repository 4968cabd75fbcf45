package harness

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is one run of a program, in a session of its own.
type process struct {
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	ended  chan struct{}
}

// Dir makes a directory for a relay, which is gone when the test is over. Its
// path is short, unlike that of t.TempDir: plugins have their sockets below it.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// startProcess runs a program in dir. It does not outlive the test's process.
// Of the environment it gets what any program needs, and env.
func startProcess(t testing.TB, dir, program string, args, env []string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	p.cmd.Dir = dir
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR", "GORACE"} {
		if value, set := os.LookupEnv(name); set {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	endWithParent(p.cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		// To the kernel the parent is this thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // the exit code is in ProcessState
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// exitCode is valid once the process has ended; -1 after a signal.
func (p *process) exitCode() int { return p.cmd.ProcessState.ExitCode() }

// signal sends a signal and waits for the end. It reports false, and has killed
// the process, if that does not end in time.
func (p *process) signal(s syscall.Signal, limit time.Duration) bool {
	_ = p.cmd.Process.Signal(s)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
		return false
	}
}

// Result is what a program has said when it has ended.
type Result struct {
	Stdout string
	Stderr string
	Code   int
}

// Run runs mpush to its end, with dir as its working directory and env besides
// the little environment that it gets.
func Run(t testing.TB, dir string, env []string, args ...string) Result {
	t.Helper()
	p := startProcess(t, dir, Program(t, "mpush"), args, env)
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.signal(syscall.SIGKILL, Patience)
		t.Fatalf("mpush %s did not end\n%s%s", strings.Join(args, " "), p.stdout, p.stderr)
	}
	if left := endSession(p.pid()); len(left) > 0 {
		t.Errorf("mpush %s has ended and left %v running", strings.Join(args, " "), left)
	}
	return Result{Stdout: p.stdout.String(), Stderr: p.stderr.String(), Code: p.exitCode()}
}
