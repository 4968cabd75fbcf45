package sdk_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// Who registers and then registers again, or unregisters, means the last.
func TestCommandsOfOneReceiverAreAnsweredInTheirOrder(t *testing.T) {
	const commands = 100
	var mu sync.Mutex
	var order []string
	release := make(chan struct{})
	p := &probe{command: func(_ context.Context, c *sdk.Command) (string, error) {
		if c.Receiver == "other" {
			close(release) // one that waits holds up nobody else
			return "", nil
		}
		<-release
		mu.Lock()
		defer mu.Unlock()
		order = append(order, c.Name)
		return "", nil
	}}
	core := plugintest.Start(t, p, plugintest.Options{})
	var want []string
	for id := range uint64(commands) {
		name := fmt.Sprint("DO", id)
		want = append(want, name)
		core.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{Id: id + 1, Command: name, Receiver: "phone"}}})
	}
	core.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{Id: commands + 1, Command: "DO", Receiver: "other"}}})
	for range commands + 1 {
		plugintest.Next[*pluginpb.PluginEnvelope_CommandReply](core)
	}
	if !slices.Equal(order, want) {
		t.Errorf("answered %v", order)
	}
}
