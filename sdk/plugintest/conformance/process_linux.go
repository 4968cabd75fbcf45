package conformance

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// awaitDeath waits for the child's death and calls then while its number cannot
// be another's yet.
func awaitDeath(cmd *exec.Cmd, then func()) {
	for {
		if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	then()
	_ = cmd.Wait() // how it ended is in cmd.ProcessState
}

// groupMembers are the living processes of a group.
func groupMembers(group int) []int {
	var found []int
	for _, p := range groupOf(group) {
		found = append(found, p.pid)
	}
	return found
}
