// Command smtp is an mpush channel between mail and messages, both ways.
//
//   - main.go: what the channel is, and its life
//   - config.go: the operator's section
//   - server.go, conn.go, reply.go: mail that comes in, and what its sender is told
//   - parse.go, html.go: what of a mail is the message
//   - send.go: a message on its way out, and what the answers mean
//   - compose.go: the mail that is made of it
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"time"

	"mpush/sdk"
)

type channel struct {
	settings settings
	// withoutToken: whoever can connect may send. It is an argument and no
	// setting, since the right for it is asked for before settings are read.
	withoutToken bool
	certificate  *tls.Certificate // for clients; nil: none
	roots        *x509.CertPool   // for servers; nil: the system's; tests have their own

	server   server
	sending  chan struct{} // holds one for each connection to the mail server
	failures sdk.Failures
}

var (
	_ sdk.Configurable   = (*channel)(nil)
	_ sdk.Validator      = (*channel)(nil)
	_ sdk.Declarer       = (*channel)(nil)
	_ sdk.Starter        = (*channel)(nil)
	_ sdk.Stopper        = (*channel)(nil)
	_ sdk.Egress         = (*channel)(nil)
	_ sdk.HealthReporter = (*channel)(nil)
)

func newChannel() *channel { return &channel{settings: defaults()} }

// Describe tells what the channel is.
func (c *channel) Describe() sdk.Manifest {
	m := sdk.Manifest{
		Name:        "smtp",
		Version:     "1.0",
		Description: "Mails to NAME@mpush are messages, and messages to configured receivers go out as mails.",
		Roles:       []sdk.Role{sdk.RoleIngress, sdk.RoleEgress},
		Statuses:    []sdk.Explained{{Word: "NAME-ok", Meaning: "The mail server has taken the mail."}},
	}
	if c.withoutToken {
		m.Rights = []sdk.Right{sdk.AcceptWithoutToken}
	}
	return m
}

const (
	retry    = 10 * time.Second
	retryMax = 30 * time.Minute
)

// Declare names the receivers that get mail. Their routes stand beside others: a
// receiver may have a mailbox and an app.
func (c *channel) Declare(context.Context, sdk.Host) ([]sdk.Route, error) {
	c.sending = make(chan struct{}, c.settings.Out.Connections)
	var routes []sdk.Route
	for _, r := range c.settings.Out.Receivers {
		routes = append(routes, sdk.Route{
			Receiver: r.Name,
			Group:    r.Group,
			Address:  []byte(r.Address), // it comes back with each delivery
			Policy:   sdk.Policy{Retry: retry, RetryMax: retryMax},
		})
	}
	return routes, nil
}

// Start listens for mail, if it is to.
func (c *channel) Start(ctx context.Context, host sdk.Host) (endpoints []string, err error) {
	if c.settings.In.Listen == "" {
		return nil, nil
	}
	address, err := c.server.start(ctx, host, c.settings.In, c.certificate, c.withoutToken)
	if err != nil {
		return nil, fmt.Errorf("listen for mail: %w", err)
	}
	return []string{address}, nil
}

// Stop finishes the mails that are being taken and closes all connections.
func (c *channel) Stop(ctx context.Context) error { return c.server.stop(ctx) }

// Health tells which receivers get no mail, and why.
func (c *channel) Health(context.Context) error { return c.failures.Err() }

func main() {
	c := newChannel()
	flag.BoolVar(&c.withoutToken, "without-token", false,
		`take mail from whoever can connect; it needs "rights": ["accept-without-token"]`)
	flag.Parse()
	sdk.Serve(c)
}
