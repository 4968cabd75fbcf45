package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/listen"
)

// settings are the channel's section of the configuration.
type settings struct {
	In  inSettings  `json:"in" jsonschema_description:"Mail that comes in."`
	Out outSettings `json:"out" jsonschema_description:"Mail that goes out."`
}

type inSettings struct {
	Listen          string `json:"listen" jsonschema_description:"host:port to take mail at. Empty: no mail comes in."`
	Domain          string `json:"domain" jsonschema:"minLength=1" jsonschema_description:"The domain of receivers: mail to NAME@domain is a message to NAME."`
	GroupDomain     string `json:"groupDomain" jsonschema:"minLength=1" jsonschema_description:"The domain of groups."`
	MaxMessageBytes int64  `json:"maxMessageBytes" jsonschema:"minimum=1024" jsonschema_extras:"x-unit=bytes" jsonschema_description:"How large a mail may be, attachments included."`
	MaxConnections  int    `json:"maxConnections" jsonschema:"minimum=1" jsonschema_description:"How many connections may be open at once."`
	Certificate     string `json:"certificate" jsonschema_description:"PEM file of the certificate for STARTTLS. With it the token is taken from other machines encrypted only."`
	Key             string `json:"key" jsonschema_description:"PEM file of its key."`
}

type outSettings struct {
	Server      string        `json:"server" jsonschema_description:"host:port of the server that takes mail for submission. Empty: no mail goes out."`
	Security    string        `json:"security" jsonschema:"enum=starttls,enum=tls,enum=none" jsonschema_description:"How the connection is encrypted: by STARTTLS, from the first byte, or not."`
	Username    string        `json:"username" jsonschema_description:"Empty: no login."`
	Password    string        `json:"password" jsonschema:"writeOnly=true" jsonschema_description:"The password of that login."`
	From        string        `json:"from" jsonschema_description:"The sender, such as mpush <mpush@example.org>. Required if mail goes out."`
	Timeout     time.Duration `json:"timeout" jsonschema:"minimum=1000" jsonschema_description:"How long a mail may take, in milliseconds."`
	Connections int           `json:"connections" jsonschema:"minimum=1" jsonschema_description:"How many mails may be on their way at once."`
	Receivers   []receiver    `json:"receivers" jsonschema_description:"The receivers that get mail."`
}

type receiver struct {
	Name    string `json:"name" jsonschema:"required,minLength=1" jsonschema_description:"The receiver that messages are sent to."`
	Group   string `json:"group" jsonschema_description:"Its group, if it is in one."`
	Address string `json:"address" jsonschema:"required" jsonschema_description:"A bare address, such as ann@example.org."`
}

func defaults() settings {
	return settings{
		In: inSettings{
			Listen: "127.0.0.1:2525", Domain: "mpush", GroupDomain: "group.mpush",
			MaxMessageBytes: 10 << 20, MaxConnections: 64,
		},
		Out: outSettings{Security: "starttls", Timeout: time.Minute, Connections: 4},
	}
}

// Config is what the section is decoded into.
func (c *channel) Config() any { return &c.settings }

// Validate says what is wrong beyond what the tags say.
func (c *channel) Validate(config *sdk.Config) error {
	faults := append(c.settings.In.validate(config, c.withoutToken), c.settings.Out.validate()...)
	if in := c.settings.In; in.Listen != "" && (in.Certificate != "" || in.Key != "") {
		pair, err := tls.LoadX509KeyPair(in.Certificate, in.Key)
		if err != nil {
			faults = append(faults, sdk.Invalid("in.certificate", "the pair of certificate and key: %v", err))
		}
		c.certificate = &pair
	}
	return errors.Join(faults...)
}

func (s *inSettings) validate(config *sdk.Config, withoutToken bool) (faults []error) {
	if s.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		return []error{sdk.Invalid("in.listen", `expected host:port, such as "127.0.0.1:2525"`)}
	}
	if strings.EqualFold(s.Domain, s.GroupDomain) {
		faults = append(faults, sdk.Invalid("in.groupDomain", "it must be another than domain"))
	}
	var doors []listen.OpenDoor
	if withoutToken {
		doors = append(doors, listen.OpenDoor{Why: "-without-token lets everybody in", Mend: "take it out of args"})
	}
	s.Listen = net.JoinHostPort(listen.Host(config, "in.listen", host, doors...), port)
	if s.Certificate == "" && !loopback(host) {
		config.Warn("in.listen", "without certificate and key the token comes over the network in the clear")
	}
	return faults
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *outSettings) validate() (faults []error) {
	if s.Server == "" {
		if len(s.Receivers) > 0 {
			faults = append(faults, sdk.Invalid("out.server", "missing: where mail to out.receivers goes"))
		}
		return faults
	}
	if host, port, err := net.SplitHostPort(s.Server); err != nil || host == "" || !isPort(port) {
		faults = append(faults, sdk.Invalid("out.server", `expected host:port, such as "smtp.example.org:587"`))
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		faults = append(faults, sdk.Invalid("out.from", `expected an address, such as "mpush <mpush@example.org>"`))
	}
	index := make(map[string]int)
	for i, r := range s.Receivers {
		path := fmt.Sprintf("out.receivers[%d]", i)
		if first, taken := index[r.Name]; taken {
			faults = append(faults, sdk.Invalid(path+".name", "out.receivers[%d] has the same: use a group for several addresses", first))
		} else {
			index[r.Name] = i
		}
		if parsed, err := mail.ParseAddress(r.Address); err != nil || parsed.Address != r.Address {
			faults = append(faults, sdk.Invalid(path+".address", `expected a bare address, such as "ann@example.org"`))
		}
	}
	return faults
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}
