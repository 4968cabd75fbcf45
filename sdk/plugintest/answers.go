package plugintest

import (
	"maps"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// answer does what a request asks for and answers it.
func (c *Core) answer(e *pluginpb.PluginEnvelope) {
	id := e.GetRequestId()
	if c.options.Answer != nil {
		if answer := c.options.Answer(e); answer != nil {
			setRequestID(answer, id)
			c.Send(answer)
			return
		}
	}
	if p := e.GetPublish(); p != nil {
		c.answers.Go(func() { c.Send(c.publish(id, p)) })
		return
	}
	c.mu.Lock()
	answers := c.plain(id, e)
	c.mu.Unlock()
	if len(answers) > 0 {
		c.Send(answers...)
	}
}

func (c *Core) publish(id uint64, p *pluginpb.Publish) *pluginpb.CoreEnvelope {
	c.mu.Lock()
	_, refused := c.check(p.GetCredentials())
	mid := c.book.nextMID()
	c.mu.Unlock()
	result := &pluginpb.PublishResult{Error: refused}
	switch {
	case refused != nil:
	case c.options.Publish != nil:
		result = c.options.Publish(p)
	default:
		result.Mid = mid
		if p.GetSendType() == sdk.Personal {
			result.Statuses = []*pluginpb.ReceiverStatus{{Receiver: p.GetTarget(), Status: "ok"}}
		}
	}
	result.RequestId = id
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{Published: result}}
}

// plain answers everything but Publish. Called with the lock held.
func (c *Core) plain(id uint64, e *pluginpb.PluginEnvelope) []*pluginpb.CoreEnvelope {
	switch body := e.GetBody().(type) {
	case *pluginpb.PluginEnvelope_Declare:
		for _, r := range body.Declare.GetRoutes() {
			c.book.route(r.GetReceiver(), r.GetGroup(), r.GetAddress(), r.GetPolicy())
		}
		return done(id, nil)
	case *pluginpb.PluginEnvelope_Authenticate:
		a := body.Authenticate
		_, refused := c.check(a.GetCredentials())
		return c.sessionResult(id, a.GetName(), a.GetGroup(), 0, refused)
	case *pluginpb.PluginEnvelope_Attach:
		return c.attach(id, body.Attach)
	case *pluginpb.PluginEnvelope_Detach:
		d := body.Detach
		if r := c.book.routes[d.GetReceiver()]; r != nil && r.generation == d.GetGeneration() {
			delete(c.book.routes, d.GetReceiver())
		}
	case *pluginpb.PluginEnvelope_Register:
		r := body.Register
		c.book.route(r.GetReceiver(), r.GetGroup(), r.GetAddress(), r.GetPolicy())
		return done(id, nil)
	case *pluginpb.PluginEnvelope_Unregister:
		caller, refused := c.known(body.Unregister.GetCredentials())
		answers := done(id, refused)
		if r := c.book.routes[caller.name]; refused == nil && r != nil {
			delete(c.book.routes, caller.name)
			answers = append(answers, evict(caller.name, r.generation, sdk.Eviction{Cause: sdk.Forgotten, Reason: "unregistered"}))
		}
		return answers
	case *pluginpb.PluginEnvelope_Confirm:
		var refused *pluginpb.Error
		if body.Confirm.GetReceiver() == "" {
			_, refused = c.known(body.Confirm.GetCredentials())
		}
		return done(id, refused)
	case *pluginpb.PluginEnvelope_Command:
		return c.command(id, body.Command)
	case *pluginpb.PluginEnvelope_Announce:
		c.book.fields = maps.Clone(body.Announce.GetFields())
		return done(id, nil)
	case *pluginpb.PluginEnvelope_StateGet:
		return []*pluginpb.CoreEnvelope{{Body: &pluginpb.CoreEnvelope_State{State: &pluginpb.StateResult{
			RequestId: id, Entries: c.book.stateWith(body.StateGet.GetPrefix()),
		}}}}
	case *pluginpb.PluginEnvelope_StatePut:
		if len(body.StatePut.GetValue()) == 0 {
			delete(c.book.state, body.StatePut.GetKey())
		} else {
			c.book.state[body.StatePut.GetKey()] = body.StatePut.GetValue()
		}
		return done(id, nil)
	case *pluginpb.PluginEnvelope_GetStatus:
		// A session will do, or else the token; the plugin's word will not.
		given := body.GetStatus.GetCredentials()
		_, refused := c.known(&pluginpb.Credentials{Auth: given.GetAuth()})
		if refused != nil {
			_, refused = c.check(&pluginpb.Credentials{Token: given.GetToken()})
		}
		result := &pluginpb.PublishResult{RequestId: id, Mid: body.GetStatus.GetMid(), Error: refused}
		if refused == nil {
			result.Statuses = []*pluginpb.ReceiverStatus{{Receiver: "phone", Status: "ok"}}
		}
		return []*pluginpb.CoreEnvelope{{Body: &pluginpb.CoreEnvelope_Published{Published: result}}}
	case *pluginpb.PluginEnvelope_CheckToken:
		_, refused := c.check(body.CheckToken.GetCredentials())
		return done(id, refused)
	}
	return nil
}

