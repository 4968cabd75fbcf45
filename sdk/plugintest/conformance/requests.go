package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"mpush/sdk/packet"
	"mpush/sdk/pluginpb"
)

// misformed notes a request that no core would take.
func (l *life) misformed(format string, args ...any) {
	l.kit.mu.Lock()
	defer l.kit.mu.Unlock()
	l.kit.memory.misformed = append(l.kit.memory.misformed, fmt.Sprintf(format, args...))
}

// answer does what a request asks for and answers it. Called with mu held.
func (l *life) answer(e *pluginpb.PluginEnvelope) {
	id := e.GetRequestId()
	switch body := e.GetBody().(type) {
	case *pluginpb.PluginEnvelope_Declare:
		if l.declared = append(l.declared, e); len(l.declared) > 1 {
			l.misformed("a second Declare: send one in the life of a stream, with all routes")
			l.done(id, refuse(pluginpb.ErrorCode_ERROR_CODE_INVALID, "routes are declared once per stream"))
			return
		}
		for _, r := range body.Declare.GetRoutes() {
			l.raise(r)
		}
		l.done(id, nil)
	case *pluginpb.PluginEnvelope_Register:
		l.done(id, l.register(body.Register))
	case *pluginpb.PluginEnvelope_Unregister:
		_, refused := l.caller(body.Unregister.GetCredentials())
		l.done(id, refused)
	case *pluginpb.PluginEnvelope_Authenticate:
		a := body.Authenticate
		refused := l.admit(a.GetCredentials())
		if invalid := l.named("Authenticate", "name", a.GetName(), "group", a.GetGroup()); refused == nil {
			refused = invalid
		}
		l.session(id, a.GetName(), 0, refused)
	case *pluginpb.PluginEnvelope_Attach:
		l.attach(id, body.Attach)
	case *pluginpb.PluginEnvelope_Detach:
		l.detach(body.Detach.GetReceiver(), body.Detach.GetGeneration())
	case *pluginpb.PluginEnvelope_Publish:
		l.publish(id, body.Publish)
	case *pluginpb.PluginEnvelope_GetStatus:
		l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{Published: &pluginpb.PublishResult{
			RequestId: id, Error: refuse(pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND, "no such message"),
		}}})
	case *pluginpb.PluginEnvelope_Command:
		l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_CommandResult{CommandResult: &pluginpb.CommandResult{
			RequestId: id, Error: refuse(pluginpb.ErrorCode_ERROR_CODE_UNKNOWN_COMMAND, "nobody claims it"),
		}}})
	case *pluginpb.PluginEnvelope_Announce:
		l.done(id, l.announce(body.Announce))
	case *pluginpb.PluginEnvelope_StateGet:
		l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_State{State: &pluginpb.StateResult{
			RequestId: id, Entries: l.kit.stateWith(body.StateGet.GetPrefix()),
		}}})
	case *pluginpb.PluginEnvelope_StatePut:
		l.done(id, l.keep(body.StatePut))
	case *pluginpb.PluginEnvelope_CheckToken:
		l.done(id, l.admit(body.CheckToken.GetCredentials()))
	case *pluginpb.PluginEnvelope_CommandReply:
		l.replies[body.CommandReply.GetId()] = body.CommandReply
	case *pluginpb.PluginEnvelope_Confirm:
		l.done(id, nil)
	default:
		l.misformed("an envelope without a body that protocol 1 knows: features must be negotiated, and the kit offers none")
	}
}

func refuse(code pluginpb.ErrorCode, message string) *pluginpb.Error {
	return &pluginpb.Error{Code: code, Message: message}
}

func (l *life) done(id uint64, refused *pluginpb.Error) {
	if id == 0 {
		return // no answer is wanted
	}
	l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{RequestId: id, Error: refused}}})
}

// caller tells whose session credentials hold, and refuses those without one.
func (l *life) caller(c *pluginpb.Credentials) (name string, refused *pluginpb.Error) {
	l.kit.mu.Lock()
	defer l.kit.mu.Unlock()
	name, known := l.kit.memory.sessions[c.GetAuth()]
	if !known {
		return "", refuse(pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, "auth invalid")
	}
	return name, nil
}

// admit refuses credentials that are not good.
func (l *life) admit(c *pluginpb.Credentials) *pluginpb.Error {
	if c.GetAuth() != "" {
		_, refused := l.caller(c)
		return refused
	}
	if c.GetTrusted() && !l.granted(pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN) {
		l.misformed("credentials with \"trusted\": that takes the right ACCEPT_WITHOUT_TOKEN, which Describe must ask for")
	} else if c.GetTrusted() || c.GetToken() == Token {
		return nil
	}
	return refuse(pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, "Token invalid")
}

