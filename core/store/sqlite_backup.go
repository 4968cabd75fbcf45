package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// partial is added to a backup's name while it is written.
const partial = ".partial"

// Backup writes a copy of everything as of one moment to a new file, while the
// store goes on. The copy is a database of its own, whole when Backup returns
// nil, and then on disk. It has its name only once it is whole, so that not even
// the end of the process leaves half of one there. It ends when ctx does.
func (s *SQLite) Backup(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := isFree(path); err != nil {
		return err
	}
	draft := path + partial
	file, err := openDraft(draft)
	if err != nil {
		return err
	}
	defer func() {
		_ = os.Remove(draft) // else it is taken over the next time
		_ = file.Close()
	}()
	c, err := openConn(s.path, "mode=ro")
	if err != nil {
		return fmt.Errorf("read %s: %w", s.path, err)
	}
	err = errors.Join(c.execUntil(ctx, `VACUUM INTO ?`, draft), c.close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := publish(draft, path); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%s is written, but a power cut may undo that: %w", path, err)
	}
	return nil
}

func isFree(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// openDraft opens an empty file for a backup, into which SQLite writes: so its
// mode is ours. The lock tells one that somebody is writing from one that was left
// behind, which is taken over.
func openDraft(path string) (_ *os.File, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	// Network file systems may have no locks.
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	} else if err != nil && !errors.Is(err, syscall.ENOLCK) && !errors.Is(err, errors.ErrUnsupported) {
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	mine, err := file.Stat()
	if err != nil {
		return nil, err
	}
	// Whoever had the lock before may have taken the file away with it.
	if there, err := os.Lstat(path); err != nil || !os.SameFile(mine, there) || !mine.Mode().IsRegular() {
		return nil, errors.Join(&fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}, err)
	}
	return file, errors.Join(file.Truncate(0), file.Chmod(0o600))
}

// publish gives a backup its name, unless that is taken by now.
func publish(draft, path string) error {
	err := os.Link(draft, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without links.
	if err := isFree(path); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

// syncDir brings a directory to disk, as far as its file system can do that and it
// may be read.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
