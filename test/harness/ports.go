package harness

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// FixedPorts is a configuration with ports that a relay finds free at each
// start, for tests that start one again, or a channel of it. Lay it over with
// more settings as need be.
func FixedPorts(t testing.TB) Object {
	t.Helper()
	return Object{
		"http":      Object{"host": "127.0.0.1", "port": ReservePort(t)},
		"websocket": Object{"host": "127.0.0.1", "port": ReservePort(t)},
	}
}

// ReservePort returns a port of 127.0.0.1 that the system gives to nobody who
// asks for any free one, until the test is over; who asks for this one gets it.
func ReservePort(t testing.TB) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	syscall.CloseOnExec(fd)
	// A socket that is bound and does not listen keeps the port from those who
	// leave the choice to the system, and on Linux from nobody else who sets
	// this option, as listeners do.
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var address syscall.Sockaddr
	if err == nil {
		address, err = syscall.Getsockname(fd)
	}
	if err != nil {
		t.Fatal(os.NewSyscallError("reserve a port", err))
	}
	if runtime.GOOS == "linux" {
		t.Cleanup(func() { _ = syscall.Close(fd) })
	} else {
		_ = syscall.Close(fd)
	}
	return address.(*syscall.SockaddrInet4).Port
}

// TakenPort returns a port of 127.0.0.1 at which the test itself listens until
// it is over.
func TakenPort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}
