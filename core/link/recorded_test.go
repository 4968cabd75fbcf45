package link

import (
	"context"
	"flag"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/recorded"
)

var rewrite = flag.Bool("record", false, "write what core and sdk say today into the recorded session")

// listener hears what a link says. Deliveries and the rest go their own ways, so
// that between them there is no order.
type listener struct {
	t       *testing.T
	frames  <-chan *pluginpb.CoreFrame
	waiting [2][]*pluginpb.CoreEnvelope
}

func way(e *pluginpb.CoreEnvelope) int {
	if e.GetDeliver() != nil {
		return 1
	}
	return 0
}

func (l *listener) hear(want *pluginpb.CoreEnvelope) *pluginpb.CoreEnvelope {
	l.t.Helper()
	queue := &l.waiting[way(want)]
	for len(*queue) == 0 {
		select {
		case frame := <-l.frames:
			for _, e := range frame.GetEnvelopes() {
				l.waiting[way(e)] = append(l.waiting[way(e)], e)
			}
		case <-time.After(30 * time.Second):
			l.t.Fatalf("nothing came, want %v", want)
		}
	}
	e := (*queue)[0]
	*queue = (*queue)[1:]
	if missing := len(want.GetDeliver().GetRoutes()) - len(e.GetDeliver().GetRoutes()); missing > 0 && e.GetDeliver() != nil {
		// The routes of a message go together if the stream's writer has them
		// together. For the plugin it is the same.
		rest := l.hear(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: &pluginpb.Deliver{
			Routes: make([]*pluginpb.DeliverRoute, missing),
		}}})
		if rest.GetDeliver().GetMessage().GetMid() == e.GetDeliver().GetMessage().GetMid() {
			e = proto.CloneOf(e)
			e.GetDeliver().Routes = append(e.GetDeliver().Routes, rest.GetDeliver().GetRoutes()...)
		}
	}
	if reflect.TypeOf(e.GetBody()) != reflect.TypeOf(want.GetBody()) {
		l.t.Fatalf("the core says %v, recorded is %v", e, want)
	}
	return e
}

// end fails if there was more to hear.
func (l *listener) end() {
	if left := append(l.waiting[0], l.waiting[1]...); len(left) > 0 {
		l.t.Errorf("the core has said besides: %v", left)
	}
}

func claim(t *testing.T, c *core) {
	t.Helper()
	if err := c.board.Claim("puppet", []string{"PAIR"}); err != nil {
		t.Fatal(err)
	}
}

// The plugin of a recorded session is understood as it was then.
func TestLinkAnswersTheRecordedPlugin(t *testing.T) {
	c := newCore(t)
	claim(t, c)
	p := c.connect("puppet", pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN)
	l := &listener{t: t, frames: p.plugin.toUs}
	recorded.V1(t).Play(t, recorded.Parts{
		Call: func(name string, _ proto.Message) proto.Message {
			if name == "Start" {
				<-p.declared
				p.link.Ready()
			}
			return nil
		},
		Core:   l.hear,
		Plugin: func(e *pluginpb.PluginEnvelope) *pluginpb.PluginEnvelope { p.say(e); return nil },
	})
	l.end()
}

// tapped is a plugin's client whose stream can be heard.
type tapped struct {
	pluginpb.PluginClient
	core   chan *pluginpb.CoreFrame
	plugin chan *pluginpb.PluginEnvelope
}

type tappedStream struct {
	grpc.BidiStreamingClient[pluginpb.CoreFrame, pluginpb.PluginFrame]
	*tapped
}

func (p *tapped) Exchange(ctx context.Context, options ...grpc.CallOption) (grpc.BidiStreamingClient[pluginpb.CoreFrame, pluginpb.PluginFrame], error) {
	stream, err := p.PluginClient.Exchange(ctx, options...)
	return &tappedStream{stream, p}, err
}

func (s *tappedStream) Send(frame *pluginpb.CoreFrame) error {
	s.core <- frame
	return s.BidiStreamingClient.Send(frame)
}

func (s *tappedStream) Recv() (*pluginpb.PluginFrame, error) {
	frame, err := s.BidiStreamingClient.Recv()
	for _, e := range frame.GetEnvelopes() {
		s.plugin <- e
	}
	return frame, err
}

// serve runs a plugin on the sdk.
func serve(t *testing.T, plugin sdk.Plugin) *tapped {
	t.Helper()
	in := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	sdk.Register(server, plugin)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(in) })
	conn, err := grpc.NewClient("passthrough:///plugin", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return in.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		serving.Wait()
	})
	return &tapped{pluginpb.NewPluginClient(conn), make(chan *pluginpb.CoreFrame, 1000), make(chan *pluginpb.PluginEnvelope, 1000)}
}

// Core and sdk of today hold the recorded session. With -record it is made from
// what they say: the lines of the plugin and the order are what there is.
func TestCoreAndSDKHoldTheRecordedSession(t *testing.T) {
	c := newCore(t)
	claim(t, c)
	p := c.prepare("puppet", pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN)
	puppet := recorded.NewPuppet(t)
	client := serve(t, puppet)
	l := &listener{t: t, frames: client.core}
	parts := recorded.Parts{
		Call: func(name string, request proto.Message) proto.Message {
			if name == "Start" {
				<-p.declared
				p.link.Ready()
			}
			response := recorded.Call(t, client, name, request)
			if name == "Configure" {
				ctx, cancel := context.WithCancel(context.Background())
				go func() { p.ended <- p.link.Run(ctx, client) }()
				t.Cleanup(func() { cancel(); <-p.ended; puppet.Finish() })
			}
			return response
		},
		Core: func(want *pluginpb.CoreEnvelope) *pluginpb.CoreEnvelope {
			said := l.hear(want)
			puppet.Perceive(said)
			return said
		},
		Plugin: func(want *pluginpb.PluginEnvelope) *pluginpb.PluginEnvelope {
			puppet.Do(want)
			select {
			case said := <-client.plugin:
				return said
			case <-time.After(30 * time.Second):
				t.Fatalf("the plugin does not say %v", want)
				return nil
			}
		},
	}
	session := recorded.V1(t)
	if *rewrite {
		session.Record(parts)
		if err := session.Write("../../sdk/recorded/v1/session.jsonl"); err != nil {
			t.Fatal(err)
		}
		return
	}
	session.Play(t, parts)
	l.end()
	if len(client.plugin) > 0 {
		t.Errorf("the plugin has said besides: %v", <-client.plugin)
	}
}
