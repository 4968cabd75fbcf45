package sdk

import (
	"context"
	"encoding/json"
	"fmt"

	"mpush/sdk/pluginpb"
)

var _ Host = (*exchange)(nil)

func (x *exchange) Channel() string { return x.channel }

func (x *exchange) Publish(ctx context.Context, p Publish) (Published, error) {
	if !allUTF8(p.Target, p.Text, p.Desp, p.IdempotencyKey) || !allUTF8(p.Credentials.strings()...) {
		return Published{}, errNotUTF8()
	}
	answer, err := x.request(ctx, hooks{queued: p.Queued}, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{
		Credentials: p.Credentials.proto(),
		SendType:    p.SendType,
		Target:      p.Target,
		Text:        p.Text,
		Desp:        p.Desp,
		Extra:       p.Extra,
		WaitMs:      milliseconds(p.Wait),

		IdempotencyKey: p.IdempotencyKey,
	}}})
	if err != nil {
		return Published{}, err
	}
	return published(answer)
}

func (x *exchange) Status(ctx context.Context, c Credentials, mid int64) (Published, error) {
	if !allUTF8(c.strings()...) {
		return Published{}, errNotUTF8()
	}
	answer, err := x.request(ctx, hooks{}, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_GetStatus{GetStatus: &pluginpb.GetStatus{
		Credentials: c.proto(), Mid: mid,
	}}})
	if err != nil {
		return Published{}, err
	}
	return published(answer)
}

func published(answer *pluginpb.CoreEnvelope) (Published, error) {
	result := answer.GetPublished()
	if result == nil {
		return Published{}, errStrangeAnswer()
	}
	if err := refusal(result.GetError()); err != nil {
		return Published{}, err
	}
	p := Published{MID: result.GetMid(), Statuses: make([]Status, 0, len(result.GetStatuses()))}
	for _, s := range result.GetStatuses() {
		p.Statuses = append(p.Statuses, Status{Receiver: s.GetReceiver(), Status: s.GetStatus()})
	}
	return p, nil
}

func (x *exchange) Authenticate(ctx context.Context, c Credentials, name, group string) (Session, error) {
	if !allUTF8(name, group) || !allUTF8(c.strings()...) {
		return Session{}, errNotUTF8()
	}
	return x.session(ctx, nil, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Authenticate{Authenticate: &pluginpb.Authenticate{
		Credentials: c.proto(), Name: name, Group: group,
	}}})
}

func (x *exchange) Attach(ctx context.Context, a Attach) (Session, error) {
	if !allUTF8(a.Name, a.Group) || !allUTF8(a.Credentials.strings()...) {
		return Session{}, errNotUTF8()
	}
	return x.session(ctx, &a, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Attach{Attach: &pluginpb.Attach{
		Credentials: a.Credentials.proto(),
		Name:        a.Name,
		Group:       a.Group,
		Policy:      a.Policy.proto(),
		Address:     a.Address,
	}}})
}

func (x *exchange) session(ctx context.Context, attach *Attach, e *pluginpb.PluginEnvelope) (Session, error) {
	answer, err := x.request(ctx, hooks{attach: attach}, e)
	if err != nil {
		return Session{}, err
	}
	result := answer.GetSession()
	if result == nil {
		return Session{}, errStrangeAnswer()
	}
	if err := refusal(result.GetError()); err != nil {
		return Session{}, err
	}
	return newSession(result), nil
}

func newSession(result *pluginpb.SessionResult) Session {
	return Session{
		Auth:          result.GetAuth(),
		Generation:    result.GetGeneration(),
		Announcements: result.GetAnnouncements(),
	}
}

func (x *exchange) Detach(receiver string, generation uint64) {
	if allUTF8(receiver) && x.sequencer.detach(receiver, generation) {
		x.outbox.post(detachEnvelope(receiver, generation))
	}
}

func detachEnvelope(receiver string, generation uint64) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Detach{Detach: &pluginpb.Detach{
		Receiver: receiver, Generation: generation,
	}}}
}

func (x *exchange) Acked(receiver string, generation uint64, mid int64) {
	if x.sequencer.acked(receiver, generation, mid) || !allUTF8(receiver) {
		return
	}
	// A client can send these as fast as it likes: it waits while the core is
	// behind. The error is that the core is gone.
	ack := outcome{kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED}
	_ = x.outbox.put(x.ctx, newOutcome(receiver, generation, mid, ack, true))
}

