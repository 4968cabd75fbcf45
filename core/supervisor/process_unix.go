//go:build unix && !linux

package supervisor

import (
	"os/exec"
	"syscall"
)

// runsOpenFiles: a process cannot be started from a file descriptor.
const runsOpenFiles = false

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func killGroup(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// killOrphans kills what is left of a dead leader's group.
func killOrphans(pid int) { killGroup(pid) }

// waitAndKillGroup waits for the child's death, then calls kill.
func waitAndKillGroup(cmd *exec.Cmd, kill func()) {
	_ = cmd.Wait() // how it ended is in cmd.ProcessState
	kill()
}
