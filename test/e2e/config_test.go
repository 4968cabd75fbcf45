package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// check runs mpush check on a configuration.
func check(t *testing.T, config string) harness.Result {
	t.Helper()
	dir := harness.Dir(t)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return harness.Run(t, dir, nil, "check")
}

// hasLine tells whether a line of text has all the parts.
func hasLine(text string, parts ...string) bool {
next:
	for line := range strings.Lines(text) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		return true
	}
	return false
}

func TestConfigIsCheckedWithKeyLineAndColumn(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		line   string
		config string
		says   []string // in one line
	}{
		{"an unknown key is an error", "{\n  \"token\": \"a-strong-one\",\n  \"htpp\": {}\n}", []string{"config.json:3:3", "htpp", "unknown key", `"http"`}},
		{"an unknown key is an error: in the relay's own section", "{\"limits\": {\"tll\": 5}}", []string{"config.json:1:13", "limits.tll", "unknown key"}},
		{"a wrong type is an error: token", "{\n\t\"token\": [\"x\"]\n}", []string{"config.json:2:2", "token"}},
		{"a wrong type is an error: a section", `{"http": []}`, []string{"config.json:1:2", "http", "expected an object"}},
		{"not JSON", "{\n  \"token\": \"x\"\n  \"http\": {}\n}", []string{"config.json:3:3"}},
		{"a key given twice is an error", "{\n  \"token\": \"x\",\n  \"token\": \"y\"\n}", []string{"config.json:3:3", "token", "twice"}},
	} {
		t.Run(row.line, func(t *testing.T) {
			t.Parallel()
			saysFault(t, check(t, row.config), row.says...)
		})
	}
	// Channels name their faults at once: of form, and if there are none of values.
	type fault struct {
		line string
		says []string // in one line
	}
	for name, file := range map[string]struct {
		config string
		faults []fault
	}{
		"forms": {`{
  "http": {
    "verifyTokn": true,
    "port": "9093"
  },
  // a comment
  "websocket": {
    "verifyToken": 1,
	"waitTimeout": "5s",
  },
  "webhook": {"clients": [{"name": "a", "uri": "http://x"}]}
}`, []fault{
			{"an unknown key is an error: in a channel's section", []string{"config.json:3:5", "http.verifyTokn", "unknown key"}},
			{"a wrong type is an error: port", []string{"config.json:4:5", "http.port", "number"}},
			{"a wrong type is an error: verifyToken", []string{"config.json:8:5", "websocket.verifyToken"}},
			{"a wrong type is an error: waitTimeout", []string{"config.json:9:2", "websocket.waitTimeout", "milliseconds"}},
			{"an unknown key is an error: in a webhook's client", []string{"config.json:11:41", "webhook.clients[0].uri"}},
		}},
		"values": {`{
  "websocket": {"port": 70000},
  "webhook": {"clients": [
    {"name": "a", "url": "ftp://x"},
    {"name": "b", "url": "http://x"}, {"name": "b", "url": "http://y"}]},
  "webpush": {"allowEndpoints": ["https://x/path"]}
}`, []fault{
			{"a wrong value is an error: port", []string{"config.json:2:17", "websocket.port", "65535"}},
			{"a wrong value is an error: a webhook's url", []string{"config.json:4:19", "webhook.clients[0].url", "http://"}},
			{"a wrong value is an error: a webhook's name, twice", []string{"config.json:5:40", "webhook.clients[2].name", "clients[1]"}},
			{"a wrong value is an error: an endpoint", []string{"config.json:6:34", "webpush.allowEndpoints[0]"}},
		}},
		"one that hides others": {`{"webhook": {"proxy": {"host": "127.0.0.1"}}}`, []fault{
			{"a wrong value is an error: a webhook's proxy", []string{"config.json:1:14", "webhook.proxy", "port"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := check(t, file.config)
			for _, fault := range file.faults {
				t.Run(fault.line, func(t *testing.T) { saysFault(t, got, fault.says...) })
			}
		})
	}
}

// saysFault sees that a check has found a fault and has a line with these parts.
func saysFault(t *testing.T, got harness.Result, says ...string) {
	t.Helper()
	if got.Code != 1 || got.Stdout != "" || !hasLine(got.Stderr, says...) {
		t.Errorf("exit code %d, no line with %q\n%s%s", got.Code, says, got.Stdout, got.Stderr)
	}
}

// "The readme's file, comments and trailing commas included, loads as it is."
func TestReadmesConfigIsRight(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile(filepath.Join("testdata", "readme-config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := check(t, string(config)); got.Code != 0 || got.Stdout != "config.json is right\n" {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func TestShippedConfigIsRight(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile(filepath.Join("..", "..", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := check(t, string(config)); got.Code != 0 || got.Stdout != "config.json is right\n" {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

// "A value under its floor is raised to it, with a warning … (a later version's
// `fcm` section: a warning)"
func TestTooShortTimesAreRaisedWithAWarning(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{
		"http":      harness.Object{"waitTimeout": 1},
		"websocket": harness.Object{"retryTimeout": 99, "waitTimeout": 499},
		"webhook":   harness.Object{"retryTimeout": 99, "timeout": 1, "proxy": harness.Object{}},
		"fcm":       harness.Object{"projectId": "x"},
	})
	for _, parts := range [][]string{
		{"http.waitTimeout", "config.json:", "1 ms", "500 ms"},
		{"websocket.retryTimeout", "config.json:", "99 ms", "100 ms"},
		{"websocket.waitTimeout", "config.json:", "499 ms", "500 ms"},
		{"webhook.retryTimeout", "config.json:", "99 ms", "100 ms"},
		{"webhook.timeout", "config.json:", "1 ms", "100 ms"},
		{"fcm", "config.json:", "later version"},
	} {
		relay.WaitLog(t, append(parts, "level=WARN")...)
	}
	relay.Away(t, "phone", "")
	began := time.Now()
	relay.Get(t, "/phone.send").ExpectStatuses(t, statuses{"phone": "ready"})
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("waitTimeout was not raised: the answer came after %v", took)
	}

	hasty := harness.Start(t, harness.Object{
		"websocket": harness.Object{"authTimeout": 0},
		"webpush":   harness.Object{"retryTimeout": 4999, "serverKey": "a", "apiKey": "b", "proxy": harness.Object{}},
	})
	hasty.WaitLog(t, "webpush.retryTimeout", "config.json:", "4999 ms", "5000 ms", "level=WARN")
	hasty.WaitLog(t, "webpush.serverKey", "config.json:", "no longer needed", "level=WARN")
	hasty.WaitLog(t, "webpush.apiKey", "config.json:", "no longer needed", "level=WARN")
	hasty.WaitLog(t, "level=WARN", "websocket.authTimeout", "config.json:", "0 ms", "100 ms")
	began = time.Now()
	hasty.Dial(t).ExpectEnd(t)
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("authTimeout was not raised: the end came after %v", took)
	}
}

// "`http.host`, `websocket.host`: `""` is all interfaces, but loopback only while
// the channel can be entered with an empty or well-known token or by anyone, and
// the log says why; an explicit address is obeyed, with a warning."
func TestListenersWithoutAHostAreOnLoopbackWhileAnybodyMayEnter(t *testing.T) {
	t.Parallel()
	const strong = "a-strong-token-of-this-test"
	for name, row := range map[string]struct {
		config          string
		http, websocket string // addresses without port
		warns           []string
	}{
		"a strong token": {`{"token":"` + strong + `","ops":{"listen":""},` + pushesOff + `,"http":{"port":0},"websocket":{"port":0}}`, "[::]", "[::]", nil},
		"tokens alone":   {`{"tokens":[{"name":"ci","token":"` + strong + `","rights":["send"]}],"ops":{"listen":""},` + pushesOff + `,"http":{"port":0},"websocket":{"port":0}}`, "[::]", "[::]", nil},
		"a well-known one of several": {`{"token":"` + strong + `","tokens":[{"name":"ci","token":"change-me","rights":["send"]}],"ops":{"listen":""},` + pushesOff + `,"http":{"port":0},"websocket":{"port":0}}`,
			"127.0.0.1", "127.0.0.1", []string{"http.host", "token"}},
		"an empty token":        {`{"ops":{"listen":""},` + pushesOff + `,"http":{"port":0},"websocket":{"port":0}}`, "127.0.0.1", "127.0.0.1", []string{"http.host", "token"}},
		"a well-known token":    {`{"token":"change-me","ops":{"listen":""},` + pushesOff + `,"http":{"port":0},"websocket":{"port":0}}`, "127.0.0.1", "127.0.0.1", []string{"websocket.host", "token"}},
		"no token is asked for": {`{"token":"` + strong + `","ops":{"listen":""},` + pushesOff + `,"http":{"port":0},"websocket":{"port":0,"verifyToken":false}}`, "[::]", "127.0.0.1", []string{"websocket.host", "verifyToken"}},
		"an explicit host":      {`{"token":"test","ops":{"listen":""},` + pushesOff + `,"http":{"port":0,"host":"0.0.0.0"},"websocket":{"port":0,"host":"localhost"}}`, "[::]", "127.0.0.1", []string{"http.host", "0.0.0.0", "token"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := harness.New(t, nil)
			relay.Configure(t, row.config)
			relay.Start(t)
			for channel, want := range map[string]string{"http": row.http, "websocket": row.websocket} {
				address := relay.Address(t, channel)
				host := address[:strings.LastIndexByte(address, ':')]
				if host == "0.0.0.0" {
					host = "[::]" // all interfaces, where there is no IPv6
				}
				if host != want {
					t.Errorf("%s listens at %s, expected %s", channel, address, want)
				}
			}
			if row.warns != nil {
				relay.WaitLog(t, append(row.warns, "level=WARN")...)
			} else if strings.Contains(relay.Log(), "level=WARN") {
				t.Errorf("warnings:\n%s", relay.Log())
			}
		})
	}
}