// misnamed says why a receiver, or what else has a name, and its group can not be
// called that, each after the name of its field. No group is in order.
func misnamed(field, name, groupField, group string) error {
	if err := packet.CheckName(field, name); err != nil {
		return err
	}
	if group == "" {
		return nil
	}
	return packet.CheckName(groupField, group)
}

// named refuses names that no core would take.
func (l *life) named(request, field, name, groupField, group string) *pluginpb.Error {
	err := misnamed(field, name, groupField, group)
	if err == nil {
		return nil
	}
	l.misformed("%s: %v", request, err)
	return refuse(pluginpb.ErrorCode_ERROR_CODE_INVALID, err.Error())
}

// session answers Authenticate and Attach.
func (l *life) session(id uint64, name string, generation uint64, refused *pluginpb.Error) {
	result := &pluginpb.SessionResult{RequestId: id, Error: refused}
	if refused == nil {
		result.Auth, result.Generation = "auth/"+name, generation
		l.kit.mu.Lock()
		l.kit.memory.sessions[result.Auth] = name
		l.kit.mu.Unlock()
	}
	l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Session{Session: result}})
}

func (l *life) attach(id uint64, a *pluginpb.Attach) {
	refused := l.admit(a.GetCredentials())
	if invalid := l.named("Attach", "name", a.GetName(), "group", a.GetGroup()); refused == nil {
		refused = invalid
	}
	if refused != nil {
		l.session(id, "", 0, refused)
		return
	}
	old := l.ledger.routes[a.GetName()]
	made := l.raise(&pluginpb.DeclaredRoute{Receiver: a.GetName(), Group: a.GetGroup(), Address: a.GetAddress(), Policy: a.GetPolicy()})
	made.attached = true
	l.session(id, a.GetName(), made.generation, nil)
	if old != nil {
		l.send(evict(a.GetName(), old.generation, "taken over"))
	}
}

// register keeps a route for a receiver whose command the plugin answers.
func (l *life) register(r *pluginpb.Register) *pluginpb.Error {
	const mostAddress = 64 << 10
	if n := len(r.GetAddress()); n > mostAddress {
		l.misformed("Register: an address of %d bytes: keep %d at most", n, mostAddress)
		return refuse(pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE, "address")
	}
	if invalid := l.named("Register", "receiver", r.GetReceiver(), "group", r.GetGroup()); invalid != nil {
		return invalid
	}
	route := &pluginpb.DeclaredRoute{Receiver: r.GetReceiver(), Group: r.GetGroup(), Address: r.GetAddress(), Policy: r.GetPolicy()}
	l.kit.mu.Lock()
	allowed := l.kit.memory.calling[r.GetReceiver()] > 0
	if allowed {
		l.kit.memory.registered[r.GetReceiver()] = route
	}
	l.kit.mu.Unlock()
	if !allowed {
		return refuse(pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN, "no command of this receiver is being answered")
	}
	l.raise(route)
	return nil
}

func (l *life) publish(id uint64, p *pluginpb.Publish) {
	const mostBytes, mostKey = 1 << 20, 256
	l.kit.mu.Lock()
	l.kit.memory.published++
	l.kit.mu.Unlock()
	result := &pluginpb.PublishResult{RequestId: id, Error: l.admit(p.GetCredentials())}
	wrong := func(format string, args ...any) {
		l.misformed("Publish: "+format, args...)
		result.Error = refuse(pluginpb.ErrorCode_ERROR_CODE_INVALID, "malformed")
	}
	if p.GetSendType() != pluginpb.SendType_SEND_TYPE_PERSONAL && p.GetSendType() != pluginpb.SendType_SEND_TYPE_GROUP {
		wrong("send_type %d: say whether the target is a receiver or a group", p.GetSendType())
	}
	if err := misnamed("target", p.GetTarget(), "", ""); err != nil {
		wrong("%v", err)
	}
	if extra := p.GetExtra(); len(extra) > 0 && (!json.Valid(extra) || !strings.HasPrefix(strings.TrimSpace(string(extra)), "{")) {
		wrong("extra is no JSON object")
	}
	if n := len(p.GetText()) + len(p.GetDesp()) + len(p.GetExtra()); n > mostBytes {
		wrong("text, desp and extra of %d bytes: keep them under %d", n, mostBytes)
	}
	if n := len(p.GetIdempotencyKey()); n > mostKey {
		wrong("an idempotency key of %d bytes: keep it to %d", n, mostKey)
	}
	if result.Error == nil {
		result.Mid = l.kit.nextMID()
		if p.GetSendType() == pluginpb.SendType_SEND_TYPE_PERSONAL {
			result.Statuses = []*pluginpb.ReceiverStatus{{Receiver: p.GetTarget(), Status: "ok"}}
		}
	}
	if id != 0 {
		l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{Published: result}})
	}
}

