//go:build !unix

package websocket

import "sync"

func newAttempts() *sync.Pool { return nil }

// try leaves everything to the drain goroutine: there is no portable write that
// does not wait.
func (t *transport) try([]byte) (int, error) { return 0, nil }
