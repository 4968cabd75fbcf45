package link

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"mpush/core/auth"
	"mpush/core/engine"
	"mpush/sdk/pluginpb"
)

func named(name string, rights auth.Rights, names, groups, targets, targetGroups []auth.Pattern) auth.Token {
	t := auth.Token{Name: name, Sum: sha256.Sum256([]byte(name)), Rights: rights}
	if names != nil {
		t.Receivers = &auth.Scope{Names: names, Groups: groups}
	}
	if targets != nil {
		t.Targets = &auth.Scope{Names: targets, Groups: targetGroups}
	}
	return t
}

// tokens are those of these tests; the value of each is its name.
func tokens() []auth.Token {
	one := []auth.Pattern{"ann"}
	return []auth.Token{
		named("sender", auth.Send, nil, nil, one, []auth.Pattern{"team"}),
		named("receiver", auth.Receive, one, []auth.Pattern{"team"}, nil, nil),
		named("both", auth.Send|auth.Receive, one, []auth.Pattern{"team"}, one, []auth.Pattern{"team"}),
		named("admin", auth.Admin, nil, nil, nil, nil),
	}
}

// setTokens replaces the tokens beside the single one, and tells the engine.
func (c *core) setTokens(tokens ...auth.Token) {
	c.t.Helper()
	change, err := c.auth.Prepare(token, 0, tokens...)
	if err != nil {
		c.t.Fatal(err)
	}
	change()
	newest, holding := c.auth.Epochs()
	if err := c.relay.Submit(c.t.Context(), &engine.Reconfigure{Epoch: newest, Holding: holding}); err != nil {
		c.t.Fatal(err)
	}
}

func withNamed(token string) *pluginpb.Credentials { return &pluginpb.Credentials{Token: token} }

func withSession(session string) *pluginpb.Credentials { return &pluginpb.Credentials{Auth: session} }

// session is one of a token, made as the relay does.
func (c *core) session(token, name, group string) string {
	c.t.Helper()
	_, epoch, ok := c.auth.Check(token)
	if !ok {
		c.t.Fatalf("%q is no token", token)
	}
	session, err := c.auth.IssueIn(epoch, name, group)
	if err != nil {
		c.t.Fatal(err)
	}
	return session
}

// problemOf is why a request was refused, of whatever kind its answer is.
func problemOf(e *pluginpb.CoreEnvelope) *pluginpb.Error {
	for _, problem := range []*pluginpb.Error{
		e.GetDone().GetError(), e.GetPublished().GetError(), e.GetSession().GetError(), e.GetCommandResult().GetError(),
	} {
		if problem != nil {
			return problem
		}
	}
	return nil
}

// ask has a plugin ask for something, and returns why it was refused, or nil.
func (p *peer) ask(request *pluginpb.PluginEnvelope) *pluginpb.Error {
	p.t.Helper()
	request.RequestId = 1
	p.say(request)
	for {
		answer := p.hear()
		if answer.GetEvict() == nil && answer.GetDeliver() == nil && answer.GetRecall() == nil {
			return problemOf(answer)
		}
	}
}

