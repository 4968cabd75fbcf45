package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// pluginDirPrefix is what go-plugin names a plugin's directory.
const pluginDirPrefix = "plugin-dir"

// runDir is the directory of the sockets, held by one process at a time.
type runDir struct {
	path string

	mu   sync.Mutex
	lock *os.File // nil once it is closed
}

// openRunDir makes the directory if need be, locks it and removes what an
// earlier process left there.
func openRunDir(path string) (*runDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	if err := checkSocketPath(path); err != nil {
		return nil, err
	}
	lock, err := claim(path)
	if err != nil {
		return nil, err
	}
	d := &runDir{path: path, lock: lock}
	if err := d.sweep(); err != nil {
		d.close()
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	return d, nil
}

// claim makes the directory if need be and locks it.
func claim(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if err != nil {
		return nil, fmt.Errorf("runtime directory %s is in use by another process: %w", path, err)
	}
	return lock, nil
}

// keep claims the directory again if it was removed, as is done to what lies in
// /tmp for long. What plugins that run have there is left alone.
func (d *runDir) keep() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return errStopping
	}
	ours, err := d.lock.Stat()
	if err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	if there, err := os.Stat(d.lock.Name()); err == nil && os.SameFile(ours, there) {
		return nil
	}
	lock, err := claim(d.path)
	if err != nil {
		return err
	}
	_ = d.lock.Close()
	d.lock = lock
	return nil
}

// sweep removes the plugins' directories, and nothing else: the operator may
// have named a directory that holds more.
func (d *runDir) sweep() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() && strings.HasPrefix(entry.Name(), pluginDirPrefix) {
			if err := os.RemoveAll(filepath.Join(d.path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *runDir) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.sweep()
	_ = d.lock.Close() // and with it the lock; the file stays, removing it would race
	d.lock = nil
}

// checkSocketPath refuses a directory in which a socket's path would be too
// long. The kernel's limit includes a closing NUL; go-plugin adds
// "/plugin-dir…/plugin…" with two random numbers of up to ten digits.
func checkSocketPath(dir string) error {
	limit := 103
	if runtime.GOOS == "linux" {
		limit = 107
	}
	const random = 10
	most := limit - len("/") - len(pluginDirPrefix) - random - len("/plugin") - random
	if len(dir) > most {
		return fmt.Errorf("runtime directory %s: the path has %d bytes, sockets allow %d", dir, len(dir), most)
	}
	return nil
}
