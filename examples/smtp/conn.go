package main

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// idleTime is how long a client may be silent (RFC 5321, section 4.5.3.2).
const idleTime = 5 * time.Minute

// idleListener accepts connections that are at their end when the other side is
// silent for idleTime.
type idleListener struct{ net.Listener }

func (l idleListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &idleConn{Conn: c}, nil
}

// idleConn counts a client's silence. The server's own ReadTimeout counts from
// the last command on, and so would refuse a large mail over a slow line.
type idleConn struct {
	net.Conn
	end error // why nothing more is read
}

func (c *idleConn) Read(b []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	_ = c.SetReadDeadline(time.Now().Add(idleTime)) // if it can not be set, Read fails, too
	n, err := c.Conn.Read(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.end = errSilent // by BDAT the server answers with what is read here
	case errors.Is(err, io.EOF):
		c.end = net.ErrClosed // EOF would end a chunk of BDAT as if it were whole
	default:
		return n, err
	}
	return n, c.end
}
