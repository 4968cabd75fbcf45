package main

import (
	"fmt"
	"strings"

	"mpush/sdk/pluginpb"
)

// floods are vices of a plugin that knows no measure.
func floods() map[string]vice {
	return map[string]vice{
		"floods-publishes": {act: floodPublishes},
		"floods-attaches":  {act: floodAttaches(1)},
		"floods-names":     {act: floodAttaches(20)},
		"floods-one-key":   {act: floodOneKey},
		"floods-state":     {act: floodState},
		"never-reads":      {act: neverRead},
	}
}

// floodPublishes sends to some who are away as fast as the stream takes it, and
// wants to wait ten minutes for each of them.
func floodPublishes(x *exchange) error {
	text := strings.Repeat("x", 500)
	return x.forever(0, func() error {
		envelopes := make([]*pluginpb.PluginEnvelope, 1000)
		for i := range envelopes {
			envelopes[i] = x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{
				Credentials: &pluginpb.Credentials{Trusted: true}, SendType: pluginpb.SendType_SEND_TYPE_PERSONAL,
				Target: fmt.Sprintf("away-%d", i%10), Text: text, WaitMs: 600_000,
			}}})
		}
		return x.send(envelopes...)
	})
}

// floodAttaches changes the group of some receivers with each attach, which the
// core has to write down one after the other.
func floodAttaches(receivers int) func(x *exchange) error {
	return func(x *exchange) error {
		n := 0
		return x.forever(0, func() error {
			envelopes := make([]*pluginpb.PluginEnvelope, 1000)
			for i := range envelopes {
				n++
				envelopes[i] = x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Attach{Attach: &pluginpb.Attach{
					Credentials: &pluginpb.Credentials{Trusted: true}, Name: fmt.Sprint("restless-", n%receivers),
					Group: fmt.Sprint("group-", n/receivers%2), Policy: &pluginpb.Policy{Acks: true},
				}}})
			}
			return x.send(envelopes...)
		})
	}
}

// floodOneKey sends one message again and again, as if no answer had come.
func floodOneKey(x *exchange) error {
	text := strings.Repeat("x", 500)
	return x.forever(0, func() error {
		envelopes := make([]*pluginpb.PluginEnvelope, 1000)
		for i := range envelopes {
			envelopes[i] = x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{
				Credentials: &pluginpb.Credentials{Trusted: true}, SendType: pluginpb.SendType_SEND_TYPE_PERSONAL,
				Target: "away-0", Text: text, IdempotencyKey: "k",
			}}})
		}
		return x.send(envelopes...)
	})
}

// floodState writes what it may keep over and over, and reads all of it with
// each entry.
func floodState(x *exchange) error {
	value := make([]byte, 60<<10)
	return x.forever(0, func() error {
		var envelopes []*pluginpb.PluginEnvelope
		for i := range 32 {
			envelopes = append(envelopes,
				x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{Key: fmt.Sprint(i), Value: value}}}),
				x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StateGet{StateGet: &pluginpb.StateGet{}}}),
			)
		}
		return x.send(envelopes...)
	})
}

// neverRead asks for more and more and takes no answer.
func neverRead(x *exchange) error {
	for {
		envelopes := make([]*pluginpb.PluginEnvelope, 1000)
		for i := range envelopes {
			envelopes[i] = x.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Authenticate{Authenticate: &pluginpb.Authenticate{
				Credentials: &pluginpb.Credentials{Trusted: true}, Name: "nobody",
			}}})
		}
		if err := x.send(envelopes...); err != nil {
			return err
		}
	}
}
