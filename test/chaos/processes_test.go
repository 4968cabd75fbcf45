//go:build linux

package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mpush/test/harness"
)

// poll waits for a condition in which no event can be awaited, since it is about
// processes that are not the test's children, and tells whether it came to hold.
func poll(limit time.Duration, condition func() bool) bool {
	for deadline := time.Now().Add(limit); !condition(); {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// pluginPID finds the running process of a channel, 0 for none.
func pluginPID(relay *harness.Relay, channel string) int {
	for _, p := range relay.Processes() {
		if p.PID != relay.PID() && slices.Contains(p.Args, channel) {
			return p.PID
		}
	}
	return 0
}

// plugin waits for the running process of a channel.
func (l *lane) plugin(channel string) *os.Process {
	l.t.Helper()
	pid := 0
	if !poll(patience, func() bool { pid = pluginPID(l.relay, channel); return pid != 0 }) {
		l.t.Fatalf("channel %s has no process\n%s", channel, l.relay.Log())
	}
	return l.find(pid)
}

// find holds on to a process, so that no signal ever hits another one that got
// its id.
func (l *lane) find(pid int) *os.Process {
	l.t.Helper()
	process, err := os.FindProcess(pid)
	if err != nil {
		l.t.Fatal(err)
	}
	return process
}

// signal sends a signal to a process, which may have ended.
func (l *lane) signal(process *os.Process, s syscall.Signal) {
	l.t.Helper()
	if err := process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		l.t.Fatal(err)
	}
}

// abortStart starts the core and kills it at once, or a little later: while it
// reads its data, while it starts its plugins, when it has just begun to serve.
func (l *lane) abortStart(after time.Duration) {
	l.t.Helper()
	cmd := exec.Command(harness.Program(l.t, "mpush"), "serve", "--config", "config.json", "--data", "data")
	cmd.Dir = l.relay.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := harness.Child(cmd); err != nil {
		l.t.Fatal(err)
	}
	time.Sleep(after)
	died := l.ledger.kills(time.Now(), "core")
	if err := cmd.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	err := cmd.Wait()
	died(time.Now())
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != -1 {
		l.t.Errorf("the core ended within %v of its start: %v", after, err)
	}
	// The kernel kills them: how long that takes is the machine's matter.
	if !poll(patience, func() bool { return len(session(cmd.Process.Pid)) == 0 }) {
		l.t.Errorf("%v after a core was killed in its start, %v still run", patience, session(cmd.Process.Pid))
		for _, pid := range session(cmd.Process.Pid) {
			l.signal(l.find(pid), syscall.SIGKILL)
		}
	}
}

// session lists the live processes of a session.
func session(id int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp session …; the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 4 || string(fields[3]) != strconv.Itoa(id) || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// checkSockets makes sure that the sockets in the runtime directory are those of
// the running plugins, one each, and nothing else is left there.
func (l *lane) checkSockets() {
	l.t.Helper()
	run := filepath.Join(l.relay.Dir, "data", "run")
	var found []string
	count := func(kind byte) (n int) {
		for _, what := range found {
			if what[0] == kind {
				n++
			}
		}
		return n
	}
	look := func() bool {
		found = nil
		err := filepath.WalkDir(run, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && path != run && entry.Name() != "lock" {
				found = append(found, fmt.Sprintf("%s %s", entry.Type(), strings.TrimPrefix(path, run)))
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.t.Fatal(err)
		}
		return count('d') == len(channels) && count('S') == len(channels)
	}
	// What a plugin leaves is removed beside the start of the next.
	if !poll(patience, look) {
		l.t.Errorf("the runtime directory has %q, expected one directory with one socket for each of %v", found, channels)
	}
}
