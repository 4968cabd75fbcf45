package golden

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mpush/sdk/pluginpb"
)

// Load takes every file of a directory, so a file is played if its directory's
// channel has a test that plays what Load returns.
func TestEveryExchangeIsPlayed(t *testing.T) {
	root := Directory(t)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		channel := entry.Name()
		if !entry.IsDir() {
			t.Errorf("%s belongs to no channel", channel)
			continue
		}
		path := filepath.Join(root, "..", "..", "..", "..", "plugins", channel, "golden_test.go")
		source, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("the exchanges of %s are played by nobody: %v", channel, err)
			continue
		}
		for _, call := range []string{`golden.Load(t, "` + channel + `")`, ".Answer(t)", ".Play(t, "} {
			if !bytes.Contains(source, []byte(call)) {
				t.Errorf("%s does not call %s", path, call)
			}
		}
		if len(Load(t, channel)) == 0 {
			t.Errorf("%s has no exchanges", channel)
		}
	}
}

// packets are the commands that a channel's exchanges must have, by direction.
func packets() map[string]map[string][]string {
	return map[string]map[string][]string{
		"http": {
			"sender -> server": {"AUTH", "MESSAGE", "MESSAGE_CALLBACK", "MESSAGE_FCM_CALLBACK", "MESSAGE_WEBPUSH_CALLBACK", "REGISTER_FCM", "REGISTER_WEBPUSH", "TEST_HTTP", "UNREGISTER"},
			"server -> sender": {"AUTH", "INFO", "MESSAGE_REPLY"},
		},
		"websocket": {
			"receiver -> server": {"AUTH", "MESSAGE", "MESSAGE_CALLBACK", "MESSAGE_FCM_CALLBACK", "MESSAGE_WEBPUSH_CALLBACK", "PING", "REGISTER_FCM", "REGISTER_WEBPUSH", "UNREGISTER"},
			"server -> receiver": {"AUTH", "INFO", "MESSAGE", "MESSAGE_REPLY", "PONG"},
		},
		"webhook": {
			"server -> endpoint": {"MESSAGE"},
		},
		"webpush": {
			"core -> server":         {"MESSAGE_FCM_CALLBACK", "MESSAGE_WEBPUSH_CALLBACK", "REGISTER_FCM", "REGISTER_WEBPUSH"},
			"server -> push service": {"MESSAGE"},
		},
	}
}

func TestEveryPacketIsThereBothWays(t *testing.T) {
	for channel, directions := range packets() {
		found := map[string]bool{}
		for _, e := range Load(t, channel) {
			for _, step := range e.Steps {
				found[step.From+" -> "+step.To+" "+command(step)] = true
			}
		}
		for direction, commands := range directions {
			for _, cmd := range commands {
				if !found[direction+" "+cmd] {
					t.Errorf("%s: no %s %s", channel, direction, cmd)
				}
			}
		}
	}
}

// Clients in the field break without any of these.
func TestMessagesHaveWhatReceiversNeed(t *testing.T) {
	looked := 0
	for channel := range packets() {
		for _, e := range Load(t, channel) {
			for _, step := range e.Steps {
				if step.From != Server || command(step) != "MESSAGE" {
					continue
				}
				looked++
				var p struct {
					Data struct {
						Mid, SendType, Target *string
						From                  *struct{ Method, Name *string }
						Message               *struct {
							Text, Desp *string
							Extra      map[string]json.RawMessage
						}
					}
				}
				if err := json.Unmarshal([]byte(body(step)), &p); err != nil {
					t.Errorf("%s: %v", step.Place, err)
					continue
				}
				d := p.Data
				if d.Mid == nil || d.SendType == nil || d.Target == nil || d.From == nil || d.From.Method == nil || d.From.Name == nil ||
					d.Message == nil || d.Message.Text == nil || d.Message.Desp == nil || d.Message.Extra == nil || strings.Trim(*d.Mid, "0123456789") != "" {
					t.Errorf("%s: %s", step.Place, body(step))
				}
			}
		}
	}
	if looked < 10 {
		t.Errorf("%d messages only", looked)
	}
}

