//go:build unix

package supervisor

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate refuses a directory that others may enter or that is another
// user's. It repairs nothing: the directory may be one that others need.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	if mode := info.Mode().Perm(); !info.IsDir() || mode&0o077 != 0 {
		return fmt.Errorf("runtime directory %s must be a directory of mode 0700, not %v", path, info.Mode())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("runtime directory %s belongs to user %d, not to %d", path, stat.Uid, os.Geteuid())
	}
	return nil
}

// lockFile locks a file until it is closed or the process ends.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
