//go:build unix && !linux

package conformance

import (
	"os/exec"
	"syscall"
)

func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// awaitDeath waits for the child's death, then calls then.
func awaitDeath(cmd *exec.Cmd, then func()) {
	_ = cmd.Wait() // how it ended is in cmd.ProcessState
	then()
}

// groupMembers tells by the group's number alone that somebody is left.
func groupMembers(group int) []int {
	if syscall.Kill(-group, 0) == nil {
		return []int{group}
	}
	return nil
}
