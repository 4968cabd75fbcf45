package link

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"mpush/core/auth"
	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/relay"
	"mpush/sdk/pluginpb"
)

const (
	maxErrorBytes = 1 << 10
	maxStateKey   = 256
	maxStateValue = 64 << 10
	maxAnnounced  = 64 << 10
	maxWaitMs     = 10 * 60 * 1000
)

// The kinds of requests that reach the engine: each has its own answer.
const (
	plainRequest uint8 = iota
	publishRequest
	attachRequest
	declareRequest
)

func request(id uint64, kind uint8) engine.RequestID {
	if id == 0 {
		return engine.RequestID{}
	}
	return engine.RequestID{Number: id, Kind: kind}
}

// decode turns an envelope into an event for the engine, or deals with it: then
// it returns nil. A refused request is answered here.
func (l *Link) decode(env *pluginpb.PluginEnvelope) engine.Event {
	id := env.RequestId
	l.pause = 0
	switch body := env.Body.(type) {
	case *pluginpb.PluginEnvelope_Publish:
		return l.publish(id, body.Publish)
	case *pluginpb.PluginEnvelope_GetStatus:
		return l.status(id, body.GetStatus)
	case *pluginpb.PluginEnvelope_Outcome:
		return l.outcome(body.Outcome)
	case *pluginpb.PluginEnvelope_Attach:
		return l.attach(id, body.Attach)
	case *pluginpb.PluginEnvelope_Detach:
		return &engine.Detach{Link: l.id, Receiver: body.Detach.Receiver, Generation: body.Detach.Generation}
	case *pluginpb.PluginEnvelope_Confirm:
		return l.confirm(id, body.Confirm)
	case *pluginpb.PluginEnvelope_Authenticate:
		return l.authenticate(id, body.Authenticate)
	case *pluginpb.PluginEnvelope_Command:
		l.command(id, body.Command)
	case *pluginpb.PluginEnvelope_CommandReply:
		l.Switchboard.reply(l, body.CommandReply)
	case *pluginpb.PluginEnvelope_Register:
		return l.register(id, body.Register)
	case *pluginpb.PluginEnvelope_Unregister:
		session, _, problem := l.caller(body.Unregister.Credentials)
		if problem == nil {
			l.Switchboard.Forget(session.Name)
			return &engine.Unregister{Link: l.id, Request: request(id, plainRequest), Receiver: session.Name}
		}
		l.doneLater(id, problem)
	case *pluginpb.PluginEnvelope_Declare:
		return l.declareRoutes(id, body.Declare)
	case *pluginpb.PluginEnvelope_Announce:
		l.announce(id, body.Announce)
	case *pluginpb.PluginEnvelope_StateGet:
		l.getState(id, body.StateGet.Prefix)
	case *pluginpb.PluginEnvelope_StatePut:
		l.putState(id, body.StatePut)
	case *pluginpb.PluginEnvelope_CheckToken:
		_, problem := l.admit(body.CheckToken.Credentials)
		l.doneLater(id, problem)
	}
	return nil
}

func (l *Link) has(right pluginpb.Right) bool { return slices.Contains(l.Rights, right) }

func (l *Link) publish(id uint64, p *pluginpb.Publish) engine.Event {
	pass, problem := l.admit(p.Credentials)
	from := ""
	if problem == nil && p.GetCredentials().GetAuth() != "" {
		var session auth.Session
		if session, problem = l.session(p.Credentials); problem == nil {
			problem = forbidden(session.Grant.MaySend(message.SendType(p.SendType), p.Target))
		}
		from = session.Name
	}
	if problem == nil {
		problem = forbidden(pass.grant.MaySend(message.SendType(p.SendType), p.Target))
	}
	if problem == nil {
		problem = l.maySend(message.SendType(p.SendType), p.Target)
	}
	if problem == nil {
		problem = l.mayPublish(p.Credentials, from)
	}
	if problem == nil {
		problem = l.withinRate()
	}
	if problem == nil {
		problem = checkExtra(p.Extra)
	}
	if problem == nil {
		problem = checkKey(p.IdempotencyKey)
	}
	if problem != nil {
		l.countRefused(problem)
		l.answer(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{
			Published: &pluginpb.PublishResult{RequestId: id, Error: problem}}})
		return nil
	}
	return &engine.Publish{
		Link: l.id, Request: request(id, publishRequest), FromName: from,
		SendType: message.SendType(p.SendType), Target: p.Target,
		Text: p.Text, Desp: p.Desp, Extra: p.Extra, Wait: int64(min(p.WaitMs, maxWaitMs)),
		TTL: sendersTTL(p.Extra), Key: sendersKey(p, from),
	}
}

