package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"mpush/core/supervisor"
	"mpush/sdk"
)

// picky is a third party's channel that judges its section by a schema, and then
// speaks of what it should not.
type picky struct {
	Token string `json:"token" jsonschema:"required,writeOnly=true" jsonschema_description:"What the bot is called by."`
	Chat  string `json:"chat" jsonschema:"required"`
	Size  int    `json:"size" jsonschema:"minimum=2"`
	Names []struct {
		Name string `json:"name"`
	} `json:"names"`
}

func (*picky) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name: "picky", Version: "1", Description: "Is picky.", Rights: nil, Commands: []string{"PICK"},
		CommandHelp: []sdk.Explained{{Word: "PICK", Meaning: "Picks."}}, Statuses: []sdk.Explained{{Word: "NAME-ok", Meaning: "Picked."}},
	}
}

func (p *picky) Config() any { return p }

func (p *picky) Validate(config *sdk.Config) error {
	slog.Warn("this is my token: "+p.Token, "token", p.Token, "list", []string{p.Token})
	fmt.Fprintln(os.Stderr, "called with", p.Token)
	if p.Chat == "closed" {
		return sdk.Invalid("chat", "%s may not write there", p.Token)
	}
	return nil
}

func (p *picky) Start(context.Context, sdk.Host) ([]string, error) {
	if p.Chat == "down" {
		return nil, errors.New("GET https://example.com/bot" + p.Token + "/getMe: 401")
	}
	return []string{"https://example.com/bot" + p.Token}, nil
}

func (*picky) Deliver(context.Context, *sdk.Delivery) error { return nil }

// broken tells a schema that nobody can compile.
type broken struct{ picky }

func (b *broken) Config() any { return &remote{} }

type remote struct {
	A string `json:"a" jsonschema:"type=text"`
}

// plugins is the plugins section with one such channel, on lines of its own.
func picking(kind, section string) string {
	return fmt.Sprintf(`, "plugins": {"picky": {"path": %q, "args": ["channel", %q], "env": ["GORACE"], "unpinned": true,
"config": {
%s
}}}`, os.Args[0], kind, section)
}

func TestSectionIsCheckedBeforeThePluginHasIt(t *testing.T) {
	in := section(t, 0)
	var log journal
	o := options(t, "{\n"+fmt.Sprintf(`%q: {"host": "127.0.0.1", "port": 0}`, in)+picking("picky", `"chta": "x",
"size": 1, "names": [{}, {"name": 5}]`)+"}", &log)
	wanted := []string{
		`config.json:4:1: plugins.picky.config.chta: unknown key (did you mean "chat"?)`,
		`config.json:5:1: plugins.picky.config.size: expected at least 2`,
		`config.json:5:27: plugins.picky.config.names[1].name: expected a string, got a number`,
		`config.json:3:1: plugins.picky.config.chat: missing: expected a string`,
		`config.json:3:1: plugins.picky.config.token: missing: expected a string: What the bot is called by`,
	}
	err := Check(t.Context(), o)
	for _, line := range wanted {
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("check does not say %s\n%v", line, err)
		}
	}
	if strings.Contains(log.String(), "this is my token") {
		t.Error("the plugin was configured")
	}

	channels, _ := run(t, o)
	if s := channels["picky"]; s.State != supervisor.Misconfigured || !strings.Contains(s.LastError, "config.json:3:1: plugins.picky.config.") || !strings.Contains(s.LastError, "(and 4 more)") {
		t.Errorf("it is %+v", s)
	}
	if channels[in].State != supervisor.Running {
		t.Errorf("the other is %+v", channels[in])
	}
	for _, key := range []string{"chta", "size", "names[1].name", "chat", "token"} {
		if !strings.Contains(log.String(), "key=plugins.picky.config."+key) {
			t.Errorf("no line of %s", key)
		}
	}
}

func TestSchemaThatIsNotServedIsTheChannelsFaultAlone(t *testing.T) {
	in := section(t, 0)
	o := options(t, "{\n"+fmt.Sprintf(`%q: {"host": "127.0.0.1", "port": 0}`, in)+picking("broken", "")+"}", new(journal))
	channels, _ := run(t, o)
	if s := channels["picky"]; s.State != supervisor.Misconfigured || !strings.Contains(s.LastError, "schema of its configuration is not served, which its author has to mend") {
		t.Errorf("it is %+v", s)
	}
	if channels[in].State != supervisor.Running {
		t.Errorf("the other is %+v", channels[in])
	}
}

