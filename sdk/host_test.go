package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// probe is a plugin whose parts the test sets.
type probe struct {
	host      sdk.Host
	ctx       context.Context
	configure func(*sdk.Config) error
	declare   func(context.Context, sdk.Host) ([]sdk.Route, error)
	start     func() ([]string, error)
	stop      func(context.Context) error
	deliver   func(context.Context, *sdk.Delivery) error
	command   func(context.Context, *sdk.Command) (string, error)
	health    error
}

func (p *probe) Describe() sdk.Manifest { return sdk.Manifest{Name: "probe", Version: "7"} }

func (p *probe) Configure(_ context.Context, c *sdk.Config) error {
	if p.configure == nil {
		return nil
	}
	return p.configure(c)
}

func (p *probe) Declare(ctx context.Context, host sdk.Host) ([]sdk.Route, error) {
	if p.declare == nil {
		return []sdk.Route{{Receiver: "phone", Policy: sdk.Policy{Acks: true}}}, nil
	}
	return p.declare(ctx, host)
}

func (p *probe) Start(ctx context.Context, host sdk.Host) ([]string, error) {
	p.ctx, p.host = ctx, host
	if p.start == nil {
		return nil, nil
	}
	return p.start()
}

func (p *probe) Stop(ctx context.Context) error {
	if p.stop == nil {
		return nil
	}
	return p.stop(ctx)
}

func (p *probe) Deliver(ctx context.Context, d *sdk.Delivery) error { return p.deliver(ctx, d) }

func (p *probe) Command(ctx context.Context, c *sdk.Command) (string, error) {
	return p.command(ctx, c)
}

func (p *probe) Health(context.Context) error { return p.health }

var good = sdk.Credentials{Token: "test"}

