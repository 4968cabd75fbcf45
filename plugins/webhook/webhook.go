// Package webhook is the channel of receivers that are HTTP servers: each
// message is a request to the url that the operator configured for the
// receiver, and a 2xx answer is the receiver's ack. Queues, pauses and resends
// are the core's; the channel keeps nothing but a note of clients that do not
// want to be asked again.
//
//   - config.go: the operator's section
//   - client.go: one attempt, from the delivery to what became of it
//   - form.go, sign.go: the request
//   - redirect.go: where else the request may go, and with what
//   - health.go: which clients fail, and since when
//   - disabled.go: clients that answered 410
package webhook

import (
	"context"
	"time"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// New returns a fresh instance of the channel.
func New() sdk.Plugin { return &plugin{now: time.Now} }

type plugin struct {
	now func() time.Time

	timeout time.Duration // of an attempt; 0: the retry interval
	policy  sdk.Policy
	order   []*client // as configured
	clients map[string]*client
	// transports has one for each proxy, so that its connections are shared.
	transports map[dial.Proxy]*dial.Transport

	host sdk.Host
}

var (
	_ sdk.Configurable   = (*plugin)(nil)
	_ sdk.Configurer     = (*plugin)(nil)
	_ sdk.Declarer       = (*plugin)(nil)
	_ sdk.Egress         = (*plugin)(nil)
	_ sdk.Stopper        = (*plugin)(nil)
	_ sdk.HealthReporter = (*plugin)(nil)
)

// Describe tells what the channel is.
func (p *plugin) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name:        "webhook",
		Version:     "2.1",
		Description: "Receivers are HTTP servers that get each message as a request.",
		Rights:      []sdk.Right{sdk.MasterToken, sdk.TakeNames},
		Statuses: []sdk.Explained{
			{Word: "wait", Meaning: "A request with it is under way, or has failed and will be made again."},
			{Word: "ok", Meaning: "The endpoint has answered with a 2xx status."},
		},
	}
}

// Declare names the configured clients. Those that are disabled keep their names
// and their queues, so that nobody else gets what is theirs.
func (p *plugin) Declare(ctx context.Context, host sdk.Host) ([]sdk.Route, error) {
	p.host = host
	if err := p.readDisabled(ctx); err != nil {
		return nil, err
	}
	var routes []sdk.Route
	for _, c := range p.order {
		routes = append(routes, sdk.Route{Receiver: c.name, Group: c.group, Policy: p.policy})
	}
	return routes, nil
}

// Stop closes the connections. The attempts have ended by then.
func (p *plugin) Stop(context.Context) error {
	for _, t := range p.transports {
		t.CloseIdleConnections()
	}
	return nil
}
