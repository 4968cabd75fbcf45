package plugintest

import (
	"maps"
	"slices"
	"strings"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// book is what the core remembers.
type book struct {
	mid        int64
	generation uint64
	routes     map[string]*route
	sessions   map[string]session // by auth
	fields     map[string][]byte
	state      map[string][]byte
}

// route is a receiver's route on the plugin's channel.
type route struct {
	generation uint64
	group      string
	address    []byte
	policy     *pluginpb.Policy
	sent       map[int64]*pluginpb.Message
	attempts   map[int64]uint32
}

type session struct{ name, group string }

func newBook(state map[string]string) book {
	b := book{
		mid:      1596543210000,
		routes:   map[string]*route{},
		sessions: map[string]session{},
		fields:   map[string][]byte{},
		state:    map[string][]byte{},
	}
	for key, value := range state {
		b.state[key] = []byte(value)
	}
	return b
}

// Session makes credentials' auth for a receiver, as an earlier AUTH would
// have.
func (c *Core) Session(name, group string) (auth string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book.session(name, group)
}

func (b *book) session(name, group string) string {
	auth := "auth/" + group + "/" + name
	b.sessions[auth] = session{name, group}
	return auth
}

func (b *book) nextMID() int64 {
	b.mid++
	return b.mid
}

func (b *book) route(receiver, group string, address []byte, policy *pluginpb.Policy) *route {
	b.generation++
	made := &route{
		generation: b.generation, group: group, address: address, policy: policy,
		sent: map[int64]*pluginpb.Message{}, attempts: map[int64]uint32{},
	}
	b.routes[receiver] = made
	return made
}

func (c *Core) granted(right sdk.Right) bool { return slices.Contains(c.rights, right) }

// check tells what is wrong with credentials, nil for nothing, and whose they
// are.
func (c *Core) check(credentials *pluginpb.Credentials) (session, *pluginpb.Error) {
	if auth := credentials.GetAuth(); auth != "" {
		caller, ok := c.book.sessions[auth]
		if !ok {
			return session{}, &pluginpb.Error{Code: sdk.CodeUnauthenticated, Message: "auth invalid"}
		}
		return caller, nil
	}
	if credentials.GetTrusted() && c.granted(sdk.AcceptWithoutToken) || credentials.GetToken() == c.options.Token {
		return session{}, nil
	}
	return session{}, &pluginpb.Error{Code: sdk.CodeUnauthenticated, Message: "Token invalid"}
}

// known is check, for what only a receiver may do.
func (c *Core) known(credentials *pluginpb.Credentials) (session, *pluginpb.Error) {
	caller, refused := c.check(credentials)
	if refused == nil && caller.name == "" {
		refused = &pluginpb.Error{Code: sdk.CodeUnauthenticated, Message: "auth missing"}
	}
	return caller, refused
}

// State returns a copy of what the plugin keeps.
func (c *Core) State() map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.book.state)
}

// Announced returns the fields that the plugin has announced, JSON.
func (c *Core) Announced() map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.book.fields)
}

// Group returns the group of a route that the plugin has, and whether it has
// it.
func (c *Core) Group(receiver string) (group string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.book.routes[receiver]
	if r == nil {
		return "", false
	}
	return r.group, true
}

func (b *book) stateWith(prefix string) map[string][]byte {
	found := map[string][]byte{}
	for key, value := range b.state {
		if strings.HasPrefix(key, prefix) {
			found[key] = value
		}
	}
	return found
}

// judge complains of what every core would.
func (c *Core) judge(e *pluginpb.PluginEnvelope) {
	o := e.GetOutcome()
	if o.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_ACKED {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.book.routes[o.GetReceiver()]; r != nil && !r.policy.GetAcks() {
		c.t.Errorf("%q: nil from Deliver on a route whose policy has no Acks: the core takes it for sdk.HandedOff, and names it a misdeed", o.GetReceiver())
	}
}