func TestHostSpeaksForThePlugin(t *testing.T) {
	p := &probe{}
	core := plugintest.Start(t, p, plugintest.Options{
		Channel: "mine",
		Command: func(c *pluginpb.ClientCommand) *pluginpb.CommandResult {
			return &pluginpb.CommandResult{Info: c.GetCommand() + string(c.GetData())}
		},
	})
	ctx, h := t.Context(), p.host
	if h.Channel() != "mine" {
		t.Errorf("channel %q", h.Channel())
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	published, err := h.Publish(ctx, sdk.Publish{Credentials: good, SendType: sdk.Group, Target: "g", Text: "t", Desp: "d", Extra: []byte(`{"a":1}`), Wait: 1500 * time.Millisecond})
	check("publish", err)
	if published.MID == 0 || len(published.Statuses) != 0 {
		t.Errorf("published %+v", published)
	}
	sent := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish
	if sent.GetSendType() != sdk.Group || sent.GetTarget() != "g" || sent.GetText() != "t" || sent.GetDesp() != "d" || string(sent.GetExtra()) != `{"a":1}` || sent.GetWaitMs() != 1500 {
		t.Errorf("publish %v", sent)
	}
	session, err := h.Authenticate(ctx, good, "phone", "g")
	check("authenticate", err)
	if session.Auth == "" || session.Generation != 0 {
		t.Errorf("session %+v", session)
	}
	caller := sdk.Credentials{Auth: session.Auth, Remote: "10.0.0.1"}
	check("check token", h.CheckToken(ctx, good))
	check("confirm", h.Confirm(ctx, sdk.Confirm{Credentials: caller, MID: 5, HandoffOnly: true}))
	if got := plugintest.Next[*pluginpb.PluginEnvelope_Confirm](core).Confirm; got.GetMid() != 5 || !got.GetHandoffOnly() || got.GetCredentials().GetRemote() != "10.0.0.1" {
		t.Errorf("confirm %v", got)
	}
	info, err := h.Command(ctx, sdk.ClientCommand{Credentials: caller, Name: "DO", Data: []byte("{}")})
	check("command", err)
	if info != "DO{}" {
		t.Errorf("info %q", info)
	}
	check("register", h.Register(ctx, sdk.Route{Receiver: "push", Group: "g", Address: []byte("a"), Policy: sdk.Policy{
		Exclusive: true, Acks: true, Prefetch: 4, Resend: time.Second, Retry: 2 * time.Second, RetryMax: time.Minute,
	}}))
	policy := plugintest.Next[*pluginpb.PluginEnvelope_Register](core).Register.GetPolicy()
	if want := (&pluginpb.Policy{Exclusive: true, Acks: true, Prefetch: 4, ResendMs: 1000, RetryMs: 2000, RetryMaxMs: 60000}); policy.String() != want.String() {
		t.Errorf("policy %v, want %v", policy, want)
	}
	check("unregister", h.Unregister(ctx, caller))
	check("announce", h.Announce(ctx, map[string]any{"key": []int{1}}))
	if got := string(core.Announced()["key"]); got != "[1]" {
		t.Errorf("announced %q", got)
	}
	check("set state", h.SetState(ctx, "a/b", []byte("v")))
	state, err := h.State(ctx, "a/")
	check("state", err)
	if string(state["a/b"]) != "v" {
		t.Errorf("state %q", state)
	}
	check("delete state", h.SetState(ctx, "a/b", nil))
	h.Acked("phone", 77, 5)
	if got := core.Outcome(); got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_ACKED || got.GetGeneration() != 77 || got.GetMid() != 5 || !got.GetLate() {
		t.Errorf("late ack %v", got)
	}
}

func TestRefusalsAreErrors(t *testing.T) {
	p := &probe{}
	plugintest.Start(t, p, plugintest.Options{})
	ctx, bad := t.Context(), sdk.Credentials{Token: "wrong"}
	for what, err := range map[string]error{
		"publish":      second(p.host.Publish(ctx, sdk.Publish{Credentials: bad})),
		"authenticate": second(p.host.Authenticate(ctx, bad, "n", "")),
		"attach":       second(p.host.Attach(ctx, sdk.Attach{Credentials: bad, Name: "n", Ready: func(sdk.Session) { t.Error("ready after a refusal") }})),
		"command":      second(p.host.Command(ctx, sdk.ClientCommand{Credentials: bad, Name: "X"})),
		"unregister":   p.host.Unregister(ctx, bad),
		"confirm":      p.host.Confirm(ctx, sdk.Confirm{Credentials: bad}),
		"check token":  p.host.CheckToken(ctx, bad),
	} {
		if refusal, ok := errors.AsType[*sdk.Error](err); !ok || refusal.Code != sdk.CodeUnauthenticated || refusal.Message == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestInvalidTextIsRefusedHere(t *testing.T) {
	p := &probe{}
	plugintest.Start(t, p, plugintest.Options{})
	ctx, bad := t.Context(), "\xff"
	for what, err := range map[string]error{
		"publish":      second(p.host.Publish(ctx, sdk.Publish{Credentials: good, Text: bad})),
		"token":        second(p.host.Publish(ctx, sdk.Publish{Credentials: sdk.Credentials{Token: bad}})),
		"authenticate": second(p.host.Authenticate(ctx, good, bad, "")),
		"attach":       second(p.host.Attach(ctx, sdk.Attach{Credentials: good, Name: "n", Group: bad})),
		"command":      second(p.host.Command(ctx, sdk.ClientCommand{Credentials: good, Name: bad})),
		"register":     p.host.Register(ctx, sdk.Route{Receiver: bad}),
		"unregister":   p.host.Unregister(ctx, sdk.Credentials{Auth: bad}),
		"confirm":      p.host.Confirm(ctx, sdk.Confirm{Receiver: bad}),
		"announce":     p.host.Announce(ctx, map[string]any{bad: 1}),
		"state":        second(p.host.State(ctx, bad)),
		"set state":    p.host.SetState(ctx, bad, nil),
		"check token":  p.host.CheckToken(ctx, sdk.Credentials{Remote: bad}),
	} {
		if sdk.CodeOf(err) != sdk.CodeInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.host.Acked(bad, 1, 1)
	p.host.Detach(bad, 1)
	if err := p.host.CheckToken(ctx, good); err != nil {
		t.Errorf("the stream has suffered: %v", err)
	}
}

func TestAnswersFindTheirRequests(t *testing.T) {
	p := &probe{}
	var begun sync.WaitGroup
	begun.Add(50)
	plugintest.Start(t, p, plugintest.Options{Publish: func(m *pluginpb.Publish) *pluginpb.PublishResult {
		begun.Done()
		begun.Wait() // all are under way at once, and answered in any order
		return &pluginpb.PublishResult{Statuses: []*pluginpb.ReceiverStatus{{Receiver: m.GetTarget()}}}
	}})
	var calls sync.WaitGroup
	for i := range 50 {
		calls.Go(func() {
			target := fmt.Sprint(i)
			got, err := p.host.Publish(t.Context(), sdk.Publish{Credentials: good, Target: target})
			if err != nil || got.Statuses[0].Receiver != target {
				t.Errorf("%s: %+v, %v", target, got, err)
			}
		})
	}
	calls.Wait()
}

func TestAbandonedAttachIsDetached(t *testing.T) {
	p := &probe{}
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	core := plugintest.Start(t, p, plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetAttach() != nil {
			cancel()
			<-release
		}
		return nil
	}})
	_, err := p.host.Attach(ctx, sdk.Attach{Credentials: good, Name: "n", Ready: func(sdk.Session) { t.Error("ready without a caller") }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("attach: %v", err)
	}
	close(release)
	if got := plugintest.Next[*pluginpb.PluginEnvelope_Detach](core).Detach; got.GetReceiver() != "n" || got.GetGeneration() == 0 {
		t.Errorf("detach %v", got)
	}
}

func TestCallsEndWithTheStream(t *testing.T) {
	p := &probe{}
	asked := make(chan struct{})
	core := plugintest.Start(t, p, plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		close(asked)
		<-p.ctx.Done()
		return &pluginpb.PublishResult{}
	}})
	failed := make(chan error)
	go func() {
		_, err := p.host.Publish(context.Background(), sdk.Publish{Credentials: good})
		failed <- err
	}()
	<-asked
	core.Break()
	if err := <-failed; sdk.CodeOf(err) != sdk.CodeUnavailable {
		t.Errorf("publish: %v", err)
	}
	<-p.ctx.Done()
	if err := p.host.CheckToken(context.Background(), good); sdk.CodeOf(err) != sdk.CodeUnavailable {
		t.Errorf("after the end: %v", err)
	}
}

func TestDeliveryCarriesTheMessage(t *testing.T) {
	got := make(chan *sdk.Delivery, 2)
	p := &probe{
		declare: func(context.Context, sdk.Host) ([]sdk.Route, error) {
			return []sdk.Route{{Receiver: "a", Address: []byte("A"), Policy: sdk.Policy{Acks: true, Retry: 5 * time.Second}}, {Receiver: "b", Policy: sdk.Policy{Acks: true}}}, nil
		},
		deliver: func(_ context.Context, d *sdk.Delivery) error { got <- d; return nil },
	}
	core := plugintest.Start(t, p, plugintest.Options{})
	mid := core.DeliverTo([]string{"a", "b"}, &pluginpb.Message{
		SendType: sdk.Group, Target: "g", FromMethod: "tea", FromName: "me", Text: "t", Desp: "d",
	})
	a, b := <-got, <-got
	if a.Receiver != "a" {
		a, b = b, a
	}
	if a.Message != b.Message {
		t.Error("the message is not shared")
	}
	if string(a.Address) != "A" || a.Interval != 5*time.Second || a.Attempt != 0 || a.Generation != core.Generation("a") || len(b.Address) != 0 {
		t.Errorf("deliveries %+v, %+v", a, b)
	}
	want := fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"group","target":"g","from":{"method":"tea","name":"me"},"mid":"%d","message":{"text":"t","desp":"d","extra":{}}}}`, mid)
	if packet := a.Message.Packet(); string(packet) != want || &packet[0] != &b.Message.Packet()[0] {
		t.Errorf("packet %s\nwant   %s", packet, want)
	}
	if packet := append(a.Message.Packet(), '\n'); &packet[0] == &a.Message.Packet()[0] {
		t.Error("appending to a packet changes it for all")
	}
}
