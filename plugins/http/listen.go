package http

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// listen opens the listener that the settings name.
func listen(ctx context.Context, s settings) (net.Listener, error) {
	inner, err := new(net.ListenConfig).Listen(ctx, "tcp", address(s.Host, s.Port))
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	return &limitedListener{Listener: inner, slots: make(chan struct{}, s.MaxConnections)}, nil
}

// limitedListener refuses connections beyond its limit, and says so, instead of
// letting them wait where nobody sees them.
type limitedListener struct {
	net.Listener
	slots chan struct{} // holds one for each open connection
}

const refusal = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: application/json; charset=utf-8\r\n" +
	"Content-Length: 44\r\n" +
	"Connection: close\r\n\r\n" +
	`{"cmd":"INFO","data":"too many connections"}`

// Accept returns the next connection within the limit.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &limitedConn{Conn: conn, slots: l.slots}, nil
		default:
			// It fits into the socket's empty buffer: this does not block.
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			conn.Write([]byte(refusal))
			conn.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

// CloseWrite closes the sending half, for net/http: it lets the sender read an
// answer that came before the whole request was read, where Close alone would
// reset the connection.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection and makes room for another.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.slots })
	return err
}
