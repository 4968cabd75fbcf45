package link

import (
	"fmt"

	"mpush/core/auth"
	"mpush/core/guard"
	"mpush/core/message"
	"mpush/sdk/pluginpb"
)

// Bounds are what the operator allows a plugin, whoever it lets in. The zero value
// is that of a bundled channel: nothing is bounded.
type Bounds struct {
	// Guest: it is a third party's. A name that another channel serves is not
	// free to it, unless Receivers names it, or who asks has shown the token.
	Guest bool
	// Targets are whom it may send to, Receivers whom it may have routes and
	// sessions for, and the groups that it may put them into.
	Targets, Receivers *auth.Scope
	InFlight           int          // messages that it may hold at once; 0: any number
	Meter              *guard.Meter // of the messages that it sends; nil: any number
}

// key is that of the plugin's entry, for a refusal.
func (l *Link) key(name string) string { return "plugins." + l.Channel + "." + name }

// forbid refuses what the operator has not allowed, and counts it.
func (l *Link) forbid(v Vice, key, what, name string) *pluginpb.Error {
	l.Conduct.note(v)
	return refusal(pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN, fmt.Sprintf("plugin %s may not %s %q: %s", l.Channel, what, name, l.key(key)))
}

// maySend checks whom a message is for.
func (l *Link) maySend(kind message.SendType, target string) *pluginpb.Error {
	if kind == message.Group {
		if !l.Bounds.Targets.HasGroup(target) {
			return l.forbid(ForeignTarget, "targets", "send to the group", target)
		}
	} else if !l.Bounds.Targets.HasName(target) {
		return l.forbid(ForeignTarget, "targets", "send to", target)
	}
	return nil
}

// mayHave checks a name that the plugin wants a route or a session for, and the
// group that it wants to put it into.
func (l *Link) mayHave(name, group string) *pluginpb.Error {
	if !l.Bounds.Receivers.HasName(name) {
		return l.forbid(ForeignName, "receivers", "serve", name)
	}
	if group != "" && !l.Bounds.Receivers.HasGroup(group) {
		return l.forbid(ForeignName, "receivers", "put somebody into the group", group)
	}
	return nil
}

// withinRate counts a message against what the plugin may send as a whole.
func (l *Link) withinRate() *pluginpb.Error {
	if refused := l.Bounds.Meter.Take(); refused != nil {
		l.Conduct.note(TooFast)
		return overLimit(refused)
	}
	return nil
}

// vouched tells whether a name that another channel serves may have a route or a
// session here, too: the plugin is the operator's own or was given the name, or
// the caller has a token, which says by itself whom it may be.
func (l *Link) vouched(p pass) bool {
	return !l.Bounds.Guest || l.Bounds.Receivers != nil || p.token
}
