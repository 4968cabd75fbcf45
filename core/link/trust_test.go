package link

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/auth"
	"mpush/core/guard"
	"mpush/sdk/pluginpb"
)

// guest connects a third party's plugin with its bounds, and with a court.
func (c *core) guest(bounds Bounds, rights ...pluginpb.Right) (*peer, *court) {
	c.t.Helper()
	judge := newCourt(time.Now)
	p := c.prepare("mail", rights...)
	bounds.Guest = true
	p.link.Conduct, p.link.Bounds = judge.Conduct, bounds
	c.run(p)
	return p, judge
}

func trusted() *pluginpb.Credentials { return &pluginpb.Credentials{Trusted: true} }

const trusting = pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN

func authenticate(id uint64, c *pluginpb.Credentials, name, group string) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Authenticate{
		Authenticate: &pluginpb.Authenticate{Credentials: c, Name: name, Group: group}}}
}

func attachBeside(id uint64, c *pluginpb.Credentials, name, group string) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Attach{
		Attach: &pluginpb.Attach{Credentials: c, Name: name, Group: group, Policy: &pluginpb.Policy{}}}}
}

func TestPluginSendsOnlyToItsTargets(t *testing.T) {
	c := newCore(t)
	session, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	p, judge := c.guest(Bounds{Targets: &auth.Scope{Names: []auth.Pattern{"phone-*"}, Groups: []auth.Pattern{"family"}}}, trusting)
	for i, test := range []struct {
		credentials *pluginpb.Credentials
		group       bool
		target      string
		refused     string
	}{
		{trusted(), false, "phone-1", ""},
		{trusted(), false, "tv", `plugin mail may not send to "tv": plugins.mail.targets`},
		{trusted(), false, "family", `plugin mail may not send to "family": plugins.mail.targets`},
		{trusted(), true, "family", ""},
		{trusted(), true, "phone-1", `plugin mail may not send to the group "phone-1": plugins.mail.targets`},
		// Whoever it lets in may send to no others.
		{withToken(), false, "tv", `plugin mail may not send to "tv": plugins.mail.targets`},
		{&pluginpb.Credentials{Auth: session}, false, "tv", `plugin mail may not send to "tv": plugins.mail.targets`},
		{&pluginpb.Credentials{Auth: session}, false, "phone-1", ""},
		// Who may not come in learns nothing else.
		{&pluginpb.Credentials{Token: "wrong"}, false, "tv", "Token invalid"},
	} {
		request := publish(uint64(i+1), test.credentials, test.target)
		if test.group {
			request.GetPublish().SendType = pluginpb.SendType_SEND_TYPE_GROUP
		}
		p.say(request)
		got := p.hear().GetPublished().GetError()
		if got.GetMessage() != test.refused || strings.Contains(test.refused, "targets") != (got.GetCode() == pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN) {
			t.Errorf("%d %+v: %v", i, test, got)
		}
	}
	judge.await(t, fmt.Sprintf("vice=%q", ForeignTarget))
}

func TestPluginServesOnlyItsReceivers(t *testing.T) {
	c := newCore(t)
	p, judge := c.guest(Bounds{Receivers: &auth.Scope{Names: []auth.Pattern{"mail-*"}, Groups: []auth.Pattern{"mails"}}}, trusting)
	for i, test := range []struct{ name, group, refused string }{
		{"mail-1", "", ""},
		{"mail-1", "mails", ""},
		{"phone", "", `plugin mail may not serve "phone": plugins.mail.receivers`},
		{"mail-1", "family", `plugin mail may not put somebody into the group "family": plugins.mail.receivers`},
	} {
		for name, ask := range map[string]func(uint64, *pluginpb.Credentials, string, string) *pluginpb.PluginEnvelope{"authenticate": authenticate, "attach": attachBeside} {
			for _, credentials := range []*pluginpb.Credentials{trusted(), withToken()} {
				p.say(ask(uint64(i+1), credentials, test.name, test.group))
				answer := p.hear()
				for answer.GetEvict() != nil { // of the attachment before
					answer = p.hear()
				}
				result := answer.GetSession()
				if result.GetError().GetMessage() != test.refused || (result.GetAuth() == "") != (test.refused != "") {
					t.Errorf("%s %+v: %v", name, test, result)
				}
			}
		}
	}
	judge.await(t, fmt.Sprintf("vice=%q", ForeignName))
	p.say(declare(9, "mail-2", "phone"))
	answer := p.hear()
	for answer.GetEvict() != nil {
		answer = p.hear()
	}
	if got := answer.GetDone().GetError(); got.GetCode() != pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN || got.GetMessage() != `plugin mail may not serve "phone": plugins.mail.receivers` {
		t.Errorf("declared: %v", got)
	}
	err := <-p.ended
	p.ended <- err
	if err == nil || !strings.Contains(err.Error(), `configured receivers: plugin mail may not serve "phone"`) {
		t.Errorf("its stream ends with %v", err)
	}
}

