package harness

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// scratchPattern is what the directories of all test binaries are called. It is
// short: plugins have their sockets below.
const scratchPattern = "mpush-test-*"

// scratch is where a test binary has all its files. It is locked as long as the
// binary runs, however that ends.
type scratch struct {
	dir  string
	lock *os.File
	made atomic.Int64 // directories in it
}

// current is this binary's.
var current *scratch

// newScratch makes one in a directory of temporary files, after it has removed
// what binaries left there that ended without a chance to do it.
func newScratch(temporary string) (*scratch, error) {
	old, err := filepath.Glob(filepath.Join(temporary, scratchPattern))
	if err != nil {
		return nil, err
	}
	for _, dir := range old {
		if !isScratch(dir) {
			continue
		}
		if lock, _ := lockDir(dir); lock != nil {
			// What can not be removed disturbs nobody.
			unmountBelow(dir)
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
	for {
		dir, err := os.MkdirTemp(temporary, scratchPattern)
		if err != nil {
			return nil, err
		}
		// Others may enter and find only what is open to them.
		if err := os.Chmod(dir, 0o711); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		// Another binary may have taken it for one that was left.
		lock, err := lockDir(dir)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			return &scratch{dir: dir, lock: lock}, nil
		}
	}
}

// isScratch tells a directory that newScratch made from what others call so.
func isScratch(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
		return false
	}
	made := strings.TrimPrefix(filepath.Base(path), strings.TrimSuffix(scratchPattern, "*"))
	return made != "" && strings.Trim(made, "0123456789") == ""
}

// lockDir locks a directory. It returns nil for one that is locked or gone.
func lockDir(dir string) (*os.File, error) {
	file, err := os.Open(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		locked, err1 := file.Stat()
		now, err2 := os.Lstat(dir)
		if err1 == nil && err2 == nil && os.SameFile(locked, now) {
			return file, nil
		}
	}
	_ = file.Close()
	if err != nil && err != syscall.EWOULDBLOCK {
		return nil, os.NewSyscallError("flock", err)
	}
	return nil, nil
}

func (s *scratch) close() error {
	err := os.RemoveAll(s.dir)
	_ = s.lock.Close()
	return err
}

// Dir makes a directory for a relay, which is gone when the test is over. Its
// path is short, unlike that of t.TempDir: plugins have their sockets below it.
func Dir(t testing.TB) string {
	t.Helper()
	if current == nil {
		t.Fatal("there is no place for it: TestMain must call harness.Main")
	}
	dir := filepath.Join(current.dir, strconv.FormatInt(current.made.Add(1), 10))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
