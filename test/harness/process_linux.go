package harness

import "syscall"

// endWithParent has the kernel kill the process when the test's own ends before
// it could clean up, such as at the time limit of go test.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
