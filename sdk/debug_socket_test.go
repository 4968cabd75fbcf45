package sdk

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyASocketMakesRoomForTheDebugSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeSocket(file); err == nil {
		t.Error("a file was taken for a socket")
	}
	if text, _ := os.ReadFile(file); string(text) != "mine" {
		t.Error("the file is gone")
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	_ = listener.Close()
	for range 2 { // there, and not
		if err := removeSocket(filepath.Join(dir, "s")); err != nil {
			t.Error(err)
		}
	}
}
