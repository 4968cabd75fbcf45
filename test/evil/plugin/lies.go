package main

import (
	"fmt"
	"time"

	"mpush/sdk/pluginpb"
)

// pause is between two rounds of lies: enough of them, and the log is short.
const pause = 20 * time.Millisecond

// victims are the receivers of other channels that the lies are about.
var victims = [...]string{"phone", "away", "hook"}

// lies are vices of a plugin that says what is not so, in good form.
func lies(much bool) map[string]vice {
	many := 20_000
	if much {
		many = 1_000_000
	}
	return map[string]vice{
		"acks-ungiven":   {act: ackUngiven},
		"acks-foreign":   {act: ackForeign},
		"uninvited":      {act: registerUninvited},
		"unasked-reply":  {act: replyUnasked},
		"unanswered":     {commands: []string{"EVIL_UNANSWERED"}},
		"attaches-taken": {act: attachTaken},
		"over-announces": {act: announceTooMuch},
		"declares-taken": {declares: func() []*pluginpb.DeclaredRoute {
			return []*pluginpb.DeclaredRoute{{Receiver: "hook", Policy: &pluginpb.Policy{Exclusive: true, Acks: true}}}
		}},
		"declares-many": {declares: func() []*pluginpb.DeclaredRoute { return declareMany(many) }},
		"claims-taken":  {commands: []string{"REGISTER_WEBPUSH"}},
		"mute":          {mute: true},
	}
}

// ackUngiven keeps the next message that it is given, and acknowledges what may
// be queued behind it.
func ackUngiven(x *exchange) error {
	if err := x.take(); err != nil {
		return err
	}
	next := x.mid
	return x.forever(pause, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		// mids resemble the clock and run little ahead of it.
		for now := time.Now().UnixMilli() + 100; next < now && len(envelopes) < 2000; {
			next++
			envelopes = append(envelopes, x.outcome(x.name, next, pluginpb.OutcomeKind_OUTCOME_KIND_ACKED))
		}
		if next >= time.Now().UnixMilli() {
			next = x.mid
		}
		return x.send(envelopes...)
	})
}

// ackForeign reports all there is on others' messages, and confirms, unregisters
// and detaches in their names.
func ackForeign(x *exchange) error {
	return x.forever(pause, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		now := time.Now().UnixMilli()
		for _, receiver := range victims {
			for kind := range pluginpb.OutcomeKind_name {
				for back := range int64(100) {
					x.generation++
					envelopes = append(envelopes, x.outcome(receiver, now-back, pluginpb.OutcomeKind(kind)))
				}
			}
			trusted := &pluginpb.Credentials{Trusted: true}
			envelopes = append(envelopes,
				&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Detach{Detach: &pluginpb.Detach{Receiver: receiver, Generation: x.generation % 64}}},
				x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Receiver: receiver, Mid: now}}}),
				x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Credentials: trusted, Mid: now}}}),
				x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{Credentials: trusted}}}),
			)
		}
		return x.send(envelopes...)
	})
}

// registerUninvited wants routes to those who never asked for them.
func registerUninvited(x *exchange) error {
	return x.forever(pause, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		for _, receiver := range victims {
			for _, exclusive := range []bool{true, false} {
				envelopes = append(envelopes, x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{
					Receiver: receiver, Policy: &pluginpb.Policy{Exclusive: exclusive, Acks: true},
				}}}))
			}
		}
		return x.send(envelopes...)
	})
}

// replyUnasked answers commands that nobody has given it.
func replyUnasked(x *exchange) error {
	return x.forever(pause, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		for id := range uint64(200) {
			envelopes = append(envelopes, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: id, Info: "from evil"}}})
		}
		return x.send(envelopes...)
	})
}

// attachTaken wants to hold names that others hold.
func attachTaken(x *exchange) error {
	return x.forever(pause, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		for _, receiver := range victims {
			envelopes = append(envelopes, x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Attach{Attach: &pluginpb.Attach{
				Credentials: &pluginpb.Credentials{Trusted: true}, Name: receiver, Policy: &pluginpb.Policy{Exclusive: true, Acks: true},
			}}}))
		}
		return x.send(envelopes...)
	})
}

// announceTooMuch wants a megabyte in every answer to AUTH, and to keep larger
// entries than there may be.
func announceTooMuch(x *exchange) error {
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = '7'
	}
	return x.forever(pause, func() error {
		return x.send(
			x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Announce{Announce: &pluginpb.Announce{Fields: map[string][]byte{"evil": large}}}}),
			x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{Key: "evil", Value: large}}}),
		)
	})
}

// declareMany names more receivers than a server knows.
func declareMany(many int) []*pluginpb.DeclaredRoute {
	routes := make([]*pluginpb.DeclaredRoute, many)
	for i := range routes {
		routes[i] = &pluginpb.DeclaredRoute{Receiver: fmt.Sprintf("r%06d", i)}
	}
	return routes
}
