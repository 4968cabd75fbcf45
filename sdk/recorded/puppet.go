package recorded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// patience is how long something may take that must happen.
const patience = 30 * time.Second

// Puppet is a plugin that says what it is told to, by way of the sdk, and tells
// how what the core said has reached it. It is both ways and claims a command.
type Puppet struct {
	t          testing.TB
	host       chan sdk.Host
	routes     chan []sdk.Route
	dispatched chan *sdk.Delivery
	evicted    chan *pluginpb.Evict
	commands   chan *sdk.Command
	replies    chan *pluginpb.CommandReply
	results    chan *pluginpb.CoreEnvelope

	h          sdk.Host
	calling    sync.WaitGroup
	deliveries map[string]*sdk.Delivery // by receiver and mid
	waiting    []*pluginpb.CoreEnvelope
}

var (
	_ sdk.Configurer     = (*Puppet)(nil)
	_ sdk.Declarer       = (*Puppet)(nil)
	_ sdk.Starter        = (*Puppet)(nil)
	_ sdk.Dispatcher     = (*Puppet)(nil)
	_ sdk.Commander      = (*Puppet)(nil)
	_ sdk.HealthReporter = (*Puppet)(nil)
)

// NewPuppet makes one for one session.
func NewPuppet(t testing.TB) *Puppet {
	return &Puppet{
		t: t, host: make(chan sdk.Host, 1), routes: make(chan []sdk.Route, 1),
		dispatched: make(chan *sdk.Delivery, 64), evicted: make(chan *pluginpb.Evict, 64),
		commands: make(chan *sdk.Command, 64), replies: make(chan *pluginpb.CommandReply, 64),
		results: make(chan *pluginpb.CoreEnvelope, 64), deliveries: map[string]*sdk.Delivery{},
	}
}

func (*Puppet) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name: "puppet", Version: "1", Description: "Says what it is told to.", Commands: []string{"PAIR"},
		Rights: []sdk.Right{sdk.AcceptWithoutToken}, Roles: []sdk.Role{sdk.RoleIngress, sdk.RoleEgress},
	}
}

func (*Puppet) Configure(_ context.Context, c *sdk.Config) error {
	var section struct{ Port int }
	if err := c.Decode(&section); err != nil {
		return err
	}
	if c.WeakToken {
		c.Warn("port", "open to everybody")
	}
	return nil
}

