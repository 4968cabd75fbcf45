//go:build !unix

package conformance

import (
	"os"
	"os/exec"
	"syscall"
)

func childAttributes() *syscall.SysProcAttr { return nil }

// killGroup kills the process alone: there are no groups.
func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// awaitDeath waits for the child's death, then calls then.
func awaitDeath(cmd *exec.Cmd, then func()) {
	_ = cmd.Wait() // how it ended is in cmd.ProcessState
	then()
}

// groupMembers finds nobody: there are no groups.
func groupMembers(int) []int { return nil }
