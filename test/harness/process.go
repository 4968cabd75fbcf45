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

// Child starts a command, which does not outlive the test's process: on Linux the
// kernel kills it when that ends, unless it has become another user's. All else,
// its end too, is the caller's.
func Child(cmd *exec.Cmd) error {
	return startChild(cmd, func() { awaitEnd(cmd.Process.Pid) })
}

// startChild starts a command on a thread that is there until wait returns: to
// the kernel the parent is that thread.
func startChild(cmd *exec.Cmd, wait func()) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	endWithParent(cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			wait()
		}
	}()
	return <-started
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
	err := startChild(p.cmd, func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	})
	if err != nil {
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
