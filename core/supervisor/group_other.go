//go:build !linux

package supervisor

// groupUsage does not know.
func groupUsage(int) (usage, bool) { return usage{}, false }
