package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"mpush/core/auth"
	"mpush/core/engine"
	"mpush/core/relay"
	"mpush/core/store"
	"mpush/sdk/pluginpb"
)

// fakePlugin is the plugin's side of the stream, in the test's hands.
type fakePlugin struct {
	pluginpb.PluginClient
	toCore chan *pluginpb.PluginFrame
	toUs   chan *pluginpb.CoreFrame
	ctx    context.Context
}

func (f *fakePlugin) Exchange(ctx context.Context, _ ...grpc.CallOption) (grpc.BidiStreamingClient[pluginpb.CoreFrame, pluginpb.PluginFrame], error) {
	f.ctx = ctx
	return f, nil
}

func (f *fakePlugin) Send(frame *pluginpb.CoreFrame) error {
	select {
	case f.toUs <- frame:
		return nil
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
}

func (f *fakePlugin) Recv() (*pluginpb.PluginFrame, error) {
	select {
	case frame, open := <-f.toCore:
		if !open {
			return nil, io.EOF
		}
		return frame, nil
	case <-f.ctx.Done():
		return nil, f.ctx.Err()
	}
}

func (f *fakePlugin) Header() (metadata.MD, error) { return nil, nil }
func (f *fakePlugin) Trailer() metadata.MD         { return nil }
func (f *fakePlugin) CloseSend() error             { return nil }
func (f *fakePlugin) Context() context.Context     { return f.ctx }
func (f *fakePlugin) SendMsg(any) error            { return errors.New("not used") }
func (f *fakePlugin) RecvMsg(any) error            { return errors.New("not used") }

// core is what links share.
type core struct {
	t     *testing.T
	relay *relay.Relay
	auth  *auth.Authority
	board *Switchboard
}

const token = "a strong one"

func newCore(t *testing.T) *core {
	t.Helper()
	return newCoreOn(t, store.NewMemory())
}

func newCoreOn(t *testing.T, disk store.Store) *core {
	t.Helper()
	registry, err := disk.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	authority, err := auth.Open(t.TempDir(), token, 0, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c := &core{t: t, auth: authority, board: NewSwitchboard(),
		relay: relay.New(engine.New(engine.Config{}, registry, nil), disk, time.Now, slog.New(slog.DiscardHandler))}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.relay.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// peer is a running link with its plugin.
type peer struct {
	t        *testing.T
	plugin   *fakePlugin
	link     *Link
	declared chan struct{}
	ended    chan error
	waiting  []*pluginpb.CoreEnvelope
}

func (c *core) connect(channel string, rights ...pluginpb.Right) *peer {
	c.t.Helper()
	p := c.prepare(channel, rights...)
	c.run(p)
	p.say() // it is read, so the link is known to all
	return p
}

func (c *core) prepare(channel string, rights ...pluginpb.Right) *peer {
	p := &peer{
		t: c.t, declared: make(chan struct{}), ended: make(chan error, 1),
		plugin: &fakePlugin{toCore: make(chan *pluginpb.PluginFrame), toUs: make(chan *pluginpb.CoreFrame, 64)},
	}
	p.link = New(Options{
		Channel: channel, Rights: rights, Relay: c.relay, Auth: c.auth, Switchboard: c.board,
		Declared: func() { close(p.declared) },
	})
	return p
}

func (c *core) run(p *peer) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { p.ended <- p.link.Run(ctx, p.plugin) }()
	c.t.Cleanup(func() { cancel(); <-p.ended })
}

func (p *peer) say(envelopes ...*pluginpb.PluginEnvelope) {
	p.t.Helper()
	select {
	case p.plugin.toCore <- &pluginpb.PluginFrame{Envelopes: envelopes}:
	case <-time.After(time.Minute):
		p.t.Fatal("the link does not read")
	}
}

func (p *peer) hear() *pluginpb.CoreEnvelope {
	p.t.Helper()
	for len(p.waiting) == 0 {
		select {
		case frame := <-p.plugin.toUs:
			p.waiting = frame.Envelopes
		case <-time.After(time.Minute):
			p.t.Fatal("nothing came")
		}
	}
	env := p.waiting[0]
	p.waiting = p.waiting[1:]
	return env
}

func publish(id uint64, c *pluginpb.Credentials, target string) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{
		Credentials: c, SendType: pluginpb.SendType_SEND_TYPE_PERSONAL, Target: target, Text: "hello",
	}}}
}