// checkExtra makes sure that what reaches receivers is JSON text.
func checkExtra(extra []byte) *pluginpb.Error {
	if len(extra) == 0 {
		return nil
	}
	if trimmed := bytes.TrimLeft(extra, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !utf8.Valid(extra) || !json.Valid(extra) {
		return refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, "extra must be a JSON object in UTF-8")
	}
	return nil
}

func (l *Link) outcome(o *pluginpb.Outcome) engine.Event {
	event := &engine.Outcome{
		Link: l.id, Receiver: o.Receiver, Generation: o.Generation, MID: message.MID(o.Mid),
		After: int64(o.RetryAfterMs), Error: clip(o.Error, maxErrorBytes), Late: o.Late,
	}
	switch o.Kind {
	case pluginpb.OutcomeKind_OUTCOME_KIND_ACKED:
		event.Kind = engine.Acked
	case pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF:
		event.Kind = engine.HandedOff
	case pluginpb.OutcomeKind_OUTCOME_KIND_RETRY:
		event.Kind = engine.Retry
	case pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED:
		event.Kind = engine.Rejected
	case pluginpb.OutcomeKind_OUTCOME_KIND_GONE:
		event.Kind = engine.Gone
	default:
		return nil
	}
	return event
}

func (l *Link) authenticate(id uint64, a *pluginpb.Authenticate) engine.Event {
	pass, problem := l.enter(a.Credentials)
	if problem == nil && (!message.ValidName(a.Name) || a.Group != "" && !message.ValidName(a.Group)) {
		problem = refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, "name and group must have 1 to 256 bytes and no control characters")
	}
	if problem == nil {
		problem = forbidden(pass.grant.MayBe(a.Name, a.Group))
	}
	if problem == nil {
		problem = l.mayHave(a.Name, a.Group)
	}
	if problem != nil {
		l.answer(sessionResult(&pluginpb.SessionResult{RequestId: id, Error: problem}))
		return nil
	}
	return &engine.Enter{
		Link: l.id, Request: request(id, attachRequest), Name: a.Name, Group: a.Group,
		OwnOnly: !l.vouched(pass), Epoch: pass.epoch,
	}
}

func (l *Link) attach(id uint64, a *pluginpb.Attach) engine.Event {
	pass, problem := l.enter(a.Credentials)
	if problem == nil {
		problem = forbidden(pass.grant.MayBe(a.Name, a.Group))
	}
	if problem == nil {
		problem = l.mayHave(a.Name, a.Group)
	}
	if problem != nil {
		l.answer(sessionResult(&pluginpb.SessionResult{RequestId: id, Error: problem}))
		return nil
	}
	return &engine.Attach{
		Link: l.id, Request: request(id, attachRequest), Name: a.Name, Group: a.Group,
		Policy: decodePolicy(a.Policy), Address: a.Address, OwnOnly: !l.vouched(pass), Epoch: pass.epoch,
	}
}

func (l *Link) confirm(id uint64, c *pluginpb.Confirm) engine.Event {
	event := &engine.Confirm{
		Link: l.id, Request: request(id, plainRequest), Receiver: c.Receiver,
		MID: message.MID(c.Mid), HandoffOnly: c.HandoffOnly, ByChannel: c.Receiver != "",
	}
	if c.Receiver == "" {
		session, _, problem := l.caller(c.Credentials)
		if problem != nil {
			l.doneLater(id, problem)
			return nil
		}
		event.Receiver = session.Name
	}
	return event
}

func (l *Link) command(id uint64, c *pluginpb.ClientCommand) {
	session, pass, problem := l.caller(c.Credentials)
	if problem == nil && len(c.Data) > message.MaxSize {
		problem = refusal(pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE, "a command's data may have 1 MiB")
	}
	if problem == nil && len(c.Data) > 0 && (!utf8.Valid(c.Data) || !json.Valid(c.Data)) {
		problem = refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, "data must be JSON in UTF-8")
	}
	if problem != nil {
		l.answer(commandResult(id, "", problem))
		return
	}
	asker := caller{grant: session.Grant, onWord: session.Grant == nil && !l.vouched(pass)}
	l.Switchboard.call(l, id, asker, &pluginpb.ClaimedCommand{
		Command: c.Command, Data: c.Data, Receiver: session.Name, Group: session.Group,
	})
}

