package foreign

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
)

// noChannel is all that go-plugin must know of a plugin to start, ping and stop it.
type noChannel struct{ plugin.NetRPCUnsupportedPlugin }

func (noChannel) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (noChannel) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// IsGoPlugin checks that go-plugin's own client, which mpush wraps, starts a
// program as a plugin, pings it, and ends it by asking it to.
func IsGoPlugin(t *testing.T, program string) {
	t.Helper()
	// go-plugin passes its own stdin on, whose end would be the core's.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func(stdin *os.File) { os.Stdin = stdin }(os.Stdin)
	os.Stdin = read
	defer write.Close()
	defer read.Close()
	command := exec.Command(program)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: pluginpb.ProtocolVersion, MagicCookieKey: pluginpb.CookieKey, MagicCookieValue: pluginpb.CookieValue},
		Plugins:          plugin.PluginSet{pluginpb.PluginName: noChannel{}},
		Cmd:              command,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		StartTimeout:     Patience,
		Logger:           hclog.NewNullLogger(),
	})
	defer client.Kill()
	connection, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := connection.Ping(); err != nil {
		t.Errorf("health: %v", err)
	}
	client.Kill() // by Shutdown; by SIGKILL if that has no effect
	if got := command.ProcessState.ExitCode(); got != 0 {
		t.Errorf("Shutdown: exit code %d", got)
	}
}