func attach(id uint64, c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Attach{Attach: &pluginpb.Attach{
		Credentials: c, Name: name, Policy: &pluginpb.Policy{Exclusive: true, Acks: true, ResendMs: 60_000},
	}}}
}

func declare(id uint64, names ...string) *pluginpb.PluginEnvelope {
	d := &pluginpb.Declare{}
	for _, name := range names {
		d.Routes = append(d.Routes, &pluginpb.DeclaredRoute{Receiver: name, Policy: &pluginpb.Policy{Exclusive: true, Acks: true}})
	}
	return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Declare{Declare: d}}
}

func withToken() *pluginpb.Credentials { return &pluginpb.Credentials{Token: token} }

func TestMessageGoesFromOnePluginToAnotherAndTheAckBack(t *testing.T) {
	c := newCore(t)
	in, out := c.connect("in"), c.connect("out")
	out.say(attach(7, withToken(), "ann"))
	session := out.hear().GetSession()
	if session.GetRequestId() != 7 || session.Error != nil || session.Auth == "" || session.Generation == 0 {
		t.Fatalf("session %v", session)
	}
	send := publish(3, &pluginpb.Credentials{Token: token, Auth: session.Auth}, "ann")
	send.GetPublish().WaitMs = 60_000
	send.GetPublish().Extra = []byte(`{"n":12345678901234567890}`)
	in.say(send)
	deliver := out.hear().GetDeliver()
	if m := deliver.GetMessage(); m.GetText() != "hello" || m.FromMethod != "in" || m.FromName != "ann" || string(m.Extra) != `{"n":12345678901234567890}` {
		t.Fatalf("delivered %v", deliver)
	}
	out.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: &pluginpb.Outcome{
		Receiver: "ann", Generation: deliver.Routes[0].Generation, Mid: deliver.Message.Mid, Kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED,
	}}})
	result := in.hear().GetPublished()
	if result.GetRequestId() != 3 || result.Mid != deliver.Message.Mid || len(result.Statuses) != 1 || result.Statuses[0].Status != "ok" {
		t.Fatalf("published %v", result)
	}
}

func TestWhoMayPublish(t *testing.T) {
	c := newCore(t)
	auth, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	trusting := c.connect("trusting", pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN)
	plain := c.connect("plain")
	const in, out = pluginpb.ErrorCode_ERROR_CODE_UNSPECIFIED, pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED
	for _, test := range []struct {
		name        string
		peer        *peer
		credentials *pluginpb.Credentials
		want        pluginpb.ErrorCode
	}{
		{"right token", plain, withToken(), in},
		{"wrong token", plain, &pluginpb.Credentials{Token: "wrong"}, out},
		{"no token", plain, &pluginpb.Credentials{}, out},
		{"nothing at all", plain, nil, out},
		{"session", plain, &pluginpb.Credentials{Auth: auth}, in},
		{"session of somebody else's making", plain, &pluginpb.Credentials{Auth: auth + "x"}, out},
		{"session beside a wrong token", plain, &pluginpb.Credentials{Auth: auth, Token: "wrong"}, out},
		{"trusted without the right", plain, &pluginpb.Credentials{Trusted: true}, out},
		{"trusted", trusting, &pluginpb.Credentials{Trusted: true}, in},
		{"trusted with a false session", trusting, &pluginpb.Credentials{Trusted: true, Auth: "x"}, out},
	} {
		test.peer.say(publish(1, test.credentials, "nobody"))
		if got := test.peer.hear().GetPublished().GetError().GetCode(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRefusedRequestsGetTheirOwnKindOfAnswer(t *testing.T) {
	c := newCore(t)
	p := c.connect("p")
	bad := publish(1, withToken(), "ann")
	bad.GetPublish().Extra = []byte(`{"a":`)
	p.say(bad)
	if e := p.hear().GetPublished().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("bad extra: %v", e)
	}
	p.say(publish(2, withToken(), ""))
	if e := p.hear().GetPublished().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("empty target: %v", e)
	}
	p.say(attach(3, withToken(), "a\x00b"))
	if e := p.hear().GetSession().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("control character: %v", e)
	}
	p.say(&pluginpb.PluginEnvelope{RequestId: 4, Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{Key: ""}}})
	if e := p.hear().GetDone().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("empty key: %v", e)
	}
	p.say(&pluginpb.PluginEnvelope{RequestId: 5, Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: "ann"}}})
	if e := p.hear().GetDone().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN {
		t.Errorf("register out of the blue: %v", e)
	}
	big := publish(6, withToken(), "ann")
	big.GetPublish().Text = strings.Repeat("x", 1<<20+1)
	p.say(big)
	if e := p.hear().GetPublished().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE {
		t.Errorf("big message: %v", e)
	}
	p.say(&pluginpb.PluginEnvelope{RequestId: 7}, &pluginpb.PluginEnvelope{RequestId: 8, Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{}}})
	if d := p.hear().GetDone(); d.GetRequestId() != 8 || d.Error == nil {
		t.Errorf("after an envelope without a body: %v", d)
	}
}

