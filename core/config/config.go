package config

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// Config is a checked configuration. It is not changed after Load and may be
// read from any goroutine.
type Config struct {
	Path           string // of the file, as it was given
	Token          Secret
	Tokens         []Token       // beside it; nil: the key is absent
	AuthTTL        time.Duration // how long sessions live; 0: for ever
	HistoryKeep    time.Duration // how long what has ended is kept; 0: for ever
	Limits         Limits
	TrustedProxies []netip.Prefix // reverse proxies whose X-Forwarded-For is believed
	Log            Log
	Ops            Ops
	// Channels are the bundled channels that the program has, in a fixed order
	// and whether or not the file mentions them, then the third-party ones in
	// the file's order.
	Channels []Channel
	// Warnings are sentences for the log: values that were raised to their
	// least, variables that mean nothing, sections of a later version.
	Warnings []string
	// Unserved are the keys that were given and are understood, but that
	// nothing acts upon yet.
	Unserved []string

	source *source // behind a pointer, so that no %v or %s prints it
	root   *node
	layers []layer               // of the relay's own keys, the strongest first; likewise
	own    func(path string) any // the value of a key of the relay's own; likewise
}

// Limits are what the relay refuses to exceed. 0 is no limit.
type Limits struct {
	TTL          time.Duration // a message older than this is a dead letter
	QueueLength  int           // messages that wait for one receiver
	QueueBytes   int64         // bytes of messages that wait for one receiver
	Receivers    int           // known receivers
	GroupMembers int           // receivers in one group; one more is refused
	PublishRate  int           // messages a second from one address, and of one name
	PublishBurst int           // of these, at once after a pause; at least 1
	AuthFailures int           // wrong tokens from one address before it is refused
	ForgetAfter  time.Duration // a receiver that is away for this long is forgotten
	DiskReserve  int64         // bytes; with less free nothing is accepted
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// Ops says where the relay tells how it is.
type Ops struct {
	Listen   string // host:port; "": nowhere
	Explicit bool   // the operator has said where
	Pprof    bool   // profiles, too
}

// Channel is one channel of the relay: bundled, or a third party's plugin.
type Channel struct {
	Name    string
	Bundled bool
	Enabled bool
	// Section is the channel's own configuration, JSON: digits, escapes and the
	// order of keys are the file's. Nil if there is none, or if the channel is
	// not enabled.
	Section []byte

	MTLS bool // encrypt the connection to its process; on unless switched off

	// What follows is of third-party plugins alone.

	Path     string   // of the executable, absolute
	Args     []string // its arguments
	Env      []string // names of variables that it gets from the relay's environment
	SHA256   string   // of the executable, 64 hex digits in lower case; "" if Unpinned
	Unpinned bool     // run whatever is at Path
	Rights   []string // RightMasterToken and so on
	// MaxMemory is how many bytes its processes may have in memory; 0: any.
	MaxMemory int64
	// Reattach is the socket of a plugin that was started by hand, absolute; ""
	// for none. Path is then not run.
	Reattach string
	// MaxInFlight is how many messages it may hold at once, of all its
	// receivers; 0: any number.
	MaxInFlight int64
	// PublishRate is how many messages a second it may send for long, whoever
	// has it do so, PublishBurst how many at once; a rate of 0: any number.
	PublishRate, PublishBurst int64
	// Targets are whom it may send to, Receivers whose messages it may carry;
	// nil: the entry does not say.
	Targets, Receivers *Scope
}

// Scope bounds names and groups. In its patterns "*" stands for any run of
// characters; without one nobody is allowed.
type Scope struct {
	Names  []string
	Groups []string
}

// The rights that an operator can grant to a plugin, beyond carrying messages.
const (
	RightMasterToken        = "master-token"
	RightAcceptWithoutToken = "accept-without-token"
	RightTakeNames          = "take-names"
)

// Position says where a key of a channel's section comes from, for a complaint
// of the channel: "config.json:12:5", or the environment variable or flag that
// set it. keyPath is relative to the section ("clients[0].url"); "" is the
// section itself. For a key that is not there it is the nearest parent's, and
// for a section that is not there the file's name.
func (c *Config) Position(channel, keyPath string) string {
	return c.Fault(channel, keyPath, "").Position()
}

// Fault makes a channel's complaint about its section into a fault with the full
// key path and the place, of the same form as those of Load.
func (c *Config) Fault(channel, keyPath, message string) Fault {
	section := []step{{key: channel}}
	if !isBundled(channel) {
		section = []step{{key: "plugins"}, {key: channel}, {key: "config"}}
	}
	base := formatSteps(section)
	inner, understood := parseSteps(keyPath)
	fault := Fault{File: c.Path, Message: message}
	if at, found := c.root.nearest(append(section, inner...)); found {
		fault = c.source.fault(at, "", message)
	}
	switch {
	case keyPath == "":
		fault.Path = base
	case understood:
		fault.Path = formatSteps(append(section, inner...))
	default:
		fault.Path = base + "." + keyPath
	}
	return fault
}

// Differences returns the relay's own keys that have another value in next, in
// alphabetical order. Channels are not compared.
func (c *Config) Differences(next *Config) []string {
	var names []string
	for _, s := range settings() {
		if s.served && !reflect.DeepEqual(c.own(s.path), next.own(s.path)) {
			names = append(names, s.path)
		}
	}
	slices.Sort(names)
	return names
}

// WeakToken reports whether anybody would guess a token: one of those that stand
// in examples, or an empty one. Where there is a key "tokens", be it an empty list,
// an empty one lets nobody in.
func (c *Config) WeakToken() bool {
	single := c.Token.Reveal()
	if single == "" && c.Tokens != nil {
		single = "no token"
	}
	return isWeak(single) || slices.ContainsFunc(c.Tokens, func(t Token) bool { return t.Weak })
}
