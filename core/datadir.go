package core

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dataDir is the data directory, locked for this process.
type dataDir struct {
	lock    *os.File
	runtime string // directory of the plugins' sockets, not made yet
}

// maxRuntimePath leaves room for a socket's name below the limit of socket
// addresses, about 108 bytes.
const maxRuntimePath = 60

// openDataDir creates the directory if need be and locks it against a second
// core. The lock ends with the process, however that ends.
func openDataDir(path string) (*dataDir, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(absolute, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory is not writable: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another mpush; stop that one or choose another with --data", path)
		}
		return nil, fmt.Errorf("data directory %s: lock: %w", path, err)
	}
	d := &dataDir{lock: lock, runtime: filepath.Join(absolute, "run")}
	if len(d.runtime) > maxRuntimePath {
		sum := sha256.Sum256([]byte(absolute))
		d.runtime = filepath.Join(os.TempDir(), fmt.Sprintf("mpush-%d-%x", os.Getuid(), sum[:6]))
	}
	return d, nil
}

// close removes what is only of use while the core runs, and lets go.
func (d *dataDir) close() error {
	return errors.Join(os.RemoveAll(d.runtime), d.lock.Close())
}
