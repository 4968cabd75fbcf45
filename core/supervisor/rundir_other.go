//go:build !unix

package supervisor

import "os"

// checkPrivate trusts the directory: there are no modes to look at.
func checkPrivate(string) error { return nil }

// lockFile keeps the file open, which is as much as can be said everywhere.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
