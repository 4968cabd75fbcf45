package listen

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"mpush/sdk/packet"
)

// Options say where to listen and for how many.
type Options struct {
	Host string // "": all interfaces
	Port int    // 0 takes any free one
	// MaxConnections is how many connections may be open at once, at least 1.
	MaxConnections int
	// Refusal is written to a connection beyond that before it is closed: a few
	// hundred bytes in the channel's own protocol. Nil says nothing.
	Refusal []byte
	// KeepAlive is the period of TCP's probes on idle connections: 0 is Go's
	// default, negative turns them off.
	KeepAlive time.Duration
}

// TCP listens until the listener is closed. Its Accept returns connections
// within the limit, each of which makes room for another when it is closed; they
// have all methods of a *net.TCPConn. Those beyond the limit are refused, and
// told so, instead of waiting where nobody sees them. An address that can not be
// listened on is a *net.OpError.
func TCP(ctx context.Context, o Options) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: o.KeepAlive}
	network := "tcp"
	if ip, err := netip.ParseAddr(o.Host); err == nil && ip.Is4() {
		network = "tcp4" // 0.0.0.0 would else take in IPv6 as well
	}
	inner, err := config.Listen(ctx, network, net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
	if err != nil {
		return nil, err
	}
	return &listener{
		TCPListener: inner.(*net.TCPListener),
		slots:       make(chan struct{}, o.MaxConnections),
		refusal:     o.Refusal,
	}, nil
}

// TooManyHTTP is the Refusal of channels that speak HTTP: status 503 and an INFO
// packet.
func TooManyHTTP() []byte {
	info := packet.AppendInfo(nil, "too many connections")
	return append([]byte("HTTP/1.1 503 Service Unavailable\r\n"+
		"Content-Type: application/json; charset=utf-8\r\n"+
		"Content-Length: "+strconv.Itoa(len(info))+"\r\n"+
		"Connection: close\r\n\r\n"), info...)
}

type listener struct {
	*net.TCPListener
	slots   chan struct{} // holds one for each open connection
	refusal []byte
}

// Accept returns the next connection within the limit.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &conn{TCPConn: accepted, release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			l.refuse(accepted)
		}
	}
}

// refuse does not block: what is written fits into the socket's empty buffer. An
// error means that the client has left.
func (l *listener) refuse(refused *net.TCPConn) {
	_ = refused.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = refused.Write(l.refusal)
	_ = refused.Close()
}

// conn is a connection that holds a slot. It embeds the concrete type, so that
// net/http finds CloseWrite and ReadFrom, and others SyscallConn.
type conn struct {
	*net.TCPConn
	release func()
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.release()
	return err
}
