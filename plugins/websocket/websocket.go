// Package websocket is the channel of receivers that hold a websocket open, and
// of senders among them: one socket carries both ways. It is stateless; queues,
// sessions and resends are the core's, and what a socket's client asks for that
// this channel does not know goes to the core, which knows who claims it.
//
//   - config.go: the operator's section
//   - listen.go, transport.go, secure.go: connections that never block a writer
//   - hub.go: all sockets, and who is attached on which
//   - handshake.go, origin.go: who gets a socket
//   - conn.go: one socket, from handshake to end
//   - session.go: AUTH and UNREGISTER
//   - send.go: what a client sends on
//
// An idle socket costs one goroutine that reads. Whoever has something to say
// writes by itself and at once; see transport for why that blocks nobody.
package websocket

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"mpush/sdk"
	"mpush/sdk/listen"
)

// New returns a fresh instance of the channel.
func New() sdk.Plugin { return &plugin{settings: defaults()} }

type plugin struct {
	channel  string // the operator's name for it
	settings settings
	trusted  listen.Proxies
	// localPages: browsers on this machine may show no pages of elsewhere.
	localPages bool
	// certificate is nil where connections are in the clear.
	certificate *listen.Certificate

	hub      *hub
	listener net.Listener
	server   *http.Server  // serves listener
	served   chan struct{} // closed when it does not any more
	detach   func() bool
}

var (
	_ sdk.Configurable = (*plugin)(nil)
	_ sdk.Configurer   = (*plugin)(nil)
	_ sdk.Starter      = (*plugin)(nil)
	_ sdk.Stopper      = (*plugin)(nil)
	_ sdk.Dispatcher   = (*plugin)(nil)
)

// Describe tells what the channel is.
func (p *plugin) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name:        "websocket",
		Version:     "2.1",
		Description: "Receivers hold a websocket open; they may send over it, too.",
		Rights:      []sdk.Right{sdk.AcceptWithoutToken},
		Roles:       []sdk.Role{sdk.RoleIngress, sdk.RoleEgress},
		Statuses: []sdk.Explained{
			{Word: "wait", Meaning: "It was sent to the receiver's socket, and is not acknowledged yet."},
			{Word: "ok", Meaning: "The receiver has acknowledged it."},
		},
	}
}

// Start opens the listener and returns its address.
func (p *plugin) Start(ctx context.Context, host sdk.Host) ([]string, error) {
	crowd := listen.NewCrowd(p.settings.MaxConnectionsPerAddress, p.trusted)
	listener, err := newListener(ctx, p.channel, p.settings, p.certificate, crowd)
	if err != nil {
		return nil, err
	}
	p.hub = newHub(ctx, host, p.settings)
	p.hub.wg.Go(p.hub.sweepUntilClosed)
	p.server = &http.Server{
		Handler:           newHandshake(p.hub, p.trusted, crowd, p.localPages),
		ReadHeaderTimeout: handshakeTime,
		ReadTimeout:       handshakeTime,
		IdleTimeout:       handshakeTime,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          listen.ErrorLog(),
	}
	p.listener, p.served = listener, make(chan struct{})
	go func() {
		defer close(p.served)
		listen.Serve(p.server, listener)
	}()
	p.detach = context.AfterFunc(ctx, func() {
		p.server.Close()
		p.hub.close("the server is gone")
	})
	return []string{p.certificate.URL("wss", listener.Addr().String())}, nil
}

// handshakeTime is how long a client may take over its request to upgrade.
const handshakeTime = 10 * time.Second

// closeTime is what is left of the time to stop for closing the sockets.
const closeTime = time.Second

// Stop takes no more sockets and no more messages, lets replies that are
// awaited go out, and closes all sockets, before ctx ends.
func (p *plugin) Stop(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	p.detach()
	p.server.Close()
	<-p.served
	sending := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		sending, cancel = context.WithDeadline(ctx, deadline.Add(-closeTime))
		defer cancel()
	}
	p.hub.finishSending(sending)
	p.hub.close("the server stops")
	if err := p.hub.wait(ctx); err != nil {
		return fmt.Errorf("websocket: sockets did not close: %w", err)
	}
	return nil
}

// Dispatch writes a message to the socket that the receiver is attached on.
func (p *plugin) Dispatch(delivery *sdk.Delivery) { p.hub.dispatch(delivery) }

// Evict closes the socket behind an attachment that has ended.
func (p *plugin) Evict(receiver string, generation uint64, why sdk.Eviction) {
	p.hub.evict(attachment{receiver, generation}, why)
}
