package conformance

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"mpush/sdk/pluginpb"
)

// registrar catches the server that the sdk makes of a plugin.
type registrar struct{ server pluginpb.PluginServer }

func (r *registrar) RegisterService(_ *grpc.ServiceDesc, server any) {
	r.server = server.(pluginpb.PluginServer)
}

// guest is a plugin in this process, reached through memory.
type guest struct {
	server  *grpc.Server
	conn    *grpc.ClientConn
	serving sync.WaitGroup
	once    sync.Once
	done    chan struct{}
}

// host serves a plugin.
func host(plugin pluginpb.PluginServer) (instance, error) {
	const bufferBytes, maxBytes = 1 << 20, 8 << 20
	listener := bufconn.Listen(bufferBytes)
	g := &guest{server: grpc.NewServer(grpc.MaxRecvMsgSize(maxBytes), grpc.WaitForHandlers(true)), done: make(chan struct{})}
	pluginpb.RegisterPluginServer(g.server, plugin)
	g.serving.Go(func() { _ = g.server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)))
	if err != nil {
		g.server.Stop()
		g.serving.Wait()
		return nil, err
	}
	g.conn = conn
	return g, nil
}

func (g *guest) rpc() pluginpb.PluginClient { return pluginpb.NewPluginClient(g.conn) }
func (g *guest) pid() int                   { return 0 }
func (g *guest) ended() <-chan struct{}     { return g.done }
func (g *guest) farewell() (string, []int)  { return "", nil }
func (g *guest) hangUp()                    {}
func (g *guest) goodbye()                   {}
func (g *guest) vanish()                    { g.close() }
func (g *guest) kill()                      { g.close() }
func (g *guest) output() string             { return "" }
func (g *guest) shaken() (string, []string) { return "", nil }

func (g *guest) close() {
	g.once.Do(func() {
		_ = g.conn.Close()
		g.server.Stop()
		g.serving.Wait()
		close(g.done)
	})
}
