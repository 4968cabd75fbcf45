package supervisor

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// selfExecutable is the kernel's name of the executable that a process runs,
// even if its file has been replaced or removed.
const selfExecutable = "/proc/self/exe"

// executable is a plugin's program, verified and ready to be run.
type executable struct {
	// name is what the process is told to be called: its argv[0].
	name string
	// path is the file to run, unless file is set.
	path string
	// file, if set, is run itself, whatever is at path by now.
	file *os.File
}

// openExecutable finds the program and verifies its checksum, if it is pinned.
func openExecutable(command, wantSHA256 string) (*executable, error) {
	path, err := findCommand(command)
	if err != nil {
		return nil, err
	}
	x := &executable{name: path, path: path}
	if path == selfExecutable {
		if own, err := os.Executable(); err == nil {
			x.name = own
		}
	}
	if wantSHA256 == "" && path != selfExecutable {
		return x, nil
	}
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	native, err := inspect(file, wantSHA256)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if native && runsOpenFiles {
		x.file = file
	} else {
		_ = file.Close()
	}
	return x, nil
}

// close releases the file. The program may be run no more.
func (x *executable) close() {
	if x.file != nil {
		_ = x.file.Close()
	}
}

// command returns the program's path for a new process. An open file gets a
// name in dir, so that the process is listed under its program's name.
func (x *executable) command(dir string) (path string, err error) {
	if x.file == nil {
		return x.path, nil
	}
	link := filepath.Join(dir, filepath.Base(x.name))
	// The link is resolved in the child, between fork and exec, where the
	// descriptor has the same number and is not closed yet.
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", x.file.Fd()), link); err != nil {
		return "", err
	}
	return link, nil
}

// findCommand returns a path for the command: a bare name is looked up.
func findCommand(command string) (string, error) {
	if strings.ContainsRune(command, filepath.Separator) {
		return command, nil
	}
	return exec.LookPath(command)
}

// openRegular opens a file that can be read to its end. A pipe would be waited for,
// a device be read for ever, where nothing interrupts it.
func openRegular(path string) (*os.File, error) {
	// Looked at before, as opening a device may do something, and after, as another
	// may be there by then; opening waits for nobody.
	other := fmt.Errorf("%s is not a regular file", path)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, cmp.Or(err, other)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, cmp.Or(err, other)
	}
	return file, nil
}

// inspect compares the file's checksum, if one is wanted, and tells whether it
// is a native executable of Linux.
func inspect(file *os.File, wantSHA256 string) (native bool, err error) {
	magic := make([]byte, 4)
	if _, err := io.ReadFull(file, magic); err != nil {
		return false, fmt.Errorf("no executable: %w", err)
	}
	if wantSHA256 != "" {
		hash := sha256.New()
		hash.Write(magic)
		if _, err := io.Copy(hash, file); err != nil {
			return false, err
		}
		if got := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(got, wantSHA256) {
			return false, fmt.Errorf("%w: it is %s, pinned is %s", ErrChecksum, got, wantSHA256)
		}
	}
	return bytes.Equal(magic, []byte("\x7fELF")), nil
}
