package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"mpush/sdk/pluginpb"
)

// debugPatience is every step's time for a plugin that somebody steps through.
const debugPatience = 24 * time.Hour

// errReattached is how the life of a plugin ends whose process is not ours.
var errReattached = errors.New("the plugin that was started by hand has ended")

// attachedInstance is a plugin that somebody has started by hand, in a debugger
// perhaps: it is connected to and never killed.
type attachedInstance struct {
	conn *grpc.ClientConn
	grpc pluginpb.PluginClient
	done chan struct{} // closed when the connection is over
}

// reattach connects to the socket of a running plugin. It does not wait for one
// that is not there yet: the channel's restarts do.
func reattach(ctx context.Context, spec Spec, limit time.Duration) (instance, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", spec.Reattach)
	}
	probe, err := dial(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("reattach: start the plugin with %s=%s: %w", pluginpb.DebugVariable, spec.Reattach, err)
	}
	_ = probe.Close()
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithIdleTimeout(0),
	)
	if err != nil {
		return nil, fmt.Errorf("reattach: %w", err)
	}
	i := &attachedInstance{conn: conn, grpc: pluginpb.NewPluginClient(conn), done: make(chan struct{})}
	go i.watch()
	return i, nil
}

// watch sees the connection's end: it is not made a second time.
func (i *attachedInstance) watch() {
	defer close(i.done)
	i.conn.Connect()
	up := false
	for {
		switch state := i.conn.GetState(); {
		case state == connectivity.Shutdown, up && state != connectivity.Ready, state == connectivity.TransientFailure:
			return
		case state == connectivity.Ready:
			up = true
			fallthrough
		default:
			i.conn.WaitForStateChange(context.Background(), state) // which close ends
		}
	}
}

func (i *attachedInstance) rpc() pluginpb.PluginClient { return i.grpc }
func (i *attachedInstance) pid() int                   { return 0 }
func (i *attachedInstance) exited() <-chan struct{}    { return i.done }
func (i *attachedInstance) exitError() error           { return errReattached }

func (i *attachedInstance) close(context.Context, time.Duration) {
	_ = i.conn.Close()
	<-i.done
}

// patient are the timeouts for a plugin that stands at a breakpoint.
func (t Timeouts) patient() Timeouts {
	t.Describe, t.Configure, t.Declare, t.Start = debugPatience, debugPatience, debugPatience, debugPatience
	t.Health = debugPatience
	return t
}
