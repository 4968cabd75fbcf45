package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"mpush/sdk"
)

// settings are the channel's section of the configuration.
type settings struct {
	Broker    string         `json:"broker" jsonschema:"required" jsonschema_description:"The broker's url: mqtt://host:1883, mqtts://host:8883, ws:// or wss://."`
	Username  string         `json:"username" jsonschema_description:"Empty: no login."`
	Password  string         `json:"password" jsonschema:"writeOnly=true" jsonschema_description:"The password of that login."`
	ClientID  string         `json:"clientID" jsonschema_description:"By what the broker knows this channel. Empty: a name of its own making, which it keeps."`
	Timeout   time.Duration  `json:"timeout" jsonschema:"minimum=1000" jsonschema_description:"How long the broker may take for one message, in milliseconds."`
	Receivers []receiver     `json:"receivers" jsonschema_description:"The receivers whose messages go to topics."`
	Subscribe []subscription `json:"subscribe" jsonschema_description:"The topics from which messages come. It needs the argument -without-token."`
}

type receiver struct {
	Name    string `json:"name" jsonschema:"required,minLength=1" jsonschema_description:"The receiver that messages are sent to."`
	Group   string `json:"group" jsonschema_description:"Its group, if it is in one."`
	Topic   string `json:"topic" jsonschema:"required,minLength=1" jsonschema_description:"Where its messages go."`
	QoS     *int   `json:"qos" jsonschema:"enum=0,enum=1" jsonschema_description:"1, the default: the broker confirms. 0: it does not, and what is lost is lost."`
	Retain  bool   `json:"retain" jsonschema_description:"The broker keeps the last message for those who subscribe later."`
	Payload string `json:"payload" jsonschema:"enum=packet,enum=text" jsonschema_description:"packet, the default: the mpush MESSAGE packet, JSON. text: the text alone."`
}

type subscription struct {
	Filter   string `json:"filter" jsonschema:"required,minLength=1" jsonschema_description:"The topics, perhaps with + and #."`
	Name     string `json:"name" jsonschema_description:"The receiver of what comes from there."`
	Group    string `json:"group" jsonschema_description:"The group instead of a receiver. With neither, the topic's last level is the receiver's name."`
	Payload  string `json:"payload" jsonschema:"enum=text,enum=json" jsonschema_description:"text, the default: the payload is the text. json: an object with text, desp, extra, id."`
	Retained bool   `json:"retained" jsonschema_description:"Take what the broker has kept from before the subscription, too."`
}

const (
	payloadText = "text"
	payloadJSON = "json"
)

func defaults() settings { return settings{Timeout: 20 * time.Second} }

// qos is the receiver's, 1 if none is given.
func (r receiver) qos() byte {
	if r.QoS != nil {
		return byte(*r.QoS)
	}
	return 1
}

// Config is what the section is decoded into.
func (c *channel) Config() any { return &c.settings }

// Validate says what is wrong beyond what the tags say.
func (c *channel) Validate(config *sdk.Config) error {
	s := &c.settings
	var faults []error
	u, err := url.Parse(s.Broker)
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"mqtt", "tcp", "mqtts", "ssl", "tls", "ws", "wss"}, u.Scheme):
		faults = append(faults, sdk.Invalid("broker", "expected a url such as mqtt://127.0.0.1:1883 or mqtts://broker.example.org:8883"))
	case u.User != nil:
		faults = append(faults, sdk.Invalid("broker", "the login goes into username and password"))
	}
	index := make(map[string]int)
	for i, r := range s.Receivers {
		path := fmt.Sprintf("receivers[%d]", i)
		if first, taken := index[r.Name]; taken {
			faults = append(faults, sdk.Invalid(path+".name", "receivers[%d] has the same: use a group for several topics", first))
		} else {
			index[r.Name] = i
		}
		if strings.ContainsAny(r.Topic, "+#\x00") || strings.HasPrefix(r.Topic, "$") {
			faults = append(faults, sdk.Invalid(path+".topic", "expected a topic without + and # that does not begin with $"))
		}
	}
	for i, one := range s.Subscribe {
		path := fmt.Sprintf("subscribe[%d]", i)
		if !validFilter(one.Filter) {
			faults = append(faults, sdk.Invalid(path+".filter", "expected levels with slashes between, + for any one level and # at the end for any more, and no $ first"))
		}
		if one.Name != "" && one.Group != "" {
			faults = append(faults, sdk.Invalid(path+".group", "give a name or a group, not both"))
		}
		for j, other := range s.Subscribe[:i] {
			if overlap(one.Filter, other.Filter) {
				faults = append(faults, sdk.Invalid(path+".filter", "it has topics of subscribe[%d], too: some brokers send such a message twice", j))
			}
		}
		for j, r := range s.Receivers {
			if overlap(one.Filter, r.Topic) {
				config.Warn(path+".filter", "it has the topic of receivers[%d]: what this channel sends there does not come back", j)
			}
		}
	}
	if len(s.Subscribe) > 0 && !c.withoutToken {
		faults = append(faults, sdk.Invalid("subscribe", `what comes from a broker has no token: give the plugin "args": ["-without-token"] and "rights": ["accept-without-token"]`))
	}
	return errors.Join(faults...)
}
