// Package webpush is the channel of browsers and apps that have a web push
// subscription: messages go, encrypted, to the push service that a subscription
// names, and its word is the outcome. That it took a message is no delivery; the
// receiver may confirm it by a command of its own.
//
//   - config.go: the operator's section
//   - keys.go: the VAPID keys, kept for good
//   - command.go, subscription.go: what clients ask for
//   - endpoint.go: which endpoints a client may name
//   - deliver.go, post.go: one message to one push service
//   - payload.go, hints.go: what is sent
//   - gate.go, pulse.go: how many at once, and how it goes
//
// Subscriptions are routes that the core keeps; this channel keeps its keys in
// the core's state and nothing else. Endpoints are chosen by clients: see door
// for what keeps them out of the operator's own network.
package webpush

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// New returns a fresh instance of the channel.
func New() sdk.Plugin {
	return &plugin{settings: defaults(), resolver: net.DefaultResolver, transport: dial.NewTransport}
}

type plugin struct {
	settings settings
	old      oldKeys
	door     door
	// guarded connects to public addresses only, open to any: it is for origins
	// that the operator allows. With a proxy both go through it.
	guarded, open *http.Client

	host  sdk.Host
	keys  pair
	gates gates
	pulse pulse

	// Tests have their own.
	resolver  resolver
	transport func(dial.Proxy, control) *dial.Transport
}

var (
	_ sdk.Configurable   = (*plugin)(nil)
	_ sdk.Configurer     = (*plugin)(nil)
	_ sdk.Declarer       = (*plugin)(nil)
	_ sdk.Stopper        = (*plugin)(nil)
	_ sdk.Egress         = (*plugin)(nil)
	_ sdk.Commander      = (*plugin)(nil)
	_ sdk.HealthReporter = (*plugin)(nil)
)

// Describe tells what the channel is.
func (p *plugin) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name:        "webpush",
		Version:     "2.1",
		Description: "Messages go to browsers and apps by the push services that they subscribed with.",
		Commands:    []string{cmdRegister, cmdRegisterFCM, cmdConfirm, cmdConfirmFCM},
		CommandHelp: []sdk.Explained{
			{Word: cmdRegister, Meaning: "A client hands over its push subscription: its messages come by push, too."},
			{Word: cmdRegisterFCM, Meaning: "The same, by its old name."},
			{Word: cmdConfirm, Meaning: "A client confirms that a push has come."},
			{Word: cmdConfirmFCM, Meaning: "The same, by its old name."},
		},
		Statuses: []sdk.Explained{
			{Word: "NAME-wait", Meaning: "It is being handed to the push service."},
			{Word: "NAME-ok", Meaning: "The push service has taken it."},
			{Word: "NAME-ok-comfirm", Meaning: "The receiver has confirmed the push."},
		},
	}
}

// Declare has the keys ready and announces the public one, before any client is
// let in. The channel configures no receivers.
func (p *plugin) Declare(ctx context.Context, host sdk.Host) ([]sdk.Route, error) {
	p.host = host
	var err error
	if p.keys, err = p.loadKeys(ctx); err != nil {
		return nil, err
	}
	// Clients of mpush 2.1 read the first, the web client the others.
	fields := make(map[string]any)
	for _, name := range []string{"webpushServerKey", "webpushPublicKey", "fcmServerKey"} {
		fields[name] = p.keys.Public
	}
	if err := host.Announce(ctx, fields); err != nil {
		return nil, fmt.Errorf("announce the public key: %w", err)
	}
	return nil, nil
}

// Stop closes connections to push services. What was in flight is over by then.
func (p *plugin) Stop(context.Context) error {
	for _, client := range []*http.Client{p.guarded, p.open} {
		if client != nil {
			client.CloseIdleConnections()
		}
	}
	return nil
}

// Health tells why pushes fail, if they fail for everybody.
func (p *plugin) Health(context.Context) error { return p.pulse.health() }
