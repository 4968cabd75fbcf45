//go:build !unix

package supervisor

import (
	"os"
	"os/exec"
	"syscall"
)

// runsOpenFiles: a process cannot be started from a file descriptor.
const runsOpenFiles = false

func childAttributes() *syscall.SysProcAttr { return nil }

// killGroup kills the process alone: there are no groups.
func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// killOrphans has nobody to kill: without groups nobody knows them.
func killOrphans(int) {}

// waitAndKillGroup waits for the child's death. kill then only
// notes it.
func waitAndKillGroup(cmd *exec.Cmd, kill func()) {
	_ = cmd.Wait() // how it ended is in cmd.ProcessState
	kill()
}
