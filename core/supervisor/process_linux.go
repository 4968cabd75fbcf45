package supervisor

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// runsOpenFiles: a process can be started from a file descriptor.
const runsOpenFiles = true

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func killGroup(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// killOrphans kills what is left of a dead leader's group.
func killOrphans(pid int) { killGroup(pid) }

// waitAndKillGroup waits for the child's death, calls kill while the child is
// not yet reaped, so that its number cannot be another's, and reaps it.
func waitAndKillGroup(cmd *exec.Cmd, kill func()) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	kill()
	_ = cmd.Wait() // how it ended is in cmd.ProcessState
}