// command is the cmd of the packet in a step, or the command that the core hands
// on; "" if there is none.
func command(step Step) string {
	var p struct {
		Cmd     string
		Command struct{ Command string }
	}
	_ = json.Unmarshal([]byte(body(step)), &p) // what is no packet has no command
	return p.Cmd + p.Command.Command
}

// body is what of a step may be a packet: a frame, or the body of an HTTP
// message.
func body(step Step) string {
	if _, body, isHTTP := strings.Cut(step.Text, "\n\n"); isHTTP {
		return body
	}
	return step.Text
}

func TestMalformedFilesAreRefused(t *testing.T) {
	const steps = "-- sender -> server --\na\n-- server -> sender --\nb\n"
	if e, err := parse("a.txt", "It shows.\nchannel: x\n\nconfig: {\"a\":1}\n"+steps); err != nil || e.Name != "a" || e.Config != `"a":1` ||
		!slices.Equal(e.Steps, []Step{{"sender", "server", "a", "a.txt:5"}, {"server", "sender", "b", "a.txt:7"}}) {
		t.Errorf("got %+v %v", e, err)
	}
	for file, text := range map[string]string{
		"a.md":          "It shows.\nchannel: x\n" + steps,
		"silent.txt":    "channel: x\n" + steps,
		"nowhere.txt":   "It shows.\n" + steps,
		"unknown.txt":   "It shows.\nchannel: x\ncolour: red\n" + steps,
		"config.txt":    "It shows.\nchannel: x\nconfig: 5\n" + steps,
		"short.txt":     "It shows.\nchannel: x\n-- sender -> server --\na\n",
		"strangers.txt": "It shows.\nchannel: x\n" + steps + "-- core -> sender --\na\n",
		"itself.txt":    "It shows.\nchannel: x\n" + steps + "-- server -> server --\na\n",
	} {
		if e, err := parse(file, text); err == nil {
			t.Errorf("%s was taken: %+v", file, e)
		}
	}
}