// announce takes what the plugin tells clients.
func (l *life) announce(a *pluginpb.Announce) *pluginpb.Error {
	const mostBytes = 64 << 10
	size := 0
	for name, value := range a.GetFields() {
		size += len(name) + len(value)
		if !json.Valid(value) || !utf8.Valid(value) {
			l.misformed("Announce: the value of %q is no JSON in UTF-8", name)
			return refuse(pluginpb.ErrorCode_ERROR_CODE_INVALID, "malformed")
		}
	}
	if size > mostBytes {
		l.misformed("Announce: names and values of %d bytes: keep to %d together", size, mostBytes)
		return refuse(pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE, "announcements")
	}
	return nil
}

// keep writes an entry of the plugin's state.
func (l *life) keep(put *pluginpb.StatePut) *pluginpb.Error {
	const mostKey, mostValue, mostTogether = 256, 64 << 10, 1 << 20
	if n := len(put.GetKey()); n == 0 || n > mostKey || len(put.GetValue()) > mostValue {
		l.misformed("StatePut: a key of %d bytes with a value of %d: keep to 1 to %d and %d", n, len(put.GetValue()), mostKey, mostValue)
		return refuse(pluginpb.ErrorCode_ERROR_CODE_INVALID, "key or value too long")
	}
	size := len(put.GetKey()) + len(put.GetValue())
	for key, value := range l.kit.stateWith("") {
		if key != put.GetKey() {
			size += len(key) + len(value)
		}
	}
	if size > mostTogether && len(put.GetValue()) > 0 {
		l.misformed("StatePut: entries of %d bytes: keep to %d together, keys and values", size, mostTogether)
		return refuse(pluginpb.ErrorCode_ERROR_CODE_LIMIT, "the channel's state")
	}
	l.kit.mu.Lock()
	defer l.kit.mu.Unlock()
	if len(put.GetValue()) == 0 {
		delete(l.kit.memory.state, put.GetKey())
	} else {
		l.kit.memory.state[put.GetKey()] = put.GetValue()
	}
	return nil
}

func (k *Kit) stateWith(prefix string) map[string][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := map[string][]byte{}
	for key, value := range k.memory.state {
		if strings.HasPrefix(key, prefix) {
			found[key] = value
		}
	}
	return found
}

// populate makes the routes that the plugin does not declare: those of earlier
// lives, those of the target's commands, and those of whom its FarSide attaches.
func (l *life) populate(ctx context.Context) error {
	if l.populated {
		return nil
	}
	l.populated = true
	k := l.kit
	k.mu.Lock()
	registered := make([]*pluginpb.DeclaredRoute, 0, len(k.memory.registered))
	for _, r := range k.memory.registered {
		registered = append(registered, r)
	}
	k.mu.Unlock()
	l.mu.Lock()
	for _, r := range registered {
		if l.ledger.routes[r.GetReceiver()] == nil {
			l.raise(r)
		}
	}
	l.mu.Unlock()
	if len(registered) == 0 {
		for _, receiver := range k.target.Receivers {
			for _, c := range k.target.Commands {
				reply, err := l.call(ctx, c, receiver)
				if err != nil {
					return err
				}
				if e := reply.GetError(); e != nil && e.GetCode() != 0 {
					return fmt.Errorf("the command %s of %q is refused: %s", c.Name, receiver, e.GetMessage())
				}
			}
		}
	}
	if k.target.FarSide != nil {
		if err := k.target.FarSide(l.ctx, l.endpoints); err != nil {
			return fmt.Errorf("the far side: %w", err)
		}
	}
	return nil
}

// call sends a claimed command and waits for the reply.
func (l *life) call(ctx context.Context, c Command, receiver string) (*pluginpb.CommandReply, error) {
	k := l.kit
	k.mu.Lock()
	k.memory.request++
	id := k.memory.request
	k.memory.calling[receiver]++
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.memory.calling[receiver]--
	}()
	l.mu.Lock()
	l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{
		Id: id, Command: c.Name, Data: []byte(c.Data), Receiver: receiver,
	}}})
	l.mu.Unlock()
	err := l.await(ctx, k.target.Patience, func() bool { return l.replies[id] != nil })
	if errors.Is(err, errTimeout) {
		return nil, fmt.Errorf("the command %s has no CommandReply within %v: answer each ClaimedCommand with one that carries its id", c.Name, k.target.Patience)
	}
	if err != nil {
		return nil, fmt.Errorf("command %s: %w", c.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.replies[id], nil
}
