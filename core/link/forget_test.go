package link

import (
	"testing"

	"mpush/sdk/pluginpb"
)

// What a receiver has asked for before it unregisters must not bring it back.
func TestUnregisterEndsTheReceiversCommands(t *testing.T) {
	c := newCore(t)
	if err := c.board.Claim("push", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	in, push := c.connect("in"), c.connect("push")
	push.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{}}})
	push.hear() // its stream is open
	session, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	credentials := &pluginpb.Credentials{Auth: session}
	in.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{
		Credentials: credentials, Command: "SUBSCRIBE", Data: []byte(`{}`),
	}}})
	push.hear()
	in.say(&pluginpb.PluginEnvelope{RequestId: 2, Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{Credentials: credentials}}})
	if r := in.hear().GetCommandResult(); r.GetRequestId() != 1 || r.GetError() != nil || r.GetInfo() != "" {
		t.Errorf("the command is answered with %v", r)
	}
	if d := in.hear().GetDone(); d.GetRequestId() != 2 || d.GetError() != nil {
		t.Errorf("unregister is answered with %v", d)
	}
	push.say(&pluginpb.PluginEnvelope{RequestId: 3, Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: "ann", Address: []byte("x")}}})
	if d := push.hear().GetDone(); d.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN {
		t.Errorf("a late registration is answered with %v", d)
	}
}
