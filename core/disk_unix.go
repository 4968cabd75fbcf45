//go:build unix

package core

import "syscall"

// freeSpace is how many bytes this process may still write to the disk that a
// directory is on.
func freeSpace(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}
