package websocket

import (
	"context"
	"fmt"
	"net"
	"sync"

	"mpush/sdk/listen"
)

// listener makes a transport of each connection.
type listener struct {
	net.Listener
	attempts *sync.Pool
}

func newListener(ctx context.Context, s settings) (*listener, error) {
	inner, err := listen.TCP(ctx, listen.Options{
		Host: s.Host, Port: s.Port, MaxConnections: s.MaxConnections, Refusal: listen.TooManyHTTP(),
		// The channel's own pings find dead peers; TCP's would wake phones
		// every 15 s besides.
		KeepAlive: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	return &listener{Listener: inner, attempts: newAttempts()}, nil
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newTransport(conn, l.attempts), nil
}
