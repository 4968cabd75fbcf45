package link

import (
	"fmt"
	"strings"
	"testing"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/relay"
	"mpush/sdk/pluginpb"
)

func TestResendsOfAnUnreadDeliveryAreOne(t *testing.T) {
	l := New(Options{})
	m := &message.Message{MID: 1}
	for attempt := range 100 {
		d := delivery("a", m)
		d.Attempt = attempt
		l.Send([]engine.Effect{d})
	}
	frame := &pluginpb.CoreFrame{}
	l.out.take(frame)
	if routes := frame.Envelopes[0].GetDeliver().Routes; len(frame.Envelopes) != 1 || len(routes) != 1 || routes[0].Attempt != 0 {
		t.Errorf("frame %v", frame)
	}
}

func TestRecallReachesThePluginThatHasTheMessageWhileItsResendWaits(t *testing.T) {
	l := New(Options{})
	m := &message.Message{MID: 1}
	l.Send([]engine.Effect{delivery("a", m)})
	l.out.take(&pluginpb.CoreFrame{}) // the plugin has it
	again := delivery("a", m)
	again.Attempt = 1
	l.Send([]engine.Effect{again, &engine.Recall{Receiver: "a", Generation: 1, MID: 1}})
	frame := &pluginpb.CoreFrame{}
	l.out.take(frame)
	if len(frame.Envelopes) != 1 || frame.Envelopes[0].GetRecall() == nil {
		t.Errorf("frame %v", frame)
	}
}

func TestRequestIDMayBeUsedAgain(t *testing.T) {
	c := newCore(t)
	p := c.connect("p")
	p.say(declare(1))
	p.hear()
	p.say(publish(1, withToken(), ""))
	if e := p.hear().GetPublished().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("refused with %v", e)
	}
	p.say(declare(2))
	if e := p.hear().GetDone().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("a second declaration: %v", e)
	}
	p.say(publish(3, withToken(), "nobody"))
	if p.hear().GetPublished().GetRequestId() != 3 {
		t.Error("the stream has ended")
	}
}

func TestSessionMakesNoOther(t *testing.T) {
	c := newCore(t)
	p := c.connect("p")
	ann, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	p.say(attach(1, &pluginpb.Credentials{Auth: ann}, "bob"))
	if e := p.hear().GetSession().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED {
		t.Errorf("attach: %v", e)
	}
	p.say(&pluginpb.PluginEnvelope{RequestId: 2, Body: &pluginpb.PluginEnvelope_Authenticate{Authenticate: &pluginpb.Authenticate{
		Credentials: &pluginpb.Credentials{Auth: ann}, Name: "bob",
	}}})
	if e := p.hear().GetSession().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED {
		t.Errorf("authenticate: %v", e)
	}
}

func TestChannelStateIsBounded(t *testing.T) {
	c := newCore(t)
	p := c.connect("p")
	value := make([]byte, 60<<10)
	put := func(id uint64, key string, value []byte) pluginpb.ErrorCode {
		p.say(&pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{Key: key, Value: value}}})
		return p.hear().GetDone().GetError().GetCode()
	}
	stored := 0
	for i := range 40 {
		switch code := put(uint64(i+1), fmt.Sprint("k", i), value); code {
		case pluginpb.ErrorCode_ERROR_CODE_UNSPECIFIED:
			stored++
		case pluginpb.ErrorCode_ERROR_CODE_LIMIT:
		default:
			t.Fatal(code)
		}
	}
	if want := relay.MaxStateBytes / len(value); stored != want {
		t.Errorf("%d entries were stored, want %d", stored, want)
	}
	if code := put(100, "k0", nil); code != 0 {
		t.Errorf("deleting: %v", code)
	}
	if code := put(101, "other", value); code != 0 {
		t.Errorf("after a deletion: %v", code)
	}
}

func TestWhatOnePluginSaysToAnotherIsBounded(t *testing.T) {
	c := newCore(t)
	if err := c.board.Claim("push", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	in, push := c.connect("in"), c.prepare("push")
	push.plugin.toUs = make(chan *pluginpb.CoreFrame, 2*maxCalls) // nothing waits for its reader
	c.run(push)
	push.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{}}})
	push.hear() // its stream is open
	session, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	command := func(id uint64, name string, data []byte) *pluginpb.PluginEnvelope {
		return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{
			Credentials: &pluginpb.Credentials{Auth: session}, Command: name, Data: data,
		}}}
	}
	in.say(command(1, "SUBSCRIBE", []byte(`"`+strings.Repeat("x", message.MaxSize)+`"`)))
	if e := in.hear().GetCommandResult().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE {
		t.Errorf("large data: %v", e)
	}
	in.say(command(2, strings.Repeat("x", 63)+"é", nil)) // cut in the middle of a character
	if e := in.hear().GetCommandResult().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNKNOWN_COMMAND {
		t.Errorf("long name: %v", e)
	}
	in.say(command(3, "SUBSCRIBE", nil))
	asked := push.hear().GetCommand()
	push.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{
		Id: asked.Id, Info: strings.Repeat("é", 1<<20),
	}}})
	if info := in.hear().GetCommandResult().GetInfo(); len(info) > maxInfoBytes+8 || !strings.HasSuffix(info, "é…") {
		t.Errorf("%d bytes of info", len(info))
	}
	for id := range uint64(maxCalls + 1) {
		in.say(command(10+id, "SUBSCRIBE", nil))
	}
	if r := in.hear().GetCommandResult(); r.GetRequestId() != 10+maxCalls || r.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE {
		t.Errorf("one call too many: %v", r)
	}
	// When these are answered there is room again, for so many bytes alone.
	for range maxCalls {
		push.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: push.hear().GetCommand().Id}}})
		in.hear()
	}
	large := []byte(`"` + strings.Repeat("x", message.MaxSize-2) + `"`)
	const room = maxCallBytes / message.MaxSize
	for id := range uint64(room + 1) {
		in.say(command(10_000+id, "SUBSCRIBE", large))
	}
	if r := in.hear().GetCommandResult(); r.GetRequestId() != 10_000+room || r.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE {
		t.Errorf("bytes beyond the bound: %v", r)
	}
}
