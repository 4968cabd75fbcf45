// Package http is the channel by which senders push over HTTP: it reads
// requests, hands them to the core and writes down what the core answers. It
// keeps nothing, checks no token itself and knows no other channel: a command
// that it does not know goes to the core, which knows who claims it.
//
//   - config.go: the operator's section
//   - newcomers.go: connections that have not asked yet
//   - handler.go: what kind of request it is
//   - target.go, params.go, body.go: its path, its query or form, its body
//   - command.go: what each packet means
//   - caller.go: who sends, and whether the token is right
//   - answer.go: what the sender reads
package http

import (
	"context"
	"fmt"
	"net"
	nethttp "net/http"
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
	// certificate is nil where connections are in the clear.
	certificate *listen.Certificate

	listener net.Listener
	server   *nethttp.Server // serves listener
	served   chan struct{}   // closed when it does not any more
	detach   func() bool
}

var (
	_ sdk.Configurable = (*plugin)(nil)
	_ sdk.Configurer   = (*plugin)(nil)
	_ sdk.Starter      = (*plugin)(nil)
	_ sdk.Stopper      = (*plugin)(nil)
)

// Describe tells what the channel is.
func (p *plugin) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name:        "http",
		Version:     "2.1",
		Description: "Senders push with GET or POST requests.",
		Rights:      []sdk.Right{sdk.AcceptWithoutToken},
	}
}

// Start opens the listener and returns its address.
func (p *plugin) Start(ctx context.Context, host sdk.Host) ([]string, error) {
	s := p.settings
	crowd := listen.NewCrowd(s.MaxConnectionsPerAddress, p.trusted)
	listener, err := listen.TCP(ctx, listen.Options{
		Host: s.Host, Port: s.Port, MaxConnections: s.MaxConnections,
		Refusal: p.certificate.Refusal(listen.TooManyHTTP(p.channel + ".maxConnections")),
		Crowd:   crowd, Crowded: p.certificate.Refusal(listen.CrowdedHTTP(p.channel + maxPerAddress)),
	})
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	p.server = &nethttp.Server{
		Handler:           newHandler(host, s, p.trusted, crowd),
		ReadHeaderTimeout: s.HeaderTimeout,
		ReadTimeout:       s.ReadTimeout,
		// From the end of the header: the body, the wait, the answer.
		WriteTimeout:   s.ReadTimeout + s.WaitTimeout + answerTime,
		IdleTimeout:    s.IdleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		// "OPTIONS *" is answered as every other OPTIONS is.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     listen.ErrorLog(),
	}
	var unasked newcomers
	p.server.ConnState = unasked.note
	p.server.RegisterOnShutdown(unasked.turnAway)
	p.listener, p.served = listener, make(chan struct{})
	go func() {
		defer close(p.served)
		listen.Serve(p.server, refusals{p.certificate.Listener(listener)})
	}()
	p.detach = context.AfterFunc(ctx, func() { p.server.Close() })
	return []string{p.certificate.URL("https", listener.Addr().String())}, nil
}

// Stop lets requests that are being answered finish until ctx ends, and cuts
// off the rest; connections without a request at once.
func (p *plugin) Stop(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	p.detach()
	err := p.server.Shutdown(ctx)
	if err != nil {
		p.server.Close()
	}
	<-p.served
	return err
}

const (
	// contentType is that of every answer.
	contentType    = "application/json; charset=utf-8"
	maxHeaderBytes = 64 << 10
	// maxPerAddress, after the channel's name, is what senders read of that
	// limit.
	maxPerAddress = ".maxConnectionsPerAddress"
	// answerTime is how long a sender may take to read its answer.
	answerTime = 10 * time.Second
)
