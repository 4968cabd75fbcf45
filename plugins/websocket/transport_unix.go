//go:build unix

package websocket

import (
	"sync"
	"syscall"
)

// attempt is one write that does not wait. They are pooled, since the closure
// that the system call needs would be made for each write otherwise.
type attempt struct {
	rest []byte
	err  error
	call func(fd uintptr) bool
}

func newAttempts() *sync.Pool {
	return &sync.Pool{New: func() any {
		a := new(attempt)
		a.call = a.write
		return a
	}}
}

// write writes what the system's buffer takes. It always returns true: there is
// nothing to wait for.
func (a *attempt) write(fd uintptr) bool {
	for len(a.rest) > 0 {
		n, err := syscall.Write(int(fd), a.rest)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			a.err = err
			return true
		default:
			a.rest = a.rest[n:]
		}
	}
	return true
}

// try writes as much of b as it can without waiting.
func (t *transport) try(b []byte) (int, error) {
	if t.raw == nil {
		return 0, nil
	}
	a := t.attempts.Get().(*attempt)
	a.rest = b
	err := t.raw.Write(a.call)
	if err == nil {
		err = a.err
	}
	n := len(b) - len(a.rest)
	a.rest, a.err = nil, nil
	t.attempts.Put(a)
	return n, err
}
