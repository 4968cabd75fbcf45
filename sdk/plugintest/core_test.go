package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a channel with all roles: it attaches whom the test names and acks
// what it is given.
type gate struct {
	host    sdk.Host
	ready   chan sdk.Session
	evicted chan string
	stopped chan struct{}
}

func newGate() *gate {
	return &gate{ready: make(chan sdk.Session, 8), evicted: make(chan string, 8), stopped: make(chan struct{})}
}

func (g *gate) Describe() sdk.Manifest {
	return sdk.Manifest{Name: "gate", Commands: []string{"KNOCK"}, Rights: []sdk.Right{sdk.AcceptWithoutToken}}
}

func (g *gate) Declare(ctx context.Context, host sdk.Host) ([]sdk.Route, error) {
	if err := host.Announce(ctx, map[string]any{"gateKey": 7}); err != nil {
		return nil, err
	}
	state, err := host.State(ctx, "k")
	if err != nil || string(state["key"]) != "kept" {
		return nil, errors.Join(err, errors.New("state is lost"))
	}
	return []sdk.Route{{Receiver: "declared", Address: []byte("addr"), Policy: sdk.Policy{Acks: true}}}, host.SetState(ctx, "key", nil)
}

func (g *gate) Start(_ context.Context, host sdk.Host) ([]string, error) {
	g.host = host
	return []string{"nowhere"}, nil
}

func (g *gate) Stop(context.Context) error { close(g.stopped); return nil }

func (g *gate) Dispatch(d *sdk.Delivery) { d.Done(nil) }

func (g *gate) Evict(receiver string, _ uint64, why sdk.Eviction) {
	g.evicted <- receiver + ": " + why.Reason
}

func (g *gate) Command(_ context.Context, c *sdk.Command) (string, error) {
	return c.Name + " from " + c.Receiver, nil
}

func start(t *testing.T, o plugintest.Options) (*gate, *plugintest.Core) {
	t.Helper()
	o.State = map[string]string{"key": "kept"}
	g := newGate()
	return g, plugintest.Start(t, g, o)
}

func TestPluginGoesThroughItsLife(t *testing.T) {
	g, core := start(t, plugintest.Options{})
	if got := core.Endpoints(); len(got) != 1 || got[0] != "nowhere" {
		t.Errorf("endpoints %q", got)
	}
	if got := string(core.Announced()["gateKey"]); got != "7" {
		t.Errorf("announced %q", got)
	}
	if got := core.State(); len(got) != 0 {
		t.Errorf("state %q", got)
	}
	if err := core.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
	core.Stop()
	<-g.stopped
}

func TestDeliveryToADeclaredRouteIsAcked(t *testing.T) {
	_, core := start(t, plugintest.Options{})
	mid := core.Deliver("declared", &pluginpb.Message{Text: "hello"})
	got := core.Outcome()
	if got.GetMid() != mid || got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_ACKED {
		t.Errorf("outcome %v", got)
	}
}

// complaints takes what the kit says of a plugin.
type complaints struct {
	testing.TB
	said chan string
}

func (c complaints) Errorf(format string, args ...any) { c.said <- fmt.Sprintf(format, args...) }

func TestKitComplainsOfAcksWhereNobodyConfirms(t *testing.T) {
	told := complaints{t, make(chan string, 1)}
	g := newGate()
	core := plugintest.Start(told, g, plugintest.Options{State: map[string]string{"key": "kept"}})
	if _, err := g.host.Attach(t.Context(), sdk.Attach{Credentials: sdk.Credentials{Token: "test"}, Name: "phone"}); err != nil {
		t.Fatal(err)
	}
	core.Deliver("phone", &pluginpb.Message{Text: "hello"})
	core.Outcome()
	if said := <-told.said; !strings.HasPrefix(said, `"phone": nil from Deliver`) {
		t.Error(said)
	}
}

