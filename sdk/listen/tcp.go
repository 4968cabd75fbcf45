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
	// Crowd counts each connection for the address that it comes from. Nil does
	// not.
	Crowd *Crowd
	// Crowded is the Refusal of those that are too many for it.
	Crowded []byte
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
		options:     o,
	}, nil
}

// TooManyHTTP is the Refusal of channels that speak HTTP: status 503 and an INFO
// packet. limit is the key of the setting that says how many may be open.
func TooManyHTTP(limit string) []byte {
	return refusalHTTP("503 Service Unavailable", limit+": too many connections")
}

// CrowdedHTTP is likewise Crowded: status 429.
func CrowdedHTTP(limit string) []byte {
	return refusalHTTP("429 Too Many Requests", CrowdedInfo(limit))
}

// CrowdedInfo is what a client reads whose address has too much open.
func CrowdedInfo(limit string) string { return limit + ": too many connections from this address" }

func refusalHTTP(status, text string) []byte {
	info := packet.AppendInfo(nil, text)
	return append([]byte("HTTP/1.1 "+status+"\r\n"+
		"Content-Type: application/json; charset=utf-8\r\n"+
		"Content-Length: "+strconv.Itoa(len(info))+"\r\n"+
		"Connection: close\r\n\r\n"), info...)
}

type listener struct {
	*net.TCPListener
	slots   chan struct{} // holds one for each open connection
	options Options
}

// Accept returns the next connection within the limit.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		leave, ok := l.options.Crowd.enter(peer(accepted))
		if !ok {
			refuse(accepted, l.options.Crowded)
			continue
		}
		select {
		case l.slots <- struct{}{}:
			return &conn{TCPConn: accepted, release: sync.OnceFunc(func() {
				leave()
				<-l.slots
			})}, nil
		default:
			leave()
			refuse(accepted, l.options.Refusal)
		}
	}
}

// peer is the address that a connection comes from, the zero one if it has none
// any more.
func peer(accepted *net.TCPConn) netip.Addr {
	if tcp, ok := accepted.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}

// refuse does not block: what is written fits into the socket's empty buffer. An
// error means that the client has left.
func refuse(refused *net.TCPConn, text []byte) {
	_ = refused.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = refused.Write(text)
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
