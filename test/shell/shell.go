// Package shell is a bash for tests that do what a page of the documents says: one
// block after the other, in a network of its own that has loopback alone, so that
// the ports of the pages are free. It owns that shell and all that it starts. It
// needs Linux, and the right to make such a network.
package shell

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long one block may take; building is part of some.
const patience = 5 * time.Minute

// Shell is a bash that runs one block after the other. One goroutine may use it.
type Shell struct {
	stdin  io.Writer
	lines  <-chan string // what it and its programs print
	blocks int
}

// isolated is a command in a network of its own.
func isolated(ctx context.Context, script string, more ...string) *exec.Cmd {
	arguments := append([]string{"--net", "--map-root-user", "--pid", "--mount-proc", "--fork", "--kill-child", "--", "bash", "-c", script}, more...)
	return exec.CommandContext(ctx, "unshare", arguments...)
}

// Need skips the test where there is no such shell, or one of the commands is
// missing, and says what it needs.
func Need(t testing.TB, commands ...string) {
	t.Helper()
	for _, name := range append([]string{"bash", "curl", "unshare", "ip"}, commands...) {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: apt-get install bash curl util-linux iproute2 (and what the page asks for)", name)
		}
	}
	if output, err := isolated(t.Context(), "ip link set lo up").CombinedOutput(); err != nil {
		t.Skipf("needs the right to make a network of its own (unshare --net): %v %s", err, output)
	}
}

// Open starts the shell in dir, with variables ("NAME=value") besides those of the
// test. It and all that it has started end with the test.
func Open(t testing.TB, dir string, variables ...string) *Shell {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := isolated(ctx, "ip link set lo up && exec bash --noprofile --norc -eu -o pipefail")
	command.Dir = dir
	command.Env = append(os.Environ(), variables...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = input, input
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = input.Close()
	lines := make(chan string, 1024)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		cancel() // unshare dies, and with it the first process of its pid space, and with that all
		_ = command.Wait()
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		for range lines {
		}
		_ = output.Close()
	})
	return &Shell{stdin: stdin, lines: lines}
}

// Run runs a block and returns what was printed meanwhile. It fails when the
// shell ends, as it does at the first command that fails.
func (s *Shell) Run(block string) (printed string, err error) {
	s.blocks++
	mark := fmt.Sprintf("end of block %d", s.blocks)
	// What a block prints need not end with a line break.
	if _, err := fmt.Fprintf(s.stdin, "%s\nprintf '\\n%%s\\n' %q\n", block, mark); err != nil {
		return "", err
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var all strings.Builder
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				return all.String(), fmt.Errorf("a command failed, or the shell ended")
			}
			if line == mark {
				return strings.TrimSuffix(all.String(), "\n"), nil
			}
			all.WriteString(line + "\n")
		case <-timeout.C:
			return all.String(), fmt.Errorf("not done within %v", patience)
		}
	}
}

// Write writes a file where the shell is.
func (s *Shell) Write(name, text string) error {
	const end = "END-OF-THE-FILE"
	_, err := s.Run(fmt.Sprintf("mkdir -p \"$(dirname %[1]q)\"\ncat > %[1]q <<'%[2]s'\n%[3]s%[2]s", name, end, text))
	return err
}
