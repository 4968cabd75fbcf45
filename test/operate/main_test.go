// Package operate runs what docs/operate gives to operators: the unit, the image
// and the configurations of reverse proxies.
package operate

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpush/test/harness"
)

const docs = "../../docs/operate"

func TestMain(m *testing.M) { os.Exit(harness.MainPlain(m, "cmd/mpush")) }

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// need finds a program, or skips.
func need(t *testing.T, program, debian string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("needs %s: apt-get install %s", program, debian)
	}
	return path
}

// serve runs a relay by a command until the test ends, and returns the addresses
// of its channels once it is up.
func serve(t *testing.T, command *exec.Cmd) (channels map[string]string) {
	t.Helper()
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	command.Stderr = log
	run(t, command)
	up := make(chan map[string]string, 1)
	go func() {
		found := make(map[string]string)
		line := regexp.MustCompile(`^  ([a-z]+) +(\S+) +pid \d+`)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if m := line.FindStringSubmatch(lines.Text()); m != nil {
				found[m[1]] = m[2]
			}
			if lines.Text() == "Stop with Ctrl-C." {
				up <- found
			}
		}
		close(up)
	}()
	select {
	case found, ok := <-up:
		if ok {
			return found
		}
		t.Fatal("the relay ended instead of starting")
	case <-time.After(harness.Patience):
		t.Fatal("the relay is not up in time")
	}
	return nil
}

// run starts a command and ends it with the test: SIGTERM to it and whatever it
// started in its group.
func run(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Setpgid = true
	if command.Stderr == nil {
		command.Stderr = os.Stderr
	}
	if err := harness.Child(command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		force := time.AfterFunc(harness.Patience, func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
		defer force.Stop()
		_ = command.Wait()
		if log, ok := command.Stderr.(*strings.Builder); ok && t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(command.Path), log)
		}
	})
}

// answering waits until something listens at an address.
func answering(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// config writes a relay's configuration: free ports of loopback.
func config(t *testing.T, path string) {
	t.Helper()
	text := `{"token": "a-strong-token-of-a-test", "http": {"host": "127.0.0.1", "port": 0, "waitTimeout": 500}, "websocket": {"host": "127.0.0.1", "port": 0}}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// body reads an answer to its end.
func body(t *testing.T, from io.ReadCloser) string {
	t.Helper()
	defer from.Close()
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