func (c *Core) attach(id uint64, a *pluginpb.Attach) []*pluginpb.CoreEnvelope {
	if _, refused := c.check(a.GetCredentials()); refused != nil {
		return c.sessionResult(id, "", "", 0, refused)
	}
	old := c.book.routes[a.GetName()]
	made := c.book.route(a.GetName(), a.GetGroup(), a.GetAddress(), a.GetPolicy())
	answers := c.sessionResult(id, a.GetName(), a.GetGroup(), made.generation, nil)
	if old != nil {
		answers = append(answers, evict(a.GetName(), old.generation, sdk.Eviction{Cause: sdk.TakenOver, Reason: "taken over"}))
	}
	return answers
}

func (c *Core) sessionResult(id uint64, name, group string, generation uint64, refused *pluginpb.Error) []*pluginpb.CoreEnvelope {
	result := &pluginpb.SessionResult{RequestId: id, Error: refused}
	if refused == nil {
		result.Auth = c.book.session(name, group)
		result.Generation = generation
		result.Announcements = map[string][]byte{}
		for field, text := range c.options.Announcements {
			result.Announcements[field] = []byte(text)
		}
	}
	return []*pluginpb.CoreEnvelope{{Body: &pluginpb.CoreEnvelope_Session{Session: result}}}
}

func (c *Core) command(id uint64, command *pluginpb.ClientCommand) []*pluginpb.CoreEnvelope {
	_, refused := c.known(command.GetCredentials())
	result := &pluginpb.CommandResult{Error: refused}
	switch {
	case refused != nil:
	case c.options.Command != nil:
		result = c.options.Command(command)
	default:
		result.Error = &pluginpb.Error{Code: sdk.CodeUnknownCommand, Message: "unknown command"}
	}
	result.RequestId = id
	return []*pluginpb.CoreEnvelope{{Body: &pluginpb.CoreEnvelope_CommandResult{CommandResult: result}}}
}

func done(id uint64, refused *pluginpb.Error) []*pluginpb.CoreEnvelope {
	return []*pluginpb.CoreEnvelope{{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{RequestId: id, Error: refused}}}}
}

func evict(receiver string, generation uint64, why sdk.Eviction) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Evict{Evict: &pluginpb.Evict{
		Receiver: receiver, Generation: generation, Cause: why.Cause, Reason: why.Reason,
	}}}
}

func setRequestID(e *pluginpb.CoreEnvelope, id uint64) {
	switch body := e.GetBody().(type) {
	case *pluginpb.CoreEnvelope_Done:
		body.Done.RequestId = id
	case *pluginpb.CoreEnvelope_Published:
		body.Published.RequestId = id
	case *pluginpb.CoreEnvelope_Session:
		body.Session.RequestId = id
	case *pluginpb.CoreEnvelope_CommandResult:
		body.CommandResult.RequestId = id
	case *pluginpb.CoreEnvelope_State:
		body.State.RequestId = id
	}
}
