package harness

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithParent has the kernel kill the process when the test's own ends before
// it could clean up, such as at the time limit of go test.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// awaitEnd returns when a process that this one has started has ended, and leaves
// what it has ended with to whoever waits for it.
func awaitEnd(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// unmountBelow takes away what is mounted at a directory and below it, also what
// is in use.
func unmountBelow(dir string) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	var points []string
	for line := range strings.Lines(string(mounts)) {
		// id parent device root point …
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4]+"/", dir+"/") {
			points = append(points, fields[4])
		}
	}
	slices.SortFunc(points, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, point := range points {
		_ = syscall.Unmount(point, syscall.MNT_DETACH)
	}
}
