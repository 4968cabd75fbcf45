// Package plugintest is a core for the tests of a channel: it serves a plugin in
// the test's own process, takes it through its life as a core does, answers its
// requests, and lets the test play the core's part.
//
//	core := plugintest.Start(t, plugin, plugintest.Options{Config: `{"port": 0}`})
//	address := core.Endpoints()[0]          // what the plugin's Start returned
//	… a client attaches "phone" …
//	mid := core.Deliver("phone", &pluginpb.Message{Text: "hello"})
//	outcome := core.Outcome()               // waits for it
//	publish := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish
//
// Requests are answered as they arrive: the token is "test", sessions and
// generations are made up, a published message is "ok" for its target, state
// and routes are remembered. Options replace single answers. Everything that
// the plugin sent waits in order until the test asks for it. The plugin is
// stopped when the test ends.
//
// It imports nothing of the core and is no judge of rights, queues or resends.
package plugintest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// Patience is how long a test waits for something that the plugin must do.
const Patience = 30 * time.Second

// Options say how the core behaves. The zero value suits most tests.
type Options struct {
	// Channel is the channel's name; "" is the name in the plugin's manifest.
	Channel string
	// Config is the operator's section, JSON; "" is none.
	Config string
	// Token is the relay's token; "" stands for "test".
	Token string
	// WeakToken tells the plugin to listen on loopback only.
	WeakToken bool
	// Withhold refuses the rights that the manifest asks for; else all of them
	// are granted.
	Withhold bool
	// TrustedProxies are CIDRs.
	TrustedProxies []string
	// Announcements are in each session, name → JSON.
	Announcements map[string]string
	// State is what the plugin kept in an earlier life.
	State map[string]string
	// Publish answers a message whose credentials are good. It runs in a
	// goroutine of its own and may wait. nil: the next mid and "ok" for a
	// personal target, nothing for a group.
	Publish func(*pluginpb.Publish) *pluginpb.PublishResult
	// Command answers a client's command whose credentials are good. nil: it is
	// unknown.
	Command func(*pluginpb.ClientCommand) *pluginpb.CommandResult
	// Answer, if set, is asked first for every request; nil means the usual
	// answer. The request's id is filled in. It must not block.
	Answer func(*pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope
}

// Core is the core of one plugin. Its methods belong to the test's goroutine.
type Core struct {
	t       testing.TB
	options Options
	rights  []sdk.Right
	client  pluginpb.PluginClient
	// hangUp ends the stream; ended is closed once it has.
	hangUp    context.CancelFunc
	ended     chan struct{}
	endpoints []string

	sending sync.Mutex
	stream  grpc.BidiStreamingClient[pluginpb.CoreFrame, pluginpb.PluginFrame]
	answers sync.WaitGroup

	mu      sync.Mutex
	seen    []*pluginpb.PluginEnvelope
	current *pluginpb.PluginEnvelope // that is being answered; nil if none is
	news    chan struct{}            // closed and replaced when seen grows
	book    book
	stopped bool
}

// Start takes plugin through Describe, Configure, Exchange, Declare and Start.
// The test fails if one of them does.
func Start(t testing.TB, plugin sdk.Plugin, o Options) *Core {
	t.Helper()
	c := dial(t, plugin, o)
	for _, d := range c.configure() {
		if d.GetSeverity() == pluginpb.Severity_SEVERITY_ERROR {
			t.Fatalf("configure: %s: %s", d.GetPath(), d.GetMessage())
		}
	}
	c.exchange()
	c.Await(func(e *pluginpb.PluginEnvelope) bool { return e.GetDeclare() != nil })
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	started, err := c.client.Start(ctx, &pluginpb.StartRequest{})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	if started.GetError() != "" {
		t.Fatalf("start: %s", started.GetError())
	}
	c.endpoints = started.GetEndpoints()
	return c
}

// Configure runs Describe and Configure alone and returns the diagnostics.
func Configure(t testing.TB, plugin sdk.Plugin, o Options) []*pluginpb.Diagnostic {
	t.Helper()
	return dial(t, plugin, o).configure()
}

func dial(t testing.TB, plugin sdk.Plugin, o Options) *Core {
	t.Helper()
	if o.Token == "" {
		o.Token = "test"
	}
	c := &Core{t: t, options: o, news: make(chan struct{}), book: newBook(o.State)}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(8<<20), grpc.WaitForHandlers(true))
	sdk.Register(server, plugin)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(8<<20)))
	if err != nil {
		t.Fatalf("connect to the plugin: %v", err)
	}
	c.client = pluginpb.NewPluginClient(conn)
	t.Cleanup(func() {
		if c.stream != nil {
			c.Stop()
			c.Break()
		}
		_ = conn.Close()
		server.Stop()
		serving.Wait()
	})
	return c
}

func (c *Core) configure() []*pluginpb.Diagnostic {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	manifest, err := c.client.Describe(ctx, &pluginpb.DescribeRequest{Protocol: pluginpb.ProtocolVersion})
	if err != nil {
		c.t.Fatalf("describe: %v", err)
	}
	if c.options.Channel == "" {
		c.options.Channel = manifest.GetName()
	}
	if !c.options.Withhold {
		c.rights = manifest.GetRights()
	}
	request := &pluginpb.ConfigureRequest{
		Channel:        c.options.Channel,
		Config:         []byte(c.options.Config),
		WeakToken:      c.options.WeakToken,
		Rights:         c.rights,
		TrustedProxies: c.options.TrustedProxies,
	}
	if c.granted(sdk.MasterToken) {
		request.MasterToken = c.options.Token
	}
	configured, err := c.client.Configure(ctx, request)
	if err != nil {
		c.t.Fatalf("configure: %v", err)
	}
	return configured.GetDiagnostics()
}

// exchange opens the stream and reads it until it ends.
func (c *Core) exchange() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c.hangUp = cancel
	c.ended = make(chan struct{})
	stream, err := c.client.Exchange(ctx)
	if err != nil {
		cancel()
		c.t.Fatalf("exchange: %v", err)
	}
	c.stream = stream
	go func() {
		defer close(c.ended)
		for {
			frame, err := stream.Recv()
			if err != nil {
				return
			}
			for _, e := range frame.GetEnvelopes() {
				c.judge(e)
				c.arrived(e)
				c.answer(e)
				c.note(e)
			}
		}
	}()
}

// Endpoints are what the plugin's Start returned.
func (c *Core) Endpoints() []string { return c.endpoints }

// Health returns nil or the reason that the plugin gives.
func (c *Core) Health() error {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	health, err := c.client.Health(ctx, &pluginpb.HealthRequest{})
	if err != nil {
		c.t.Fatalf("health: %v", err)
	}
	if !health.GetHealthy() {
		return &sdk.Error{Code: sdk.CodeUnavailable, Message: health.GetReason()}
	}
	return nil
}

// Stop drains the plugin, which then ends the stream.
func (c *Core) Stop() {
	c.t.Helper()
	if c.stopped {
		return
	}
	c.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	_, err := c.client.Stop(ctx, &pluginpb.StopRequest{DeadlineMs: 5000})
	if err != nil {
		select {
		case <-c.ended: // by Break: the plugin has stopped by itself
		default:
			c.t.Errorf("stop: %v", err)
		}
	}
}

// Break ends the stream, as a core does that dies.
func (c *Core) Break() {
	c.hangUp()
	<-c.ended
	c.answers.Wait()
}