func TestReloadChecksSectionsFirst(t *testing.T) {
	s := serve(t, picking("picky", `"token": "t0ken-of-old", "chat": "c"`))
	before := s.pid("picky")
	_, err := s.reload(5000, picking("picky", `"token": 5, "chat": "c"`))
	if err == nil || !strings.Contains(err.Error(), "config.json:4:1: plugins.picky.config.token: expected a string, got a number") {
		t.Errorf("reload: %v", err)
	}
	if s.pid("picky") != before || before == 0 {
		t.Error("it was touched")
	}
	s.reloads(5000, picking("picky", `"token": "t0ken-of-new", "chat": "c"`), Changes{Changed: []string{"picky"}})
}

func TestSecretsOfASectionAreNowhere(t *testing.T) {
	const secret = `s3cret/"\token` // as JSON and urls write it, too
	for chat, wanted := range map[string]supervisor.State{"open": supervisor.Running, "closed": supervisor.Misconfigured, "down": supervisor.Waiting} {
		t.Run(chat, func(t *testing.T) {
			var log journal
			o := options(t, "{\n"+picking("picky", fmt.Sprintf(`"token": %q, "chat": %q`, secret, chat))[2:]+"}", &log)
			checked := Check(t.Context(), o)
			channels, end := run(t, o)
			s := channels["picky"]
			again := wanted == supervisor.Waiting && s.State == supervisor.Starting && s.Restarts > 0
			if s.State != wanted && !again {
				t.Errorf("it is %+v", s)
			}
			_ = end()
			text := fmt.Sprint(checked, s, log.String())
			for _, form := range []string{"s3cret", "token\\"} {
				if strings.Contains(text, form) {
					t.Errorf("%s in\n%s", form, text)
				}
			}
			if !strings.Contains(log.String(), "this is my token: [redacted]") || !strings.Contains(log.String(), "called with [redacted]") {
				t.Errorf("the plugin's words are not there:\n%s", log.String())
			}
		})
	}
}

func TestManualIsOfAnyPlugin(t *testing.T) {
	o := options(t, "{\n"+picking("picky", `"token": "s3cret", "nope": 1`)[2:]+"}", new(journal))
	m, err := Describe(t.Context(), o, "picky", true)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "picky" || m.Section != "plugins.picky.config" || len(m.Keys) != 5 || !m.Keys[0].Secret || m.Keys[4].Path != "names[].name" {
		t.Errorf("manual %+v", m)
	}
	if fmt.Sprint(m.Commands, m.Statuses, m.Roles) != "[{PICK Picks.}] [{picky-ok Picked.}] [egress]" {
		t.Errorf("commands %v, statuses %v, roles %v", m.Commands, m.Statuses, m.Roles)
	}
	text, err := m.MarshalJSON()
	if err != nil || !strings.Contains(string(text), `"required":["token","chat"]`) || strings.Contains(string(text), "s3cret") {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := Describe(t.Context(), o, "pocky", true); err == nil || !strings.Contains(err.Error(), `there is no channel "pocky"`) {
		t.Error(err)
	}
	o.Config = nil // by its path nothing is needed; this executable is no plugin without arguments
	if _, err := Describe(t.Context(), o, "./none", true); err == nil || !strings.Contains(err.Error(), "none") {
		t.Error(err)
	}
}

func TestOnlyRealSecretsAreHidden(t *testing.T) {
	var s secrets
	if got := s.hide("as it is"); got != "as it is" {
		t.Error(got)
	}
	s.add([]string{"", "abc", "test", "long-secret", "long", "a b/c?"})
	for text, want := range map[string]string{
		"abc test": "abc test", "a long-secret, long": "a [redacted], [redacted]", "x=a+b%2Fc%3F": "x=[redacted]", "": "",
	} {
		if got := s.hide(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
	var log journal
	logger := s.logger(slog.New(slog.NewJSONHandler(&log, nil))).With("with", "long-secret").WithGroup("g")
	logger.Info("message long-secret", "err", errors.New("wraps long-secret"), "n", 5, "group", slog.GroupValue(slog.String("in", "long-secret")))
	if text := log.String(); strings.Contains(text, "long-secret") || strings.Count(text, redacted) != 4 || !strings.Contains(text, `"n":5`) {
		t.Error(text)
	}
}
