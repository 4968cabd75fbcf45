package supervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/sdk/pluginpb"
)

const (
	// maxReceiveBytes is above the 4 MiB that other sides of a connection
	// commonly keep to; frames stay below 3 MiB.
	maxReceiveBytes = 5 << 20
	windowBytes     = 1 << 20
	// maxHeaderBytes bounds what comes besides messages: the text of an error.
	maxHeaderBytes = 64 << 10
)

// instance is one started plugin that has shaken hands.
type instance interface {
	rpc() pluginpb.PluginClient
	pid() int
	// exited is closed when the process has ended and its output is read.
	exited() <-chan struct{}
	// exitError says how it ended; valid then.
	exitError() error
	// close ends the process, after a grace in which it may exit by itself and
	// which ctx shortens, and waits until nothing of it is left. Called once.
	close(ctx context.Context, grace time.Duration)
}

// launchFunc starts an instance. When ctx ends it gives up.
type launchFunc func(ctx context.Context, spec Spec) (instance, error)

// pluginInstance is an instance that go-plugin connects.
type pluginInstance struct {
	run    *processRunner
	client *goplugin.Client
	conn   goplugin.ClientProtocol
	grpc   pluginpb.PluginClient
}

// launch starts a plugin with its socket under dir. It must be connected before
// the time for that is over or ctx ends.
func launch(ctx context.Context, spec Spec, dir string, opts *Options) (instance, error) {
	run := newProcessRunner(spec, opts.Logger.With("channel", spec.Channel), opts.Redact)
	limit, versions := opts.Timeouts.Handshake, pluginpb.Spoken(opts.Protocol)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// Killing is what makes each of go-plugin's steps return.
	stop := context.AfterFunc(ctx, run.kill)
	defer stop()

	i := &pluginInstance{run: run, client: newClient(run, dir, limit, versions)}
	err := i.connect()
	run.release()
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		reason := err
		if run.proc != nil {
			// A plugin that is about to die of itself may say why.
			select {
			case <-run.proc.done:
			case <-ctx.Done():
			case <-time.After(opts.Timeouts.Grace):
			}
			if reason = run.refuse(versions); reason == nil {
				reason = run.reason(ctx, err)
			}
		}
		i.close(ctx, 0)
		return nil, reason
	}
	return i, nil
}

// newClient makes a client of go-plugin, which lives for one start.
func newClient(run *processRunner, dir string, limit time.Duration, versions pluginpb.Versions) *goplugin.Client {
	served := make(map[int]goplugin.PluginSet)
	for version := versions.Oldest; version <= versions.Newest; version++ {
		served[int(version)] = goplugin.PluginSet{pluginpb.PluginName: clientPlugin{}}
	}
	return goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			MagicCookieKey:   pluginpb.CookieKey,
			MagicCookieValue: pluginpb.CookieValue,
		},
		VersionedPlugins: served,
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			run.env, run.dir = cmd.Env, dir
			return run, nil
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         !run.spec.DisableMTLS,
		SkipHostEnv:      true,
		StartTimeout:     2 * limit, // ours comes first
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       syncedOutput{run, 0},
		SyncStderr:       syncedOutput{run, 1},
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: dir},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithContextDialer(run.dial),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)),
			grpc.WithMaxHeaderListSize(maxHeaderBytes),
			grpc.WithInitialWindowSize(windowBytes),
			grpc.WithInitialConnWindowSize(windowBytes),
			grpc.WithChainStreamInterceptor(refuseBroker),
		},
	})
}

// connect makes go-plugin start the process and connect to it.
func (i *pluginInstance) connect() error {
	conn, err := i.client.Client()
	if err != nil {
		return err
	}
	i.conn = conn
	raw, err := conn.Dispense(pluginpb.PluginName)
	if err != nil {
		return err
	}
	i.grpc = raw.(pluginpb.PluginClient)
	return nil
}

func (i *pluginInstance) rpc() pluginpb.PluginClient { return i.grpc }
func (i *pluginInstance) pid() int                   { return i.run.proc.pid }
func (i *pluginInstance) exited() <-chan struct{}    { return i.run.proc.done }
func (i *pluginInstance) exitError() error           { return i.run.exitError() }

func (i *pluginInstance) close(ctx context.Context, grace time.Duration) {
	if proc := i.run.proc; proc != nil {
		hungUp := make(chan struct{})
		go func() {
			defer close(hungUp)
			if grace > 0 && i.conn != nil {
				proc.closeStdin()
				_ = i.conn.Close() // asks the server to end; returns at the latest with it
			}
		}()
		if grace > 0 {
			timer := time.NewTimer(grace)
			select {
			case <-proc.done:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		proc.kill()
		<-proc.done
		<-hungUp
	}
	i.client.Kill()
	if i.run.dir != "" {
		_ = os.RemoveAll(i.run.dir)
	}
}

// syncedOutput logs what a plugin prints after go-plugin, in the plugin, has
// put pipes in place of its standard streams. If nobody read them the plugin
// would stop at its next line.
type syncedOutput struct {
	run    *processRunner
	stream int
}

func (o syncedOutput) Write(p []byte) (int, error) { return o.run.synced[o.stream].Write(p) }

// clientPlugin makes the protocol's client.
type clientPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
}

var _ goplugin.GRPCPlugin = clientPlugin{}

func (clientPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pluginpb.NewPluginClient(conn), nil
}

func (clientPlugin) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return fmt.Errorf("the core serves no plugin")
}

// refuseBroker keeps go-plugin's broker, which nobody needs, from opening its
// stream: there a plugin could make the core hold connections.
func refuseBroker(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method == "/plugin.GRPCBroker/StartStream" {
		return nil, status.Error(codes.Unimplemented, "the core uses no broker")
	}
	return streamer(ctx, desc, cc, method, opts...)
}
