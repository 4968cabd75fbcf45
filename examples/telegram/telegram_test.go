package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush", "examples/telegram")) }

func section(url string) string {
	return fmt.Sprintf(`{"botToken": %q, "apiURL": %q, "chats": [
		{"name": "ann", "group": "family", "chat": "-1001234567890"}, {"name": "channel", "chat": "@news"}]}`, fakeToken, url)
}

func start(t *testing.T, url string) *plugintest.Core {
	t.Helper()
	return plugintest.Start(t, newTelegram(), plugintest.Options{Config: section(url)})
}

func TestMessageGoesToTheChatAsPlainText(t *testing.T) {
	api := startBotAPI(t)
	core := start(t, api.URL)
	if group, ok := core.Group("ann"); !ok || group != "family" {
		t.Errorf("declared group %q, %v", group, ok)
	}
	for _, m := range []struct {
		receiver, chat, text, desp, want string
	}{
		{"ann", "-1001234567890", "hello", "", "hello"},
		{"channel", "@news", "<b>*not*</b> _markup_", "& a [longer](text)", "<b>*not*</b> _markup_\n\n& a [longer](text)"},
		{"ann", "-1001234567890", " \n", "", "(no text)"},
	} {
		core.Deliver(m.receiver, &pluginpb.Message{Text: m.text, Desp: m.desp})
		if got := core.Outcome(); got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF {
			t.Fatalf("outcome %v", got)
		}
		if chat, text := api.last(); text != m.want || chat != m.chat {
			t.Errorf("chat %s has %q, want %s with %q", chat, text, m.chat, m.want)
		}
	}
	if err := core.Health(); err != nil {
		t.Errorf("health %v", err)
	}
}

func TestLongTextIsCutWithAMark(t *testing.T) {
	for _, unit := range []string{"a", "é", "字", "😀"} {
		each := len(utf16.Encode([]rune(unit)))
		fits := strings.Repeat(unit, 4096/each)
		if got := cut(fits); got != fits {
			t.Errorf("%s: what fits is cut", unit)
		}
		got := cut(fits + "a")
		units := len(utf16.Encode([]rune(got)))
		if body, marked := strings.CutSuffix(got, cutMark); !marked || strings.Trim(body, unit) != "" || units > 4096 || units < 4095 {
			t.Errorf("%s: cut to %d units, marked %v", unit, units, marked)
		}
	}
	api := startBotAPI(t)
	core := start(t, api.URL)
	core.Deliver("ann", &pluginpb.Message{Text: "long", Desp: strings.Repeat("😀", 5000)})
	if got := core.Outcome(); got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF {
		t.Errorf("outcome %v", got)
	}
}

func TestAnswersBecomeOutcomes(t *testing.T) {
	const (
		again = pluginpb.OutcomeKind_OUTCOME_KIND_RETRY
		dead  = pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED
	)
	for name, test := range map[string]struct {
		reply reply
		kind  pluginpb.OutcomeKind
		after uint32 // ms
		says  string
	}{
		"flood":       {reply{status: 429, body: `{"ok":false,"description":"Too Many Requests","parameters":{"retry_after":35}}`}, again, 35_000, "Too Many Requests"},
		"flood, long": {reply{status: 429, body: `{"ok":false,"parameters":{"retry_after":99999999999}}`}, again, 86_400_000, "429"},
		"flood, when": {reply{status: 429, body: `{"ok":false}`}, again, 0, "429"},
		"bad chat":    {reply{status: 400, body: `{"ok":false,"description":"Bad Request: chat not found"}`}, dead, 0, "chat not found"},
		"moved":       {reply{status: 400, body: `{"ok":false,"description":"moved","parameters":{"migrate_to_chat_id":-1009}}`}, again, 0, "-1009"},
		"bad token":   {reply{status: 401, body: `{"ok":false,"description":"Unauthorized"}`}, again, 0, "check botToken"},
		"no bot":      {reply{status: 404, body: `{"ok":false,"description":"Not Found"}`}, again, 0, "check botToken"},
		"blocked":     {reply{status: 403, body: `{"ok":false,"description":"Forbidden: bot was blocked by the user"}`}, dead, 0, "blocked by the user"},
		"broken":      {reply{status: 502, body: `{"ok":false,"description":"Bad Gateway"}`}, again, 0, "Bad Gateway"},
		"a proxy":     {reply{status: 502, body: `<html>`}, again, 0, "not the Bot API's"},
		"a page":      {reply{status: 200, body: `<html>`}, again, 0, "not the Bot API's"},
		"not ok":      {reply{status: 200, body: `{}`}, again, 0, "no reason given"},
		"elsewhere":   {reply{status: 302, body: `{}`}, again, 0, "302"},
		"echo":        {reply{status: 400, body: `{"ok":false,"description":"no /bot` + fakeToken + `/ here"}`}, dead, 0, "[redacted]"},
		"hung up":     {reply{drop: true}, again, 0, "connection closed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := startBotAPI(t, test.reply)
			core := start(t, api.URL)
			core.Deliver("ann", &pluginpb.Message{Text: "hello"})
			got := core.Outcome()
			if got.GetKind() != test.kind || got.GetRetryAfterMs() != test.after || !strings.Contains(got.GetError(), test.says) {
				t.Errorf("outcome %v", got)
			}
			health := core.Health()
			if health == nil || !strings.HasPrefix(health.Error(), "ann: ") || !strings.Contains(health.Error(), test.says) {
				t.Errorf("health %v", health)
			}
			for _, text := range []string{got.GetError(), fmt.Sprint(health)} {
				if strings.Contains(text, "secret") {
					t.Errorf("%q shows the token", text)
				}
			}
			core.Deliver("ann", &pluginpb.Message{Text: "hello again"})
			if got := core.Outcome(); got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF || core.Health() != nil {
				t.Errorf("then %v, health %v", got, core.Health())
			}
		})
	}
}

func TestAnUnreachableAPIShowsNoToken(t *testing.T) {
	api := startBotAPI(t)
	api.Close()
	core := start(t, api.URL)
	core.Deliver("ann", &pluginpb.Message{Text: "hello"})
	got := core.Outcome()
	if got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_RETRY || got.GetError() != "connection refused" {
		t.Errorf("outcome %v", got)
	}
}

func TestMistakesInTheConfigAreNamed(t *testing.T) {
	for _, test := range []struct {
		config string
		want   []string
	}{
		{`{"timeout": 5, "chats": [{"chat": "1"}]}`, []string{"botToken", "chats[0].name", "timeout"}},
		{`{"botToken": "secret of a bot", "apiURL": "api.telegram.org", "chats": [{"name": "ann", "chat": "1"}, {"name": "ann", "chat": "news"}]}`,
			[]string{"apiURL", "botToken", "chats[1].chat", "chats[1].name"}},
	} {
		var paths []string
		for _, d := range plugintest.Configure(t, newTelegram(), plugintest.Options{Config: test.config}) {
			paths = append(paths, d.GetPath())
			if strings.Contains(d.GetMessage(), "secret") {
				t.Errorf("%q shows the token", d.GetMessage())
			}
		}
		slices.Sort(paths)
		if !slices.Equal(paths, test.want) {
			t.Errorf("faults at %q, want %q", paths, test.want)
		}
	}
}