// The entries of the protocol, each for a name: as the target or as the receiver.
func entries() map[string]func(c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope {
	return map[string]func(c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope{
		"send": func(c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope { return publish(1, c, name) },
		"send to a group": func(c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope {
			p := publish(1, c, map[string]string{"ann": "team", "bob": "others"}[name])
			p.GetPublish().SendType = pluginpb.SendType_SEND_TYPE_GROUP
			return p
		},
		"authenticate": func(c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope {
			return authenticate(1, c, name, "")
		},
		"attach": func(c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope {
			return attachBeside(1, c, name, "")
		},
		"attach in a group": func(c *pluginpb.Credentials, name string) *pluginpb.PluginEnvelope {
			return attachBeside(1, c, "ann", map[string]string{"ann": "team", "bob": "others"}[name])
		},
		"check": func(c *pluginpb.Credentials, _ string) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{Credentials: c}}}
		},
		"status": func(c *pluginpb.Credentials, _ string) *pluginpb.PluginEnvelope { return getStatus(1, c, 12345) },
	}
}

func TestWhatEachTokenMayAtEachEntry(t *testing.T) {
	const (
		in        = "" // let through
		noSend    = "may not send: its rights are "
		noReceive = "may not receive: its rights are "
		noAdmin   = "may not ask about others' messages: its rights are "
	)
	c := newCore(t)
	c.setTokens(tokens()...)
	p := c.connect("p")
	for _, row := range []struct {
		entry, token string
		ann, bob     string // what is said, after the token's name
	}{
		{"send", "sender", in, `may not send to "bob"`},
		{"send", "receiver", noSend + "receive", noSend + "receive"},
		{"send", "both", in, `may not send to "bob"`},
		{"send", "admin", noSend + "admin", noSend + "admin"},
		{"send to a group", "sender", in, `may not send to the group "others"`},
		{"send to a group", "receiver", noSend + "receive", noSend + "receive"},
		{"send to a group", "both", in, `may not send to the group "others"`},
		{"send to a group", "admin", noSend + "admin", noSend + "admin"},
		{"authenticate", "sender", noReceive + "send", noReceive + "send"},
		{"authenticate", "receiver", in, `may not receive as "bob"`},
		{"authenticate", "both", in, `may not receive as "bob"`},
		{"authenticate", "admin", noReceive + "admin", noReceive + "admin"},
		{"attach", "sender", noReceive + "send", noReceive + "send"},
		{"attach", "receiver", in, `may not receive as "bob"`},
		{"attach", "both", in, `may not receive as "bob"`},
		{"attach", "admin", noReceive + "admin", noReceive + "admin"},
		{"attach in a group", "sender", noReceive + "send", noReceive + "send"},
		{"attach in a group", "receiver", in, `may not join the group "others"`},
		{"attach in a group", "both", in, `may not join the group "others"`},
		{"attach in a group", "admin", noReceive + "admin", noReceive + "admin"},
		{"check", "sender", in, in},
		{"check", "receiver", in, in},
		{"check", "both", in, in},
		{"check", "admin", in, in},
		{"status", "sender", noAdmin + "send", noAdmin + "send"},
		{"status", "receiver", noAdmin + "receive", noAdmin + "receive"},
		{"status", "both", noAdmin + "send, receive", noAdmin + "send, receive"},
		{"status", "admin", "not found", "not found"},
	} {
		for name, want := range map[string]string{"ann": row.ann, "bob": row.bob} {
			got := p.ask(entries()[row.entry](withNamed(row.token), name))
			switch want {
			case in:
				if got != nil {
					t.Errorf("%s, %s, %s: %v", row.entry, row.token, name, got)
				}
			case "not found": // and so not forbidden
				if got.GetCode() != pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND {
					t.Errorf("%s, %s, %s: %v", row.entry, row.token, name, got)
				}
			default:
				want = fmt.Sprintf("token %q %s", row.token, want)
				if got.GetCode() != pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN || got.GetMessage() != want {
					t.Errorf("%s, %s, %s: %v, want %s", row.entry, row.token, name, got, want)
				}
			}
		}
	}
	// The single token, as ever, and one that is none.
	for entry, make := range entries() {
		for _, name := range []string{"ann", "bob"} {
			if got := p.ask(make(withToken(), name)); got != nil && got.Code != pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND {
				t.Errorf("the single token, %s, %s: %v", entry, name, got)
			}
			for _, wrong := range []string{"", "Sender", "sender "} {
				if got := p.ask(make(withNamed(wrong), name)); got.GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED {
					t.Errorf("token %q, %s, %s: %v", wrong, entry, name, got)
				}
			}
		}
	}
}

// What only a session can ask for.
func TestWhatASessionMayIsWhatItsTokenMay(t *testing.T) {
	const forbidden, fine = pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN, pluginpb.ErrorCode_ERROR_CODE_UNSPECIFIED
	requests := map[string]func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope{
		"send to ann": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope { return publish(1, c, "ann") },
		"send to bob": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope { return publish(1, c, "bob") },
		"ack": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Credentials: c, Mid: 1}}}
		},
		"unregister": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{Credentials: c}}}
		},
		"command": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{Credentials: c, Command: "NOBODYS"}}}
		},
		"log in": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope { return authenticate(1, c, "ann", "") },
	}
	c := newCore(t)
	c.setTokens(tokens()...)
	p := c.connect("p")
	receiver, both := c.session("receiver", "ann", "team"), c.session("both", "ann", "team")
	foreign := c.session("receiver", "bob", "") // as if its token had been narrowed since
	single := c.session(token, "bob", "")
	for _, row := range []struct {
		who         string
		credentials *pluginpb.Credentials
		want        map[string]pluginpb.ErrorCode // else fine
	}{
		{"a receiver", withSession(receiver), map[string]pluginpb.ErrorCode{"send to ann": forbidden, "send to bob": forbidden}},
		{"who may send, too", withSession(both), map[string]pluginpb.ErrorCode{"send to bob": forbidden}},
		{"one whose name its token does not allow", withSession(foreign), map[string]pluginpb.ErrorCode{
			"send to ann": forbidden, "send to bob": forbidden, "ack": forbidden, "unregister": forbidden, "command": forbidden}},
		{"the single token's", withSession(single), nil},
		// Both that are shown must allow it.
		{"another's session with a token", &pluginpb.Credentials{Token: "both", Auth: single}, map[string]pluginpb.ErrorCode{
			"send to bob": forbidden, "ack": forbidden, "unregister": forbidden, "command": forbidden, "log in": fine}},
		{"a receiver's session with a sender's token", &pluginpb.Credentials{Token: "sender", Auth: receiver}, map[string]pluginpb.ErrorCode{
			"send to ann": forbidden, "send to bob": forbidden, "ack": forbidden, "unregister": forbidden, "command": forbidden, "log in": forbidden}},
		{"its own session with its token", &pluginpb.Credentials{Token: "both", Auth: both}, map[string]pluginpb.ErrorCode{"send to bob": forbidden}},
	} {
		for what, make := range requests {
			want := row.want[what]
			if what == "command" && want == fine {
				want = pluginpb.ErrorCode_ERROR_CODE_UNKNOWN_COMMAND // it was let through
			}
			if what == "log in" && row.credentials.Token == "" { // a session makes no other
				want = pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED
			}
			if got := p.ask(make(row.credentials)); got.GetCode() != want {
				t.Errorf("%s, %s: %v, want %v", row.who, what, got, want)
			}
		}
	}
}

