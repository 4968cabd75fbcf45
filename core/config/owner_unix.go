//go:build unix

package config

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a new file the owner of the one whose place it takes.
func keepOwner(file *os.File, old fs.FileInfo) error {
	made, err := file.Stat()
	if err != nil {
		return err
	}
	was, known := old.Sys().(*syscall.Stat_t)
	is, _ := made.Sys().(*syscall.Stat_t)
	if !known || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	return file.Chown(int(was.Uid), int(was.Gid))
}
