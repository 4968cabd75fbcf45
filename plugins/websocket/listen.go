package websocket

import (
	"context"
	"fmt"
	"net"
	"sync"

	"mpush/sdk/listen"
)

// listener makes a transport of each connection, and TLS over it if there is a
// certificate: the transport is below, so that what is encrypted is written as
// everything else is.
type listener struct {
	net.Listener
	attempts    *sync.Pool
	tooBig      []byte
	certificate *listen.Certificate
}

func newListener(ctx context.Context, channel string, s settings, certificate *listen.Certificate, crowd *listen.Crowd) (*listener, error) {
	inner, err := listen.TCP(ctx, listen.Options{
		Host: s.Host, Port: s.Port, MaxConnections: s.MaxConnections,
		Refusal: certificate.Refusal(listen.TooManyHTTP(channel + ".maxConnections")),
		Crowd:   crowd, Crowded: certificate.Refusal(listen.CrowdedHTTP(channel + maxPerAddress)),
		// The channel's own pings find dead peers; TCP's would wake phones
		// every 15 s besides.
		KeepAlive: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	return &listener{Listener: inner, attempts: newAttempts(), tooBig: tooBigFrame(s.tooBig(channel)), certificate: certificate}, nil
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	made := newTransport(conn, l.attempts)
	if l.certificate != nil {
		return &secure{SecureConn: l.certificate.Server(made), out: made, tooBig: l.tooBig}, nil
	}
	made.tooBig = l.tooBig
	return made, nil
}

// maxPerAddress, after the channel's name, is what clients read of that limit.
const maxPerAddress = ".maxConnectionsPerAddress"

// tooBig is why a frame that is larger than MaxFrame closes its socket.
func (s *settings) tooBig(channel string) string {
	return fmt.Sprintf("%s.maxFrame: the frame is larger than %d bytes", channel, s.MaxFrame)
}
