// Command mqtt is an mpush channel between an MQTT 5 broker and messages, both
// ways.
//
//   - main.go: what the channel is, and its life
//   - config.go, filter.go: the operator's section
//   - broker.go: the connection
//   - publish.go: messages that go out to topics
//   - inbox.go, take.go, payload.go: what comes from topics
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"time"

	"mpush/sdk"
)

type channel struct {
	settings settings
	// withoutToken: what comes from the broker is published without one. It is an
	// argument and no setting, since the right for it is asked for before settings
	// are read.
	withoutToken bool

	clientID  string
	receivers map[string]receiver
	broker    *broker
	inbox     *inbox
	failures  sdk.Failures

	host    sdk.Host
	working chan struct{} // closed when nothing is taken any more
	endWork context.CancelFunc
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

func newChannel() *channel { return &channel{settings: defaults(), inbox: newInbox()} }

// Describe tells what the channel is.
func (c *channel) Describe() sdk.Manifest {
	m := sdk.Manifest{
		Name:        "mqtt",
		Version:     "1.0",
		Description: "Messages to configured receivers go to topics of an MQTT broker, and what comes from topics is messages.",
		Roles:       []sdk.Role{sdk.RoleIngress, sdk.RoleEgress},
		Statuses:    []sdk.Explained{{Word: "NAME-ok", Meaning: "The broker has taken the message (QoS 1), or it was sent to it (QoS 0)."}},
	}
	if c.withoutToken {
		m.Rights = []sdk.Right{sdk.AcceptWithoutToken}
	}
	return m
}

const (
	retry    = 3 * time.Second
	retryMax = 5 * time.Minute
)

// clientIDKey is where the channel keeps the name by which the broker knows it:
// under another it would not get what came while it was away.
const clientIDKey = "client-id"

// Declare names the receivers that have topics. Their routes stand beside others:
// a receiver may have a topic and an app.
func (c *channel) Declare(ctx context.Context, host sdk.Host) ([]sdk.Route, error) {
	c.host = host
	if err := c.identify(ctx); err != nil {
		return nil, err
	}
	c.receivers = make(map[string]receiver)
	var routes []sdk.Route
	for _, r := range c.settings.Receivers {
		c.receivers[r.Name] = r
		routes = append(routes, sdk.Route{Receiver: r.Name, Group: r.Group, Policy: sdk.Policy{Retry: retry, RetryMax: retryMax}})
	}
	return routes, nil
}

func (c *channel) identify(ctx context.Context) error {
	if c.clientID = c.settings.ClientID; c.clientID != "" {
		return nil
	}
	kept, err := c.host.State(ctx, clientIDKey)
	if err != nil {
		return fmt.Errorf("read the client id: %w", err)
	}
	if c.clientID = string(kept[clientIDKey]); c.clientID != "" {
		return nil
	}
	c.clientID = "mpush-" + rand.Text()[:16] // 22 bytes: more than 23 need not be served
	if err := c.host.SetState(ctx, clientIDKey, []byte(c.clientID)); err != nil {
		return fmt.Errorf("keep the client id: %w", err)
	}
	return nil
}

// Start connects in the background: a broker that is away is no reason for the
// channel to be down.
func (c *channel) Start(ctx context.Context, _ sdk.Host) ([]string, error) {
	var err error
	if c.broker, err = connect(ctx, c); err != nil {
		return nil, err
	}
	ctx, c.endWork = context.WithCancel(ctx)
	c.working = make(chan struct{})
	go func() {
		defer close(c.working)
		c.takeAll(ctx)
	}()
	return nil, nil
}

// Stop takes nothing more, acknowledges what was taken and leaves the broker.
func (c *channel) Stop(ctx context.Context) error {
	if c.broker == nil {
		return nil
	}
	c.endWork()
	<-c.working
	if len(c.settings.Subscribe) > 0 {
		select { // acks are sent at intervals
		case <-time.After(3 * ackInterval):
		case <-ctx.Done():
		}
	}
	return c.broker.close(ctx)
}

// Health tells what does not get through, and why.
func (c *channel) Health(context.Context) error {
	if c.broker != nil {
		if err := c.broker.trouble(); err != nil {
			return err
		}
	}
	return c.failures.Err()
}

func main() {
	c := newChannel()
	flag.BoolVar(&c.withoutToken, "without-token", false,
		`publish what comes from the broker; it needs "rights": ["accept-without-token"]`)
	flag.Parse()
	sdk.Serve(c)
}
