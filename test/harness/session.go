package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Process is a running process as the system lists it.
type Process struct {
	PID    int
	Parent int
	Args   []string
}

func (p Process) String() string { return fmt.Sprintf("%d (%s)", p.PID, strings.Join(p.Args, " ")) }

// session lists the running processes of a session: all that a process which
// leads a session has started, whoever their parents are by now. It is empty
// where there is no /proc. Dead ones that nobody has waited for yet are left
// out.
func session(id int) []Process {
	var found []Process
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp session …; the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 4 || string(fields[3]) != strconv.Itoa(id) || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		cmdline, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		args := strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
		found = append(found, Process{PID: pid, Parent: parent, Args: args})
	}
	return found
}

// endSession kills what is left of a session whose leader has ended, and
// returns what that was.
func endSession(id int) []Process {
	left := session(id)
	for _, p := range left {
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
	return left
}