// A plugin registers for its caller no group that the caller's token does not allow.
func TestCommandRegistersWithinItsCallersToken(t *testing.T) {
	c := newCore(t)
	c.setTokens(tokens()...)
	in, push := c.connect("in"), c.connect("push")
	if err := c.board.Claim("push", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	in.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{
		Credentials: withSession(c.session("receiver", "ann", "team")), Command: "SUBSCRIBE"}}})
	push.hear()
	for _, row := range []struct {
		name, group string
		want        pluginpb.ErrorCode
	}{{"ann", "others", pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN}, {"bob", "", pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN}, {"ann", "team", 0}} {
		if got := push.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: row.name, Group: row.group}}}); got.GetCode() != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}

// A third party's plugin can not register, with a session from when a name was
// free, for a name that is somebody's since.
func TestStaleSessionOnAPluginsWordTakesNoName(t *testing.T) {
	c := newCore(t)
	mail, _ := c.guest(Bounds{}, trusting)
	if err := c.board.Claim("mail", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	mail.say(authenticate(1, trusted(), "ann", ""))
	session := mail.hear().GetSession().GetAuth()
	subscribe := func(p *peer, credentials *pluginpb.Credentials) *pluginpb.Error {
		t.Helper()
		p.say(&pluginpb.PluginEnvelope{RequestId: 2, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{Credentials: credentials, Command: "SUBSCRIBE"}}})
		command := mail.hear().GetCommand()
		got := mail.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: "ann"}}})
		mail.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: command.GetId()}}})
		p.hear()
		return got
	}
	if got := subscribe(mail, withSession(session)); got != nil {
		t.Errorf("while the name is free: %v", got)
	}
	if got := mail.ask(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{Credentials: withSession(session)}}}); got != nil {
		t.Fatal(got)
	}
	out := c.connect("out")
	out.say(attach(1, withToken(), "ann"))
	out.hear()
	if got := subscribe(mail, withSession(session)); got.GetCode() != pluginpb.ErrorCode_ERROR_CODE_NAME_IN_USE {
		t.Errorf("when it is another's: %v", got)
	}
	// The receiver itself may want to be served there, too.
	if got := subscribe(out, withSession(c.session(token, "ann", ""))); got != nil {
		t.Errorf("by another channel: %v", got)
	}
}

