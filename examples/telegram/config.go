package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// settings are the channel's section of the configuration.
type settings struct {
	// The token is part of each request's url, so neither is ever shown.
	BotToken string     `json:"botToken" jsonschema:"required,writeOnly=true" jsonschema_description:"The bot's token, as BotFather gives it."`
	APIURL   string     `json:"apiURL" jsonschema_description:"The Bot API's server, if it is one of your own."`
	Proxy    dial.Proxy `json:"proxy" jsonschema_description:"What Telegram is called through: a url, or an object with host, port, protocol and auth."`
	// Timeout is at least a second: less would repeat what is only slow.
	Timeout time.Duration `json:"timeout" jsonschema:"minimum=1000" jsonschema_description:"How long an attempt may take, in milliseconds."`
	Chats   []chat        `json:"chats" jsonschema_description:"The receivers, each a chat."`
}

// chat is a receiver.
type chat struct {
	Name  string `json:"name" jsonschema:"required,minLength=1" jsonschema_description:"The receiver that messages are sent to."`
	Group string `json:"group" jsonschema_description:"Its group, if it is in one."`
	Chat  string `json:"chat" jsonschema:"required" jsonschema_description:"The chat's id in digits, as a string, or the @name of a public one."`
}

func defaults() settings {
	return settings{APIURL: "https://api.telegram.org", Timeout: 20 * time.Second}
}

var (
	botTokens = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)
	chatIDs   = regexp.MustCompile(`^(-?[0-9]+|@[A-Za-z0-9_]+)$`)
)

// Config is what the section is decoded into.
func (t *telegram) Config() any { return &t.settings }

// Validate says what is wrong beyond what the tags say.
func (t *telegram) Validate(*sdk.Config) error {
	s := &t.settings
	var faults []error
	if !botTokens.MatchString(s.BotToken) {
		faults = append(faults, sdk.Invalid("botToken", "expected a bot's token as BotFather gives it: digits, a colon, and more"))
	}
	if u, err := url.Parse(s.APIURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" {
		faults = append(faults, sdk.Invalid("apiURL", "expected an http or https url without a query"))
	}
	s.APIURL = strings.TrimRight(s.APIURL, "/")
	index := make(map[string]int)
	for i, c := range s.Chats {
		path := fmt.Sprintf("chats[%d]", i)
		if first, taken := index[c.Name]; taken {
			faults = append(faults, sdk.Invalid(path+".name", "chats[%d] has the same: use a group for several chats", first))
		} else {
			index[c.Name] = i
		}
		if !chatIDs.MatchString(c.Chat) {
			faults = append(faults, sdk.Invalid(path+".chat", `expected a chat's id, such as "-1001234567890", or the "@name" of a public one`))
		}
	}
	return errors.Join(faults...)
}