func TestDeclareStartsTheChannelOrEndsTheStream(t *testing.T) {
	c := newCore(t)
	first := c.connect("first")
	first.say(declare(1, "hook"))
	if d := first.hear().GetDone(); d.GetError() != nil {
		t.Fatal(d.Error)
	}
	<-first.declared
	first.link.Ready()
	first.say(publish(2, withToken(), "hook"))
	for range 2 {
		if env := first.hear(); env.GetDeliver() == nil && env.GetPublished() == nil {
			t.Errorf("got %v", env)
		}
	}

	second := c.connect("second")
	second.say(declare(1, "hook"))
	if e := second.hear().GetDone().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_NAME_IN_USE {
		t.Fatalf("declared twice: %v", e)
	}
	err := <-second.ended
	second.ended <- err
	if err == nil || !strings.Contains(err.Error(), "hook") {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestDeclareThatWantsNoAnswerEndsTheStream(t *testing.T) {
	p := newCore(t).connect("p")
	p.say(declare(0))
	var err error
	select {
	case err = <-p.ended:
	case <-time.After(time.Minute):
		t.Fatal("the stream goes on")
	}
	p.ended <- err
	if err == nil || !strings.Contains(err.Error(), "Declare has no request_id") {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestSecondDeclareIsRefusedAlone(t *testing.T) {
	p := newCore(t).connect("p")
	p.say(declare(1, "hook"))
	if d := p.hear().GetDone(); d.GetRequestId() != 1 || d.GetError() != nil {
		t.Fatal(d)
	}
	p.say(declare(0), declare(2))
	if d := p.hear().GetDone(); d.GetRequestId() != 2 || d.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("declared again: %v", d)
	}
	p.link.Ready()
	p.say(publish(3, withToken(), "hook"))
	for range 2 { // it has its route
		if env := p.hear(); env.GetDeliver() == nil && env.GetPublished() == nil {
			t.Errorf("got %v", env)
		}
	}
}

func TestClaimedCommandsReachTheirChannelAndComeBack(t *testing.T) {
	c := newCore(t)
	if err := c.board.Claim("push", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	if err := c.board.Claim("other", []string{"SUBSCRIBE"}); err == nil {
		t.Error("a command was claimed twice")
	}
	if err := c.board.Claim("other", []string{"MESSAGE"}); err == nil {
		t.Error("a command of the core was claimed")
	}
	in, push := c.connect("in"), c.connect("push")
	session, err := c.auth.Issue("ann", "team")
	if err != nil {
		t.Fatal(err)
	}
	command := func(id uint64, name string) *pluginpb.PluginEnvelope {
		return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{
			Credentials: &pluginpb.Credentials{Auth: session}, Command: name, Data: []byte(`{"k":1}`),
		}}}
	}
	in.say(command(1, "NOBODYS"))
	if e := in.hear().GetCommandResult().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNKNOWN_COMMAND {
		t.Errorf("unclaimed: %v", e)
	}
	in.say(command(2, "SUBSCRIBE"))
	asked := push.hear().GetCommand()
	if asked.GetReceiver() != "ann" || asked.Group != "team" || string(asked.Data) != `{"k":1}` {
		t.Fatalf("asked %v", asked)
	}
	push.say(&pluginpb.PluginEnvelope{RequestId: 9, Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: "ann", Group: "team", Address: []byte("x")}}})
	if d := push.hear().GetDone(); d.GetRequestId() != 9 || d.Error != nil {
		t.Fatalf("register while answering: %v", d)
	}
	reply := &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: asked.Id, Info: "welcome"}}}
	push.say(reply, reply) // a second answer changes nothing
	if r := in.hear().GetCommandResult(); r.GetRequestId() != 2 || r.Info != "welcome" {
		t.Errorf("result %v", r)
	}
	in.say(command(3, "SUBSCRIBE"))
	push.hear()
	close(push.plugin.toCore) // it dies with the command unanswered
	if e := in.hear().GetCommandResult().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE {
		t.Errorf("after its death: %v", e)
	}
	in.say(command(4, "SUBSCRIBE"))
	if e := in.hear().GetCommandResult().GetError(); e.GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE {
		t.Errorf("while it is away: %v", e)
	}
}