func TestPluginRegistersOnlyItsReceivers(t *testing.T) {
	c := newCore(t)
	in := c.connect("in")
	p, _ := c.guest(Bounds{Receivers: &auth.Scope{Names: []auth.Pattern{"mail-*"}}})
	if err := c.board.Claim("mail", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	p.say(authenticate(1, withToken(), "mail-0", "")) // so that its stream is open
	p.hear()
	for name, want := range map[string]pluginpb.ErrorCode{"mail-1": 0, "phone": pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN} {
		session, err := c.auth.Issue(name, "")
		if err != nil {
			t.Fatal(err)
		}
		in.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{
			Credentials: &pluginpb.Credentials{Auth: session}, Command: "SUBSCRIBE",
		}}})
		command := p.hear().GetCommand()
		p.say(&pluginpb.PluginEnvelope{RequestId: 2, Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: name}}})
		if got := p.hear().GetDone().GetError(); got.GetCode() != want {
			t.Errorf("%s: %v", name, got)
		}
		p.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: command.GetId()}}})
		in.hear()
	}
}

// Nobody gets another channel's messages by standing beside it, unless the
// operator, the receiver or the token says so.
func TestNameThatAnotherChannelServesIsNotFree(t *testing.T) {
	const taken = pluginpb.ErrorCode_ERROR_CODE_NAME_IN_USE
	for _, test := range []struct {
		name        string
		bounds      Bounds
		credentials *pluginpb.Credentials
		want        pluginpb.ErrorCode
	}{
		{"on its word", Bounds{}, trusted(), taken},
		{"the client has the token", Bounds{}, withToken(), 0},
		{"it was given the name", Bounds{Receivers: &auth.Scope{Names: []auth.Pattern{"ann"}}}, trusted(), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCore(t)
			out := c.connect("out")
			out.say(attach(1, withToken(), "ann"))
			generation := out.hear().GetSession().GetGeneration()
			// Also while the receiver is away.
			out.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Detach{Detach: &pluginpb.Detach{Receiver: "ann", Generation: generation}}})
			p, _ := c.guest(test.bounds, trusting)
			for name, ask := range map[string]*pluginpb.PluginEnvelope{
				"authenticate": authenticate(1, test.credentials, "ann", ""), "attach": attachBeside(2, test.credentials, "ann", ""),
			} {
				p.say(ask)
				if got := p.hear().GetSession().GetError(); got.GetCode() != test.want {
					t.Errorf("%s: %v", name, got)
				}
			}
			if test.want == 0 {
				return
			}
			p.say(authenticate(3, trusted(), "free", ""), attachBeside(4, trusted(), "own", ""))
			for range 2 {
				if got := p.hear().GetSession(); got.GetAuth() == "" {
					t.Errorf("a free name: %v", got)
				}
			}
			beside := declare(5, "ann")
			beside.GetDeclare().Routes[0].Policy = &pluginpb.Policy{}
			p.say(beside)
			if got := p.hear().GetDone().GetError(); got.GetCode() != taken || !strings.Contains(got.GetMessage(), `"receivers"`) {
				t.Errorf("declared: %v", got)
			}
		})
	}
}

func TestPluginThatSendsTooFastIsRefusedWhoeverSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t)
		meter := guard.NewMeter("plugins.mail.limits.publishRate", time.Now)
		meter.Change(1, 2)
		p, judge := c.guest(Bounds{Meter: meter}, trusting)
		var refused *pluginpb.Error
		for i, credentials := range []*pluginpb.Credentials{trusted(), {Trusted: true, Remote: "127.0.0.1"}, remote("192.0.2.1", token)} {
			p.say(publish(uint64(i+1), credentials, "nobody"))
			if refused = p.hear().GetPublished().GetError(); (refused != nil) != (i == 2) {
				t.Errorf("message %d: %v", i+1, refused)
			}
		}
		if refused.GetCode() != pluginpb.ErrorCode_ERROR_CODE_LIMIT || refused.GetRetryAfterMs() == 0 || !strings.HasPrefix(refused.GetMessage(), "plugins.mail.limits.publishRate: ") {
			t.Errorf("refused with %v", refused)
		}
		judge.await(t, fmt.Sprintf("vice=%q", TooFast))
	})
}

func TestPluginHoldsNoMoreThanItMay(t *testing.T) {
	c := newCore(t)
	p, _ := c.guest(Bounds{InFlight: 1})
	p.say(attach(1, withToken(), "ann"), attach(2, withToken(), "bob"))
	p.hear()
	generation := p.hear().GetSession().GetGeneration() - 1
	p.say(publish(3, withToken(), "ann"), publish(4, withToken(), "bob"))
	var first *pluginpb.Deliver
	for range 3 {
		if d := p.hear().GetDeliver(); d != nil {
			if first != nil {
				t.Fatal("a second one was given")
			}
			first = d
		}
	}
	p.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: &pluginpb.Outcome{
		Receiver: "ann", Generation: generation, Mid: first.GetMessage().GetMid(), Kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED,
	}}})
	if d := p.hear().GetDeliver(); len(d.GetRoutes()) != 1 || d.GetRoutes()[0].GetReceiver() != "bob" {
		t.Errorf("then %v", d)
	}
}
