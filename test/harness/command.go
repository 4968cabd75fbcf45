package harness

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// Command is mpush doing something beside a relay, while the test goes on.
type Command struct {
	proc *process
	args string
}

// Command begins to run mpush in the relay's directory, with env besides the
// little environment that it gets. When the test is over it is ended.
func (r *Relay) Command(t testing.TB, env []string, args ...string) *Command {
	t.Helper()
	c := &Command{startProcess(t, r.Dir, Program(t, "mpush"), args, env), strings.Join(args, " ")}
	t.Cleanup(func() {
		if c.proc.running() {
			c.proc.signal(syscall.SIGKILL, Patience)
			endSession(c.proc.pid())
		} else if !poll(func() bool { return len(session(c.proc.pid())) == 0 }) {
			t.Errorf("mpush %s has ended and left %v running", c.args, endSession(c.proc.pid()))
		}
		if t.Failed() {
			t.Logf("mpush %s has printed:\n%s%s", c.args, c.proc.stdout, c.proc.stderr)
		}
	})
	return c
}

// WaitStdout waits until a text stands on stdout.
func (c *Command) WaitStdout(t testing.TB, text string) {
	t.Helper()
	c.wait(t, c.proc.stdout, text)
}

// WaitStderr waits until a text stands on stderr.
func (c *Command) WaitStderr(t testing.TB, text string) {
	t.Helper()
	c.wait(t, c.proc.stderr, text)
}

func (c *Command) wait(t testing.TB, o *output, text string) {
	t.Helper()
	if !o.until(func(all string) bool { return strings.Contains(all, text) }, c.proc.ended) {
		t.Fatalf("mpush %s does not print %q\n%s%s", c.args, text, c.proc.stdout, c.proc.stderr)
	}
}

// Interrupt asks it to end, as Ctrl-C does.
func (c *Command) Interrupt() { _ = c.proc.cmd.Process.Signal(syscall.SIGINT) }

// Terminate asks it to end, as kill does. Unlike SIGINT, no shell has what it
// runs in the background ignore that.
func (c *Command) Terminate() { _ = c.proc.cmd.Process.Signal(syscall.SIGTERM) }

// Wait waits for its end.
func (c *Command) Wait(t testing.TB) Result {
	t.Helper()
	select {
	case <-c.proc.ended:
	case <-time.After(Patience):
		t.Fatalf("mpush %s did not end\n%s%s", c.args, c.proc.stdout, c.proc.stderr)
	}
	return Result{Stdout: c.proc.stdout.String(), Stderr: c.proc.stderr.String(), Code: c.proc.exitCode()}
}