func TestChangeOfATokenEndsItsSessionsAndNoOthers(t *testing.T) {
	changed := tokens()
	changed[1].Sum = sha256.Sum256([]byte("another value"))
	narrowed := tokens()
	narrowed[1].Receivers = &auth.Scope{Names: []auth.Pattern{"tv"}}
	expired := tokens()
	expired[1].Expires = time.Now().Add(-time.Second)
	const unknown, forbidden = pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN
	for name, row := range map[string]struct {
		next []auth.Token
		want pluginpb.ErrorCode // of a request by its session
	}{
		"revoked":  {append(tokens()[:1], tokens()[2:]...), unknown},
		"changed":  {changed, unknown},
		"narrowed": {narrowed, forbidden},
		"expired":  {expired, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore(t)
			c.setTokens(tokens()...)
			its, others := c.connect("its"), c.connect("others")
			its.say(attach(1, withNamed("receiver"), "ann"))
			session := its.hear().GetSession()
			others.say(attach(1, withToken(), "bob"), attachBeside(2, withNamed("both"), "ann", ""))
			bob, beside := others.hear().GetSession(), others.hear().GetSession()
			c.setTokens(row.next...)
			if evict := its.hear().GetEvict(); evict.GetReceiver() != "ann" || evict.GetGeneration() != session.GetGeneration() {
				t.Fatalf("evicted %v", evict)
			}
			confirm := func(session string) *pluginpb.PluginEnvelope {
				return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Credentials: withSession(session), Mid: 1}}}
			}
			if got := its.ask(confirm(session.Auth)); got.GetCode() != row.want {
				t.Errorf("its session: %v", got)
			}
			if got := its.ask(attach(1, withNamed("receiver"), "ann")); got.GetCode() != row.want {
				t.Errorf("the token: %v", got)
			}
			for who, session := range map[string]string{"the single token's": bob.Auth, "another token's": beside.Auth} {
				if got := others.ask(confirm(session)); got != nil {
					t.Errorf("%s session: %v", who, got)
				}
			}
			// And nobody of them was evicted: it would have come first.
			others.say(publish(3, withToken(), "nobody"))
			if got := others.hear().GetPublished(); got.GetRequestId() != 3 {
				t.Errorf("heard %v", got)
			}
		})
	}
}

// A token that is made later disturbs nobody, and holds before the engine knows.
func TestNewTokenDisturbsNobody(t *testing.T) {
	c := newCore(t)
	p := c.connect("p")
	p.say(attach(1, withToken(), "bob"))
	p.hear()
	change, err := c.auth.Prepare(token, 0, tokens()...)
	if err != nil {
		t.Fatal(err)
	}
	change()
	if got := p.ask(attach(1, withNamed("receiver"), "ann")); got != nil {
		t.Errorf("before the engine knows: %v", got)
	}
	c.setTokens(tokens()...)
	p.say(publish(3, withToken(), "nobody"))
	if got := p.hear().GetPublished(); got.GetRequestId() != 3 {
		t.Errorf("heard %v", got)
	}
}

func TestLentTokenReceivesAsItsNameAlone(t *testing.T) {
	c := newCore(t)
	c.setTokens(tokens()...)
	p := c.connect("p")
	lent, err := c.auth.Lend("ann", "team", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for what, request := range map[string]*pluginpb.PluginEnvelope{
		"another name": attach(1, withNamed(lent), "bob"), "another group": attachBeside(1, withNamed(lent), "ann", "others"),
		"send": publish(1, withNamed(lent), "ann"), "status": getStatus(1, withNamed(lent), 1),
	} {
		if got := p.ask(request); got.GetCode() != pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN {
			t.Errorf("%s: %v", what, got)
		}
	}
	p.say(attachBeside(1, withNamed(lent), "ann", "team"))
	session := p.hear().GetSession()
	if session.GetAuth() == "" {
		t.Fatal(session)
	}
	if got := p.ask(publish(1, withSession(session.Auth), "ann")); got.GetCode() != pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN {
		t.Errorf("its session sends: %v", got)
	}
	c.setTokens() // no reload ends it
	p.say(publish(3, withToken(), "nobody"))
	if got := p.hear().GetPublished(); got.GetRequestId() != 3 {
		t.Errorf("heard %v", got)
	}
}