func (l *Link) register(id uint64, r *pluginpb.Register) engine.Event {
	askers, asked := l.Switchboard.serves(l, r.Receiver)
	if len(askers) == 0 {
		if !asked {
			l.Conduct.note(Uninvited)
		}
		l.done(id, refusal(pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN, "a route is registered while answering a command of its receiver"))
		return nil
	}
	// Which of its commands this is for, the plugin does not say: one that allows
	// it is enough.
	var problem *pluginpb.Error
	onWord := true
	for _, asker := range askers {
		if problem = forbidden(asker.grant.MayBe(r.Receiver, r.Group)); problem == nil {
			break
		}
	}
	for _, asker := range askers {
		onWord = onWord && asker.onWord
	}
	if problem == nil {
		problem = l.mayHave(r.Receiver, r.Group)
	}
	if problem != nil {
		l.done(id, problem)
		return nil
	}
	return &engine.Register{Link: l.id, Request: request(id, plainRequest), OwnOnly: onWord && !l.vouched(pass{}), Route: engine.RouteSpec{
		Receiver: r.Receiver, Group: r.Group, Address: r.Address, Policy: decodePolicy(r.Policy),
	}}
}

func (l *Link) declareRoutes(id uint64, d *pluginpb.Declare) engine.Event {
	if l.declared {
		l.done(id, refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, "routes are declared once per stream"))
		return nil
	}
	l.declared = true
	if id == 0 { // the engine would not answer, which the channel's start waits for
		l.refuseRoutes("Declare has no request_id")
		return nil
	}
	takeNames := l.has(pluginpb.Right_RIGHT_TAKE_NAMES)
	event := &engine.Declare{
		Link: l.id, Request: request(id, declareRequest), TakeNames: takeNames, OwnOnly: !takeNames && !l.vouched(pass{}),
	}
	for _, r := range d.Routes {
		if problem := l.mayHave(r.Receiver, r.Group); problem != nil {
			l.refuseRoutes(problem.Message)
			l.done(id, problem)
			return nil
		}
		event.Routes = append(event.Routes, engine.RouteSpec{
			Receiver: r.Receiver, Group: r.Group, Address: r.Address, Policy: decodePolicy(r.Policy),
		})
	}
	return event
}

func (l *Link) announce(id uint64, a *pluginpb.Announce) {
	size := 0
	for name, value := range a.Fields {
		size += len(name) + len(value)
		if !json.Valid(value) || !utf8.Valid(value) {
			l.done(id, refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, "announced values must be JSON in UTF-8"))
			return
		}
	}
	if size > maxAnnounced {
		l.Conduct.note(OverLimit)
		l.done(id, refusal(pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE, "announcements may have 64 KiB together"))
		return
	}
	l.Switchboard.announce(l.Channel, a.Fields)
	l.done(id, nil)
}

// getState answers before anything else is read: an answer may have 1 MiB, so
// that one at a time is under way.
func (l *Link) getState(id uint64, prefix string) {
	l.out.waitForRoom(l.over)
	before, answered := time.Now(), make(chan struct{})
	l.Relay.State(l.Channel, prefix, func(entries map[string][]byte, err error) {
		l.out.post(stateResult(id, entries, err))
		close(answered)
	})
	select {
	case <-answered:
	case <-l.over:
	}
	l.waited(before)
}

func (l *Link) putState(id uint64, s *pluginpb.StatePut) {
	defer l.waited(time.Now())
	if s.Key == "" || len(s.Key) > maxStateKey || len(s.Value) > maxStateValue {
		l.Conduct.note(OverLimit)
		l.done(id, refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, "a state entry has a key of 1 to 256 bytes and a value of at most 64 KiB"))
		return
	}
	l.Relay.PutState(&record.PutState{Channel: l.Channel, Key: s.Key, Value: s.Value}, func(err error) {
		var problem *pluginpb.Error
		switch {
		case errors.Is(err, relay.ErrStateLimit):
			l.Conduct.note(OverLimit)
			problem = refusal(pluginpb.ErrorCode_ERROR_CODE_LIMIT, err.Error())
		case err != nil:
			problem = refusal(pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE, err.Error())
		}
		l.done(id, problem)
	})
}

func decodePolicy(p *pluginpb.Policy) record.Policy {
	return record.Policy{
		Exclusive: p.GetExclusive(), Acks: p.GetAcks(), Prefetch: int(p.GetPrefetch()),
		Resend: int64(p.GetResendMs()), Retry: int64(p.GetRetryMs()), RetryMax: int64(p.GetRetryMaxMs()),
	}
}