func TestSecondAttachEvictsTheFirst(t *testing.T) {
	g, core := start(t, plugintest.Options{Announcements: map[string]string{"a": "1"}})
	attach := sdk.Attach{Credentials: sdk.Credentials{Token: "test"}, Name: "phone", Group: "g", Ready: func(s sdk.Session) { g.ready <- s }}
	for range 2 {
		session, err := g.host.Attach(t.Context(), attach)
		if err != nil {
			t.Fatal(err)
		}
		ready := <-g.ready
		if session.Generation != core.Generation("phone") || ready.Generation != session.Generation {
			t.Errorf("generation %d, ready %d, core %d", session.Generation, ready.Generation, core.Generation("phone"))
		}
		if string(session.Announcements["a"]) != "1" {
			t.Errorf("announcements %q", session.Announcements)
		}
	}
	if got := <-g.evicted; got != "phone: taken over" {
		t.Errorf("evicted %q", got)
	}
	if group, ok := core.Group("phone"); !ok || group != "g" {
		t.Errorf("group %q %v", group, ok)
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	g, core := start(t, plugintest.Options{})
	auth := core.Session("phone", "")
	for _, test := range []struct {
		credentials sdk.Credentials
		code        sdk.Code
	}{
		{sdk.Credentials{Token: "test"}, 0},
		{sdk.Credentials{Token: "wrong"}, sdk.CodeUnauthenticated},
		{sdk.Credentials{Trusted: true}, 0},
		{sdk.Credentials{Auth: auth}, 0},
		{sdk.Credentials{Auth: "forged", Trusted: true}, sdk.CodeUnauthenticated},
	} {
		err := g.host.CheckToken(t.Context(), test.credentials)
		if test.code == 0 && err != nil || test.code != 0 && sdk.CodeOf(err) != test.code {
			t.Errorf("%+v: %v", test.credentials, err)
		}
	}
}

func TestPublishIsAnsweredByOption(t *testing.T) {
	g, core := start(t, plugintest.Options{Publish: func(p *pluginpb.Publish) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Mid: 5, Statuses: []*pluginpb.ReceiverStatus{{Receiver: p.GetTarget(), Status: "full"}}}
	}})
	published, err := g.host.Publish(t.Context(), sdk.Publish{Credentials: sdk.Credentials{Token: "test"}, SendType: sdk.Personal, Target: "phone", Text: "t"})
	if err != nil || published.MID != 5 || published.Statuses[0] != (sdk.Status{Receiver: "phone", Status: "full"}) {
		t.Errorf("published %+v, %v", published, err)
	}
	if got := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish; got.GetText() != "t" {
		t.Errorf("publish %v", got)
	}
}

func TestAnswerReplacesTheUsualOne(t *testing.T) {
	g, _ := start(t, plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetRegister() == nil {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{
			Error: &pluginpb.Error{Code: sdk.CodeLimit, Message: "no more"},
		}}}
	}})
	err := g.host.Register(t.Context(), sdk.Route{Receiver: "r"})
	if sdk.CodeOf(err) != sdk.CodeLimit || err.Error() != "no more" {
		t.Errorf("register: %v", err)
	}
}

// A plugin's test looks at what arrived as soon as the plugin has its answer.
func TestSeenHasWhatIsBeingAnswered(t *testing.T) {
	var core *plugintest.Core
	registers := func() (n int) {
		for _, e := range core.Seen() {
			if e.GetRegister() != nil {
				n++
			}
		}
		return n
	}
	seen := 0
	g, core := start(t, plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetRegister() != nil {
			seen = registers()
		}
		return nil
	}})
	if err := g.host.Register(t.Context(), sdk.Route{Receiver: "phone"}); err != nil {
		t.Fatal(err)
	}
	if seen != 1 {
		t.Errorf("it is there %d times before it is answered", seen)
	}
	plugintest.Next[*pluginpb.PluginEnvelope_Register](core)
	if n := registers(); n != 0 {
		t.Errorf("it is there %d times after Next", n)
	}
}

func TestClaimedCommandIsAnswered(t *testing.T) {
	_, core := start(t, plugintest.Options{})
	if got := core.Command("KNOCK", "phone", "", `{}`); got.GetInfo() != "KNOCK from phone" || got.GetError() != nil {
		t.Errorf("reply %v", got)
	}
}

func TestBrokenStreamStopsThePlugin(t *testing.T) {
	g, core := start(t, plugintest.Options{})
	core.Break()
	<-g.stopped
	if err := g.host.CheckToken(context.Background(), sdk.Credentials{}); sdk.CodeOf(err) != sdk.CodeUnavailable {
		t.Errorf("after the end: %v", err)
	}
}
