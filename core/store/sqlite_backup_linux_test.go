package store

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What cannot be seen is whether the disk was reached, but a directory has to be
// opened for that.
func TestBackupIsBroughtToDiskWithItsName(t *testing.T) {
	s := openTest(t)
	dir := t.TempDir()
	watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(watch)
	if _, err := syscall.InotifyAddWatch(watch, dir, syscall.IN_CREATE|syscall.IN_OPEN|syscall.IN_ONLYDIR); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(context.Background(), filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	events := make([]byte, 64<<10)
	n, err := syscall.Read(watch, events)
	if err != nil {
		t.Fatal(err)
	}
	named, opened := false, false
	for events = events[:n]; len(events) > 0; {
		mask, end := binary.NativeEndian.Uint32(events[4:]), syscall.SizeofInotifyEvent+binary.NativeEndian.Uint32(events[12:])
		name := strings.TrimRight(string(events[syscall.SizeofInotifyEvent:end]), "\x00")
		named = named || mask&syscall.IN_CREATE != 0 && name == "copy.db"
		opened = opened || named && mask&syscall.IN_OPEN != 0 && mask&syscall.IN_ISDIR != 0
		events = events[end:]
	}
	if !named || !opened {
		t.Errorf("named %v, the directory opened after that %v", named, opened)
	}
}