func (x *exchange) Confirm(ctx context.Context, c Confirm) error {
	if !allUTF8(c.Receiver) || !allUTF8(c.Credentials.strings()...) {
		return errNotUTF8()
	}
	return x.do(ctx, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{
		Credentials: c.Credentials.proto(), Mid: c.MID, Receiver: c.Receiver, HandoffOnly: c.HandoffOnly,
	}}})
}

func (x *exchange) Command(ctx context.Context, c ClientCommand) (info string, err error) {
	if !allUTF8(c.Name) || !allUTF8(c.Credentials.strings()...) {
		return "", errNotUTF8()
	}
	answer, err := x.request(ctx, hooks{queued: c.Queued}, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{
		Credentials: c.Credentials.proto(), Command: c.Name, Data: c.Data,
	}}})
	if err != nil {
		return "", err
	}
	result := answer.GetCommandResult()
	if result == nil {
		return "", errStrangeAnswer()
	}
	return result.GetInfo(), refusal(result.GetError())
}

func (x *exchange) Register(ctx context.Context, r Route) error {
	if !allUTF8(r.Receiver, r.Group) {
		return errNotUTF8()
	}
	return x.do(ctx, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{
		Receiver: r.Receiver, Group: r.Group, Address: r.Address, Policy: r.Policy.proto(),
	}}})
}

func (x *exchange) Unregister(ctx context.Context, c Credentials) error {
	if !allUTF8(c.strings()...) {
		return errNotUTF8()
	}
	return x.do(ctx, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{
		Credentials: c.proto(),
	}}})
}

func (x *exchange) Announce(ctx context.Context, fields map[string]any) error {
	announced := make(map[string][]byte, len(fields))
	for name, value := range fields {
		if !allUTF8(name) {
			return errNotUTF8()
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("announce %q: %w", name, err)
		}
		announced[name] = text
	}
	return x.do(ctx, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Announce{Announce: &pluginpb.Announce{
		Fields: announced,
	}}})
}

func (x *exchange) State(ctx context.Context, prefix string) (map[string][]byte, error) {
	if !allUTF8(prefix) {
		return nil, errNotUTF8()
	}
	answer, err := x.request(ctx, hooks{}, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StateGet{StateGet: &pluginpb.StateGet{
		Prefix: prefix,
	}}})
	if err != nil {
		return nil, err
	}
	result := answer.GetState()
	if result == nil {
		return nil, errStrangeAnswer()
	}
	if err := refusal(result.GetError()); err != nil {
		return nil, err
	}
	return result.GetEntries(), nil
}

func (x *exchange) SetState(ctx context.Context, key string, value []byte) error {
	if !allUTF8(key) {
		return errNotUTF8()
	}
	return x.do(ctx, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{
		Key: key, Value: value,
	}}})
}

func (x *exchange) CheckToken(ctx context.Context, c Credentials) error {
	if !allUTF8(c.strings()...) {
		return errNotUTF8()
	}
	return x.do(ctx, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{
		Credentials: c.proto(),
	}}})
}

// do makes a request that yields nothing.
func (x *exchange) do(ctx context.Context, e *pluginpb.PluginEnvelope) error {
	answer, err := x.request(ctx, hooks{}, e)
	if err != nil {
		return err
	}
	done := answer.GetDone()
	if done == nil {
		return errStrangeAnswer()
	}
	return refusal(done.GetError())
}

// hooks are what else is to happen with a request; neither need be set.
type hooks struct {
	queued func()  // called once the request is in line
	attach *Attach // see call
}

// request sends e and waits for its answer. It fails if ctx or the stream ends
// before.
func (x *exchange) request(ctx context.Context, h hooks, e *pluginpb.PluginEnvelope) (*pluginpb.CoreEnvelope, error) {
	id, c := x.calls.open(h.attach)
	if c == nil {
		return nil, errCoreGone()
	}
	e.RequestId = id
	if err := x.outbox.put(ctx, e); err != nil {
		x.calls.take(id)
		return nil, err
	}
	if h.queued != nil {
		h.queued()
	}
	var answer *pluginpb.CoreEnvelope
	select {
	case answer = <-c.answer:
	case <-ctx.Done():
		if x.calls.abandon(id) {
			return nil, ctx.Err()
		}
		answer = <-c.answer
	}
	if answer == nil {
		return nil, ErrUnanswered
	}
	return answer, nil
}

func errNotUTF8() error {
	return &Error{Code: CodeInvalid, Message: "text that is not valid UTF-8"}
}

func errStrangeAnswer() error {
	return &Error{Code: CodeUnavailable, Message: "the core gave an answer of another kind"}
}
