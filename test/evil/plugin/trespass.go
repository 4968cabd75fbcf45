package main

import (
	"mpush/sdk/pluginpb"
)

// trespasses are vices of a plugin that does what its entry does not allow it.
func trespasses() map[string]vice {
	return map[string]vice{
		"sends-foreign":    {act: sendForeign},
		"serves-foreign":   {act: serveForeign},
		"stands-beside":    {act: standBeside},
		"sends-too-fast":   {act: sendTooFast},
		"hoards":           {declares: declareHoards, act: func(x *exchange) error { return x.ignore() }},
		"declares-foreign": {declares: func() []*pluginpb.DeclaredRoute { return []*pluginpb.DeclaredRoute{{Receiver: "stranger"}} }},
		"declares-beside":  {declares: func() []*pluginpb.DeclaredRoute { return []*pluginpb.DeclaredRoute{{Receiver: "hook"}} }},
	}
}

func trusted() *pluginpb.Credentials { return &pluginpb.Credentials{Trusted: true} }

func (x *exchange) publish(kind pluginpb.SendType, target, text string) *pluginpb.PluginEnvelope {
	return x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{
		Credentials: trusted(), SendType: kind, Target: target, Text: text,
	}}})
}

// sendForeign sends to everybody but those that it may send to.
func sendForeign(x *exchange) error {
	return x.forever(pause, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		for _, receiver := range victims {
			envelopes = append(envelopes,
				x.publish(pluginpb.SendType_SEND_TYPE_PERSONAL, receiver, "from evil"), x.publish(pluginpb.SendType_SEND_TYPE_GROUP, "everybody", "from evil"))
		}
		return x.send(envelopes...)
	})
}

// enterAs wants a route and a session for each victim, and for a name that nobody
// has yet.
func (x *exchange) enterAs() []*pluginpb.PluginEnvelope {
	var envelopes []*pluginpb.PluginEnvelope
	for _, receiver := range append(victims[:], "stranger") {
		envelopes = append(envelopes,
			x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Attach{Attach: &pluginpb.Attach{Credentials: trusted(), Name: receiver, Policy: &pluginpb.Policy{Acks: true}}}}),
			x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Authenticate{Authenticate: &pluginpb.Authenticate{Credentials: trusted(), Name: receiver}}}))
	}
	return envelopes
}

// serveForeign wants what its entry does not give it.
func serveForeign(x *exchange) error {
	return x.forever(pause, func() error { return x.send(x.enterAs()...) })
}

// standBeside wants the messages of others beside them, and their sessions.
func standBeside(x *exchange) error {
	return x.forever(pause, func() error {
		all := x.enterAs()
		return x.send(all[:len(all)-2]...) // a name that nobody has is free
	})
}

// sendTooFast sends to somebody who is away, far more than it may.
func sendTooFast(x *exchange) error {
	return x.forever(pause, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		for range 100 {
			envelopes = append(envelopes, x.publish(pluginpb.SendType_SEND_TYPE_PERSONAL, "slow", "many"))
		}
		return x.send(envelopes...)
	})
}

// declareHoards are receivers whose messages it takes and never settles.
func declareHoards() (routes []*pluginpb.DeclaredRoute) {
	for _, name := range []string{"hoard-1", "hoard-2", "hoard-3", "hoard-4"} {
		routes = append(routes, &pluginpb.DeclaredRoute{Receiver: name, Policy: &pluginpb.Policy{Exclusive: true, Acks: true}})
	}
	return routes
}
