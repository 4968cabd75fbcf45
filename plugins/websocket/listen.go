package websocket

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// listen opens the listener that the settings name.
func listen(ctx context.Context, s settings) (*listener, error) {
	config := net.ListenConfig{
		// The channel's own pings find dead peers; TCP's would wake phones
		// every 15 s besides.
		KeepAlive: -1,
	}
	inner, err := config.Listen(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	return &listener{Listener: inner, slots: make(chan struct{}, s.MaxConnections), attempts: newAttempts()}, nil
}

// listener makes a transport of each connection, and refuses those beyond its
// limit instead of letting them wait where nobody sees them.
type listener struct {
	net.Listener
	slots    chan struct{} // holds one for each open connection
	attempts *sync.Pool
}

const refusal = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: application/json; charset=utf-8\r\n" +
	"Content-Length: 44\r\n" +
	"Connection: close\r\n\r\n" +
	`{"cmd":"INFO","data":"too many connections"}`

// Accept returns the next connection within the limit.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return newTransport(conn, l.attempts, func() { <-l.slots }), nil
		default:
			// It fits into the socket's empty buffer: this does not block.
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			conn.Write([]byte(refusal))
			conn.Close()
		}
	}
}
