package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"mpush/sdk/dial"
)

const (
	keepAlive = 30 // seconds
	// sessionTime is how long the broker keeps what comes while the channel is
	// away, in seconds.
	sessionTime = 7 * 24 * 60 * 60
	// maxUnacked is how many messages the broker may have sent that are not on the
	// relay's disk yet.
	maxUnacked = 256
	// ackInterval is how often acks are sent.
	ackInterval = 10 * time.Millisecond
	// Pauses between attempts to connect double from the first to the last.
	firstPause, lastPause = 200 * time.Millisecond, 30 * time.Second
)

// broker is the connection. It is made again when it breaks.
type broker struct {
	manager *autopaho.ConnectionManager
	cancel  context.CancelFunc

	mu        sync.Mutex
	problem   error         // why there is no connection, nil if there is one
	maxPacket int           // what the broker takes, in bytes
	known     chan struct{} // closed while maxPacket is what this connection's broker has said
}

var errNotYet = errors.New("not connected yet")

func newBroker() *broker { return &broker{problem: errNotYet, known: make(chan struct{})} }

// connect begins to connect. ctx is the channel's life.
func connect(ctx context.Context, c *channel) (*broker, error) {
	u, err := url.Parse(c.settings.Broker)
	if err != nil {
		return nil, err
	}
	b := newBroker()
	ctx, b.cancel = context.WithCancel(ctx)
	config := autopaho.ClientConfig{
		ServerUrls:      []*url.URL{u},
		KeepAlive:       keepAlive,
		ConnectUsername: c.settings.Username,
		ConnectPassword: []byte(c.settings.Password),
		ReconnectBackoff: func(attempt int) time.Duration {
			if attempt == 0 {
				return 0
			}
			return min(firstPause<<min(attempt-1, 16), lastPause)
		},
		OnConnectionUp: func(manager *autopaho.ConnectionManager, ack *paho.Connack) {
			b.up(ack)
			if len(c.settings.Subscribe) > 0 {
				go b.subscribe(ctx, manager, c.settings.Subscribe)
			}
		},
		OnConnectionDown: func() bool {
			b.down()
			c.inbox.clear() // it comes again
			return true
		},
		OnConnectError: func(err error) { b.note(connectReason(err)) },
		ClientConfig: paho.ClientConfig{
			ClientID:                   c.clientID,
			PacketTimeout:              c.settings.Timeout,
			EnableManualAcknowledgment: true,
			SendAcksInterval:           ackInterval,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				c.inbox.put(arrival{packet: p.Packet, client: p.Client})
				return true, nil
			}},
			OnServerDisconnect: func(d *paho.Disconnect) {
				b.note(fmt.Errorf("it ended the connection with reason 0x%02x", d.ReasonCode))
			},
		},
	}
	// A session outlives the connection only where something is to come by it.
	config.CleanStartOnInitialConnection = len(c.settings.Subscribe) == 0
	if len(c.settings.Subscribe) > 0 {
		config.SessionExpiryInterval = sessionTime
		config.ConnectPacketBuilder = func(packet *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			most := uint16(maxUnacked)
			packet.Properties.ReceiveMaximum = &most
			return packet, nil
		}
	}
	b.manager, err = autopaho.NewConnection(ctx, config)
	return b, err
}

func (b *broker) up(ack *paho.Connack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problem, b.maxPacket = nil, math.MaxInt
	if ack.Properties != nil && ack.Properties.MaximumPacketSize != nil {
		b.maxPacket = int(*ack.Properties.MaximumPacketSize)
	}
	close(b.known)
}

// down follows each up.
func (b *broker) down() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problem = errors.New("the connection broke")
	b.known = make(chan struct{}) // it may come back with another limit
}

func (b *broker) note(problem error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problem = problem
}

// trouble is nil while the channel is connected and subscribed, else why not.
func (b *broker) trouble() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problem == nil {
		return nil
	}
	return fmt.Errorf("the broker: %w", b.problem)
}

// packetLimit waits for a connection, and for what its broker takes: it serves a moment
// before that is known.
func (b *broker) packetLimit(ctx context.Context) (int, error) {
	b.mu.Lock()
	known := b.known
	b.mu.Unlock()
	select {
	case <-known:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.maxPacket, nil
}

// subscribe asks for the configured topics, anew with each connection: the
// broker may have forgotten.
func (b *broker) subscribe(ctx context.Context, manager *autopaho.ConnectionManager, all []subscription) {
	request := &paho.Subscribe{}
	for _, one := range all {
		options := paho.SubscribeOptions{Topic: one.Filter, QoS: 1, NoLocal: true, RetainHandling: 2}
		if one.Retained {
			options.RetainHandling = 1 // when the subscription is new, and not with each connection
		}
		request.Subscriptions = append(request.Subscriptions, options)
	}
	ack, err := manager.Subscribe(ctx, request)
	if err == nil || ctx.Err() != nil {
		return
	}
	if ack == nil { // there will be another connection
		b.note(errors.New("the connection broke while subscribing"))
		return
	}
	for i, code := range ack.Reasons {
		if code >= 0x80 {
			b.note(fmt.Errorf("it refused subscribe[%d] with reason 0x%02x", i, code))
			return
		}
	}
}

// close leaves the broker in good order.
func (b *broker) close(ctx context.Context) error {
	defer b.cancel()
	return b.manager.Disconnect(ctx)
}

// connectReason is why there is no connection, without what the broker wrote.
func connectReason(err error) error {
	if refused, ok := errors.AsType[*autopaho.ConnackError](err); ok {
		return fmt.Errorf("it refused the connection with reason 0x%02x: check username, password and clientID", refused.ReasonCode)
	}
	return errors.New(dial.Reason(err))
}
