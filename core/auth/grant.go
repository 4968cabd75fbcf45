package auth

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"mpush/core/message"
)

// Rights are what a token is for.
type Rights uint8

const (
	// Send is to send messages.
	Send Rights = 1 << iota
	// Receive is to be a receiver: to log in, to get and acknowledge messages, to
	// register and to unregister.
	Receive
	// Admin is to ask for the statuses of messages that others have sent.
	Admin
)

func (r Rights) String() string {
	var words []string
	for _, right := range []struct {
		bit  Rights
		word string
	}{{Send, "send"}, {Receive, "receive"}, {Admin, "admin"}} {
		if r&right.bit != 0 {
			words = append(words, right.word)
		}
	}
	return strings.Join(words, ", ")
}

// Token is one beside the single one.
type Token struct {
	Name   string // unique
	Sum    [sha256.Size]byte
	Rights Rights
	// Receivers are whom it may be, and which groups it may join; Targets whom
	// it may send to.
	Receivers, Targets *Scope
	Expires            time.Time // zero: never
}

// Grant is what a caller may do. Nil bounds nothing: it is the single token's,
// and that of whoever needs none. It is not changed once made.
type Grant struct {
	token               string // its name
	rights              Rights
	receivers           *Scope
	targets             *Scope
	lent                bool
	lentName, lentGroup string // whom it may be and in which group, if lent
}

// Refusal says what a token may not do, for whoever has shown it.
type Refusal string

func (r Refusal) Error() string { return string(r) }

func (g *Grant) refuse(format string, args ...any) error {
	return Refusal(g.describe() + " may not " + fmt.Sprintf(format, args...))
}

func (g *Grant) describe() string {
	if g.lent {
		return "this token"
	}
	return fmt.Sprintf("token %q", g.token)
}

// needs checks a right.
func (g *Grant) needs(right Rights, what string) error {
	if g.rights&right == 0 {
		return g.refuse("%s: its rights are %s", what, g.rights)
	}
	return nil
}

// MaySend tells why a message may not be sent to a target, or nil.
func (g *Grant) MaySend(kind message.SendType, target string) error {
	if g == nil {
		return nil
	}
	if err := g.needs(Send, "send"); err != nil {
		return err
	}
	if kind == message.Group {
		if !g.targets.HasGroup(target) {
			return g.refuse("send to the group %q", target)
		}
	} else if !g.targets.HasName(target) {
		return g.refuse("send to %q", target)
	}
	return nil
}

// MayBe tells why a caller may not be the receiver of this name in this group, ""
// being none, or nil.
func (g *Grant) MayBe(name, group string) error {
	switch {
	case g == nil:
		return nil
	case g.rights&Receive == 0:
		return g.needs(Receive, "receive")
	case g.lent && (name != g.lentName || group != "" && group != g.lentGroup):
		return g.refuse("receive as %q in the group %q", name, group)
	case g.lent:
		return nil
	case !g.receivers.HasName(name):
		return g.refuse("receive as %q", name)
	case group != "" && !g.receivers.HasGroup(group):
		return g.refuse("join the group %q", group)
	}
	return nil
}

// MayOversee tells why a caller may not know of others' messages, or nil.
func (g *Grant) MayOversee() error {
	if g == nil {
		return nil
	}
	return g.needs(Admin, "ask about others' messages")
}
