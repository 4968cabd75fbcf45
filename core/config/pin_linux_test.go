package config

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What cannot be seen is whether the disk was reached, but a directory has to be
// opened for that.
func TestReplacedFileIsBroughtToDiskWithItsDirectory(t *testing.T) {
	path, _ := pinning(t, `{}`)
	watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(watch)
	if _, err := syscall.InotifyAddWatch(watch, filepath.Dir(path), syscall.IN_MOVED_TO|syscall.IN_OPEN|syscall.IN_ONLYDIR); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path, []byte(`{}`), []byte(`{"a": 1}`)); err != nil {
		t.Fatal(err)
	}
	events := make([]byte, 16<<10)
	n, err := syscall.Read(watch, events)
	if err != nil {
		t.Fatal(err)
	}
	renamed, opened := false, false
	for events = events[:n]; len(events) > 0; events = events[syscall.SizeofInotifyEvent+binary.NativeEndian.Uint32(events[12:]):] {
		mask := binary.NativeEndian.Uint32(events[4:])
		renamed = renamed || mask&syscall.IN_MOVED_TO != 0
		opened = opened || renamed && mask&syscall.IN_OPEN != 0 && mask&syscall.IN_ISDIR != 0
	}
	if !renamed || !opened {
		t.Errorf("renamed %v, the directory opened after that %v", renamed, opened)
	}
}

func TestDirectoryThatCannotBeBroughtToDiskIsNoFault(t *testing.T) {
	path, _ := pinning(t, `{}`)
	dir := filepath.Dir(path)
	if err := os.Chmod(dir, 0o300); err != nil { // it may be written, not read; nothing is kept from root
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if err := replaceFile(path, []byte(`{}`), []byte(`{"a": 1}`)); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{dir, "/proc"} { // where there is no disk
		if err := syncDir(dir); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := syncDir(filepath.Join(dir, "absent")); err == nil {
		t.Error("a directory that there is not was brought to disk")
	}
}
