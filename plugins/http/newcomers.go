package http

import (
	"net"
	nethttp "net/http"
	"sync"
)

// newcomers are the connections that have not asked for anything yet. net/http
// waits for their first request when it shuts down, for five seconds and more,
// and does not answer it: they would take up the time in which others still get
// their answers.
type newcomers struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
}

// note is a server's ConnState.
func (n *newcomers) note(conn net.Conn, state nethttp.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case state != nethttp.StateNew:
		delete(n.conns, conn)
	case n.over:
		_ = conn.Close()
	default:
		if n.conns == nil {
			n.conns = make(map[net.Conn]struct{})
		}
		n.conns[conn] = struct{}{}
	}
}

// turnAway closes them, and who comes from now on. The server must be shutting
// down already: it might begin a request that nobody would see the answer of.
func (n *newcomers) turnAway() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	for conn := range n.conns {
		_ = conn.Close()
	}
}
