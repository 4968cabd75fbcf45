package websocket

import (
	"net"

	"mpush/sdk/listen"
)

// secure is a TLS connection over a transport, whose Write does not block either:
// the transport takes what is encrypted.
type secure struct {
	*listen.SecureConn
	out    *transport
	tooBig []byte // written in the place of bareTooBig
}

// Write encrypts and writes or keeps all of b, or fails for good. It is not
// called twice at once.
func (s *secure) Write(b []byte) (int, error) {
	// A large packet is many records, each of which is a Write of its own.
	s.out.join(true)
	defer s.out.join(false)
	n, err := s.SecureConn.Write(orReason(b, s.tooBig))
	return min(n, len(b)), err
}

// transportOf is what a socket's bytes go through in the end.
func transportOf(conn net.Conn) *transport {
	if s, ok := conn.(*secure); ok {
		return s.out
	}
	return conn.(*transport)
}
