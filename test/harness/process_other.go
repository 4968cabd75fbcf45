//go:build !linux

package harness

import "syscall"

// endWithParent does nothing: what a test leaves when it is killed is for its
// user to end.
func endWithParent(*syscall.SysProcAttr) {}

func awaitEnd(int) {}

// unmountBelow does nothing: no test mounts anything here.
func unmountBelow(string) {}
