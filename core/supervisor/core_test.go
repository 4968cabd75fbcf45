package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// coreDirKey names the runtime directory of a core that a test runs as a
// process of its own; coreReplaceKey makes it replace its own executable first.
const (
	coreDirKey     = "MPUSH_TEST_CORE_DIR"
	coreReplaceKey = "MPUSH_TEST_CORE_REPLACE"
)

// playCore is the main of a core: it starts channels, prints their status as a
// line of JSON and lives until its stdin ends.
func playCore() {
	if os.Getenv(coreReplaceKey) != "" {
		self, err := os.Executable()
		if err == nil {
			err = os.Remove(self)
		}
		if err == nil {
			err = os.WriteFile(self, []byte("#!/bin/false\n"), 0o700)
		}
		if err != nil {
			panic(err)
		}
	}
	s := New(Options{RuntimeDir: os.Getenv(coreDirKey), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Handler: newOwner()})
	var specs []Spec
	for _, vice := range []string{"", endsByStdin, ignoresStdin} {
		specs = append(specs, Spec{
			Channel: "channel-" + vice, Command: selfExecutable, Args: []string{"an argument"},
			Env: pluginEnv(vice),
		})
	}
	if err := s.Start(context.Background(), specs); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(s.Status()); err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	s.Stop(ctx)
}

// Start is Begin and Await.
func (s *Supervisor) Start(ctx context.Context, specs []Spec) error {
	if err := s.Begin(specs); err != nil {
		return err
	}
	var names []string
	for _, spec := range specs {
		names = append(names, spec.Channel)
	}
	return s.Await(ctx, names...)
}

// startCore runs a core and returns its channels, all of them running.
func startCore(t *testing.T, program, dir string, env ...string) (*exec.Cmd, io.Closer, []Status) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append([]string{roleKey + "=core", coreDirKey + "=" + dir}, env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var channels []Status
	if err := json.Unmarshal(line, &channels); err != nil {
		t.Fatal(err)
	}
	for _, s := range channels {
		if s.State != Running {
			t.Fatalf("status %+v", s)
		}
	}
	return cmd, stdin, channels
}

func TestKilledCoreLeavesNoProcessAndTheNextOneNoSocket(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(shortDir(t), "run")
	core, _, channels := startCore(t, self, dir)
	if err := core.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, s := range channels {
		awaitDeath(t, s.PID)
	}
	_ = core.Wait()

	left, err := filepath.Glob(filepath.Join(dir, pluginDirPrefix+"*"))
	if err != nil || len(left) == 0 {
		t.Fatalf("nothing was left to clear: %v %v", left, err)
	}
	foreign := filepath.Join(dir, "of somebody else")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	core, stdin, channels := startCore(t, self, dir)
	for _, old := range left {
		if _, err := os.Stat(old); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", old, err)
		}
	}
	_ = stdin.Close()
	if err := core.Wait(); err != nil {
		t.Error(err)
	}
	for _, s := range channels {
		awaitDeath(t, s.PID)
	}
	if err := os.Remove(foreign); err != nil {
		t.Errorf("another's file was touched: %v", err)
	}
	assertNoSockets(t, dir)
}

func TestReplacedCoreRunsItsOwnExecutable(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(shortDir(t), "the-core")
	copyProgram(t, self, program)
	core, stdin, channels := startCore(t, program, filepath.Join(shortDir(t), "run"), coreReplaceKey+"=1")
	for _, s := range channels {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.PID))
		if err != nil || string(name) != "the-core\n" {
			t.Errorf("%s is listed as %q (%v)", s.Channel, name, err)
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID))
		if want := program + "\x00an argument\x00"; err != nil || string(line) != want {
			t.Errorf("%s has command line %q (%v), want %q", s.Channel, line, err, want)
		}
	}
	_ = stdin.Close()
	if err := core.Wait(); err != nil {
		t.Error(err)
	}
}

func TestRuntimeDirectoryBelongsToOneCore(t *testing.T) {
	b := newBench(t, nil)
	b.start()
	second := New(Options{RuntimeDir: b.dir, Logger: slog.New(newJournal()), Handler: newOwner()})
	if err := second.Start(t.Context(), nil); err == nil {
		t.Error("a second one was let in")
	}
	b.stop(patience)
	if err := second.Start(t.Context(), nil); err != nil {
		t.Errorf("it is not free again: %v", err)
	}
	second.Stop(t.Context())
}

func TestUnsuitableRuntimeDirectoryIsRefused(t *testing.T) {
	open := filepath.Join(shortDir(t), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(shortDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, file, filepath.Join("/tmp", fmt.Sprintf("%070d", 0))} {
		s := New(Options{RuntimeDir: dir, Logger: slog.New(newJournal()), Handler: newOwner()})
		if err := s.Start(t.Context(), nil); err == nil {
			t.Errorf("%s was accepted", dir)
			s.Stop(t.Context())
		}
	}
	if info, err := os.Stat(open); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the directory was changed: %v %v", info.Mode(), err)
	}
}