func (p *Puppet) Declare(ctx context.Context, host sdk.Host) ([]sdk.Route, error) {
	p.host <- host
	select {
	case routes := <-p.routes:
		return routes, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (*Puppet) Start(context.Context, sdk.Host) ([]string, error) {
	return []string{"127.0.0.1:1"}, nil
}

func (*Puppet) Health(context.Context) error { return errors.New("a bit tired") }

func (p *Puppet) Dispatch(d *sdk.Delivery) { p.dispatched <- d }

func (p *Puppet) Evict(receiver string, generation uint64, why sdk.Eviction) {
	p.evicted <- &pluginpb.Evict{Receiver: receiver, Generation: generation, Cause: why.Cause, Reason: why.Reason}
}

func (p *Puppet) Command(ctx context.Context, c *sdk.Command) (string, error) {
	p.commands <- c
	select {
	case r := <-p.replies:
		if e := r.GetError(); e != nil {
			return r.GetInfo(), &sdk.Error{Code: e.GetCode(), Message: e.GetMessage()}
		}
		return r.GetInfo(), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Finish waits for the calls of the Host, which the end of the stream ends.
func (p *Puppet) Finish() { p.calling.Wait() }

func await[V any](p *Puppet, from <-chan V, what string) V {
	p.t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		p.t.Fatalf("%s did not reach the plugin", what)
		panic("not reached")
	}
}

// Do makes the sdk say an envelope.
func (p *Puppet) Do(e *pluginpb.PluginEnvelope) {
	p.t.Helper()
	if p.h == nil {
		p.h = await(p, p.host, "Declare")
	}
	switch body := e.GetBody().(type) {
	case *pluginpb.PluginEnvelope_Declare:
		routes := []sdk.Route{}
		for _, r := range body.Declare.GetRoutes() {
			routes = append(routes, sdk.Route{Receiver: r.GetReceiver(), Group: r.GetGroup(), Address: r.GetAddress(), Policy: policy(r.GetPolicy())})
		}
		p.routes <- routes
		p.results <- done(nil) // the session has no refused Declare: that ends the stream
	case *pluginpb.PluginEnvelope_Detach:
		p.h.Detach(body.Detach.GetReceiver(), body.Detach.GetGeneration())
	case *pluginpb.PluginEnvelope_Outcome:
		p.outcome(body.Outcome)
	case *pluginpb.PluginEnvelope_CommandReply:
		p.replies <- body.CommandReply
	default:
		p.calling.Go(func() { p.results <- p.request(e) })
	}
}

func (p *Puppet) outcome(o *pluginpb.Outcome) {
	p.t.Helper()
	if o.GetLate() {
		p.h.Acked(o.GetReceiver(), o.GetGeneration(), o.GetMid())
		return
	}
	d := p.deliveries[fmt.Sprint(o.GetReceiver(), o.GetMid())]
	if d == nil {
		p.t.Fatalf("%d was not delivered to %s", o.GetMid(), o.GetReceiver())
	}
	err := errors.New(o.GetError())
	switch o.GetKind() {
	case pluginpb.OutcomeKind_OUTCOME_KIND_ACKED:
		err = nil
	case pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF:
		err = sdk.HandedOff
	case pluginpb.OutcomeKind_OUTCOME_KIND_RETRY:
		err = sdk.RetryAfter(milliseconds(o.GetRetryAfterMs()), err)
	case pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED:
		err = sdk.Permanent(err)
	case pluginpb.OutcomeKind_OUTCOME_KIND_GONE:
		err = sdk.Gone(err)
	}
	d.Done(err)
}

// request makes a call of the Host and returns what came of it as the core's
// answer.
func (p *Puppet) request(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
	ctx := context.Background() // the stream's end is the calls' end
	switch body := e.GetBody().(type) {
	case *pluginpb.PluginEnvelope_Publish:
		b := body.Publish
		return publishResult(p.h.Publish(ctx, sdk.Publish{
			Credentials: credentials(b.GetCredentials()), SendType: b.GetSendType(), Target: b.GetTarget(),
			Text: b.GetText(), Desp: b.GetDesp(), Extra: b.GetExtra(), Wait: milliseconds(b.GetWaitMs()), IdempotencyKey: b.GetIdempotencyKey(),
		}))
	case *pluginpb.PluginEnvelope_GetStatus:
		return publishResult(p.h.Status(ctx, credentials(body.GetStatus.GetCredentials()), body.GetStatus.GetMid()))
	case *pluginpb.PluginEnvelope_Authenticate:
		b := body.Authenticate
		return sessionResult(p.h.Authenticate(ctx, credentials(b.GetCredentials()), b.GetName(), b.GetGroup()))
	case *pluginpb.PluginEnvelope_Attach:
		b := body.Attach
		return sessionResult(p.h.Attach(ctx, sdk.Attach{
			Credentials: credentials(b.GetCredentials()), Name: b.GetName(), Group: b.GetGroup(), Policy: policy(b.GetPolicy()), Address: b.GetAddress(),
		}))
	case *pluginpb.PluginEnvelope_Command:
		b := body.Command
		info, err := p.h.Command(ctx, sdk.ClientCommand{Credentials: credentials(b.GetCredentials()), Name: b.GetCommand(), Data: b.GetData()})
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_CommandResult{CommandResult: &pluginpb.CommandResult{Info: info, Error: refusal(err)}}}
	case *pluginpb.PluginEnvelope_StateGet:
		entries, err := p.h.State(ctx, body.StateGet.GetPrefix())
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_State{State: &pluginpb.StateResult{Entries: entries, Error: refusal(err)}}}
	case *pluginpb.PluginEnvelope_Register:
		b := body.Register
		return done(p.h.Register(ctx, sdk.Route{Receiver: b.GetReceiver(), Group: b.GetGroup(), Address: b.GetAddress(), Policy: policy(b.GetPolicy())}))
	case *pluginpb.PluginEnvelope_Unregister:
		return done(p.h.Unregister(ctx, credentials(body.Unregister.GetCredentials())))
	case *pluginpb.PluginEnvelope_Confirm:
		b := body.Confirm
		return done(p.h.Confirm(ctx, sdk.Confirm{Credentials: credentials(b.GetCredentials()), Receiver: b.GetReceiver(), MID: b.GetMid(), HandoffOnly: b.GetHandoffOnly()}))
	case *pluginpb.PluginEnvelope_Announce:
		fields := map[string]any{}
		for key, value := range body.Announce.GetFields() {
			fields[key] = raw(value)
		}
		return done(p.h.Announce(ctx, fields))
	case *pluginpb.PluginEnvelope_StatePut:
		return done(p.h.SetState(ctx, body.StatePut.GetKey(), body.StatePut.GetValue()))
	case *pluginpb.PluginEnvelope_CheckToken:
		return done(p.h.CheckToken(ctx, credentials(body.CheckToken.GetCredentials())))
	}
	return &pluginpb.CoreEnvelope{}
}

// raw is JSON that is marshalled as it is.
type raw []byte

func (r raw) MarshalJSON() ([]byte, error) { return r, nil }

// Perceive waits until an envelope of the core has reached the plugin. The test
// fails if it looks otherwise from there.
func (p *Puppet) Perceive(e *pluginpb.CoreEnvelope) {
	p.t.Helper()
	switch body := e.GetBody().(type) {
	case *pluginpb.CoreEnvelope_Deliver:
		p.delivered(body.Deliver)
	case *pluginpb.CoreEnvelope_Recall: // shows by an outcome that is not sent
	case *pluginpb.CoreEnvelope_Evict:
		if got := await(p, p.evicted, "Evict"); !proto.Equal(got, body.Evict) {
			p.t.Fatalf("evicted %v, want %v", got, body.Evict)
		}
	case *pluginpb.CoreEnvelope_Command:
		c, b := await(p, p.commands, "Command"), body.Command
		if c.Name != b.GetCommand() || !bytes.Equal(c.Data, b.GetData()) || c.Receiver != b.GetReceiver() || c.Group != b.GetGroup() {
			p.t.Fatalf("command %+v, want %v", c, b)
		}
	default:
		p.answered(e)
	}
}

func (p *Puppet) delivered(want *pluginpb.Deliver) {
	p.t.Helper()
	for _, r := range want.GetRoutes() {
		d, m := await(p, p.dispatched, "Deliver"), want.GetMessage()
		extra := m.GetExtra()
		if len(extra) == 0 {
			extra = []byte("{}")
		}
		got := &pluginpb.Deliver{
			Message: &pluginpb.Message{
				Mid: d.Message.MID, SendType: d.Message.SendType, Target: d.Message.Target, FromMethod: d.Message.FromMethod,
				FromName: d.Message.FromName, Text: d.Message.Text, Desp: d.Message.Desp, Extra: d.Message.Extra,
			},
			Routes: []*pluginpb.DeliverRoute{{
				Receiver: d.Receiver, Generation: d.Generation, Address: d.Address, Attempt: uint32(d.Attempt), IntervalMs: uint32(d.Interval.Milliseconds()),
			}},
		}
		m = proto.CloneOf(m)
		m.Extra = extra
		if !proto.Equal(got, &pluginpb.Deliver{Message: m, Routes: []*pluginpb.DeliverRoute{r}}) {
			p.t.Fatalf("dispatched %v, want %v", got, want)
		}
		p.deliveries[fmt.Sprint(d.Receiver, d.Message.MID)] = d
	}
}

// answered finds the result of the request that e answers.
func (p *Puppet) answered(e *pluginpb.CoreEnvelope) {
	p.t.Helper()
	want := proto.CloneOf(e)
	clearRequest(want)
	for {
		for i, got := range p.waiting {
			if reflect.TypeOf(got.GetBody()) != reflect.TypeOf(want.GetBody()) {
				continue
			}
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			if !proto.Equal(got, want) {
				p.t.Fatalf("the plugin's call returned %v, want %v", got, want)
			}
			return
		}
		p.waiting = append(p.waiting, await(p, p.results, "the answer"))
	}
}