func TestAnnouncementsAreInEverySessionAndOutliveTheProcess(t *testing.T) {
	c := newCore(t)
	push, in := c.connect("push"), c.connect("in")
	push.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Announce{Announce: &pluginpb.Announce{Fields: map[string][]byte{"serverKey": []byte(`"k"`)}}}})
	push.hear()
	close(push.plugin.toCore)
	err := <-push.ended
	push.ended <- err
	in.say(attach(1, withToken(), "ann"))
	if s := in.hear().GetSession(); string(s.GetAnnouncements()["serverKey"]) != `"k"` {
		t.Errorf("session %v", s)
	}
}

func TestChannelMayOnlyConfirmItsOwnReceivers(t *testing.T) {
	c := newCore(t)
	out, liar := c.connect("out"), c.connect("liar")
	out.say(attach(1, withToken(), "ann"))
	out.hear()
	out.say(publish(2, withToken(), "ann"))
	var mid int64
	for range 2 {
		if d := out.hear().GetDeliver(); d != nil {
			mid = d.Message.Mid
		}
	}
	liar.say(
		&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Receiver: "ann", Mid: mid}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: &pluginpb.Outcome{Receiver: "ann", Mid: mid, Kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED}}},
		&pluginpb.PluginEnvelope{RequestId: 2, Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{Credentials: withToken()}}})
	liar.hear()
	liar.hear()
	out.say(attach(3, withToken(), "ann")) // its own step: what came before it was dealt with
	out.hear()
	if s := c.relay.Stats(); s.Acked != 0 || s.ForeignRoutes != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestPluginThatDoesNotReadIsHung(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the patience of 10 s")
	}
	t.Parallel()
	c := newCore(t)
	p := c.connect("p")
	for i := range 100 { // the fake takes 64 frames
		p.say(&pluginpb.PluginEnvelope{RequestId: uint64(i + 1), Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{Credentials: withToken()}}})
	}
	for len(p.plugin.toUs) < cap(p.plugin.toUs) {
		p.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{Credentials: withToken()}}})
	}
	p.say(publish(1000, withToken(), "nobody"))
	select {
	case err := <-p.ended:
		p.ended <- err
		if want := fmt.Sprintf("did not read for %v", sendPatience); !strings.Contains(err.Error(), want) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(3 * sendPatience):
		t.Error("the stream goes on")
	}
}