func TestSameGoesByMeaning(t *testing.T) {
	for _, test := range []struct {
		want, got string
		same      bool
	}{
		{`{"a":1,"b":[true,null]}`, ` { "b" : [ true, null ], "a" : 1 } `, true},
		{`"\u4f60<"`, `"你\u003c"`, true},
		{`9007199254740993`, `9007199254740993`, true},
		{`9007199254740993`, `9007199254740992`, false},
		{`1.50`, `1.5`, false},
		{`"1"`, `1`, false},
		{`{"a":null}`, `{}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`1`, ``, false},
		{`1`, `1 1`, false},
		{`{`, `{`, false},
	} {
		if err := Same(test.want, test.got); (err == nil) != test.same {
			t.Errorf("%s and %s: %v", test.want, test.got, err)
		}
	}
}

func TestHTTPMessagesAreCompared(t *testing.T) {
	m, err := ParseHTTP("HTTP/1.1 401 Unauthorized\nX-A: 1\nx-gone: -\n\n{\"a\": 1}")
	if err != nil {
		t.Fatal(err)
	}
	if m.Status() != "401" {
		t.Errorf("status %s", m.Status())
	}
	if err := m.Compare(http.Header{"X-A": {"1"}, "X-B": {"2"}}, `{"a":1}`); err != nil {
		t.Error(err)
	}
	for name, other := range map[string]struct {
		header http.Header
		body   string
	}{
		"another value":    {http.Header{"X-A": {"2"}}, `{"a":1}`},
		"two values":       {http.Header{"X-A": {"1", "1"}}, `{"a":1}`},
		"no header":        {http.Header{}, `{"a":1}`},
		"one that is gone": {http.Header{"X-A": {"1"}, "X-Gone": {""}}, `{"a":1}`},
		"another body":     {http.Header{"X-A": {"1"}}, `{"a":2}`},
		"no body":          {http.Header{"X-A": {"1"}}, ``},
	} {
		if m.Compare(other.header, other.body) == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := (HTTP{}).Compare(nil, "a"); err == nil {
		t.Error("a body was taken where none should be")
	}
	if raw := m.Raw("Host: x"); raw != "HTTP/1.1 401 Unauthorized\r\nX-A: 1\r\nX-Gone: -\r\nContent-Length: 8\r\nHost: x\r\n\r\n{\"a\": 1}" {
		t.Errorf("raw %q", raw)
	}
	if _, err := ParseHTTP("GET / HTTP/1.1\nnonsense"); err == nil {
		t.Error("a header without a colon was taken")
	}
}

func TestEnvelopesAreCompared(t *testing.T) {
	asked := &pluginpb.PluginEnvelope{RequestId: 7, Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{
		Credentials: &pluginpb.Credentials{Auth: "x", Remote: "127.0.0.1"},
		Target:      "phone", Extra: []byte(`{"id":1,"n":9007199254740993,"remote":"y"}`), WaitMs: 5,
	}}}
	const want = `{"publish":{"credentials":{"auth":"x"},"target":"phone","extra":{"n":9007199254740993,"id":1,"remote":"y"},"waitMs":5}}`
	if err := compareEnvelope(want, asked); err != nil {
		t.Error(err)
	}
	if err := compareEnvelope(strings.Replace(want, `"auth":"x"`, `"auth":"x","remote":"127.0.0.1"`, 1), asked); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{
		{`"auth":"x"`, `"auth":"y"`}, {`"auth":"x"`, ``}, {`"auth":"x"`, `"auth":"x","remote":"::1"`}, {`"waitMs":5`, `"waitMs":6`},
		{`993`, `992`}, {`"id":1,`, ``}, {`,"waitMs":5`, ``}, {`publish`, `confirm`},
	} {
		if other := strings.Replace(want, change[0], change[1], 1); compareEnvelope(other, asked) == nil {
			t.Errorf("%s was taken", other)
		}
	}
	reply := &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{
		Id: 7, Error: &pluginpb.Error{Code: pluginpb.ErrorCode_ERROR_CODE_INVALID, Message: "why"},
	}}}
	if err := compareEnvelope(`{"commandReply":{"error":{"code":"ERROR_CODE_INVALID","message":"why"}}}`, reply); err != nil {
		t.Error(err)
	}
	if err := compareEnvelope(`{"commandReply":{}}`, reply); err == nil {
		t.Error("a refusal was taken for consent")
	}
}

func TestCoreEnvelopesAreRead(t *testing.T) {
	e, err := coreEnvelope(`{"session":{"auth":"x","generation":"3","announcements":{"key":"k<","n":{"a":1.50}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	s := e.GetSession()
	if s.GetAuth() != "x" || s.GetGeneration() != 3 || string(s.GetAnnouncements()["key"]) != `"k<"` || string(s.GetAnnouncements()["n"]) != `{"a":1.50}` {
		t.Errorf("got %v", e)
	}
	e, err = coreEnvelope(`{"deliver":{"message":{"mid":"5","extra":{"n":9007199254740993}},"routes":[{"receiver":"phone"}]}}`)
	if err != nil || string(e.GetDeliver().GetMessage().GetExtra()) != `{"n":9007199254740993}` || e.GetDeliver().GetRoutes()[0].GetReceiver() != "phone" {
		t.Errorf("got %v %v", e, err)
	}
	if _, err := coreEnvelope(`{"nothing":{}}`); err == nil {
		t.Error("an unknown envelope was taken")
	}
}

func TestWordsInBracesAreReplaced(t *testing.T) {
	e := Exchange{Config: `"url":"{endpoint}/"`, Steps: []Step{{Text: `{"a":"{endpoint}","b":"{key}"}`}}}
	got := e.With("endpoint", "http://x", "key", "k")
	if got.Config != `"url":"http://x/"` || got.Steps[0].Text != `{"a":"http://x","b":"k"}` {
		t.Errorf("got %+v", got)
	}
	if e.Steps[0].Text != `{"a":"{endpoint}","b":"{key}"}` {
		t.Error("the exchange itself has changed")
	}
}
