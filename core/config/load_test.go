package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// loadText loads a text as config.json, with variables over it.
func loadText(t *testing.T, text string, environ ...string) (*Config, error) {
	t.Helper()
	return build(newSource("config.json", []byte(text)), t.TempDir(), Options{Environ: environ})
}

func mustLoad(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, err := loadText(t, text, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// channel finds a channel that must be there.
func channel(t *testing.T, c *Config, name string) Channel {
	t.Helper()
	i := slices.IndexFunc(c.Channels, func(ch Channel) bool { return ch.Name == name })
	if i < 0 {
		t.Fatalf("no channel %s in %+v", name, c.Channels)
	}
	return c.Channels[i]
}

func TestReadmeSampleLoadsVerbatim(t *testing.T) {
	c, err := Load(Options{Path: "testdata/readme.json", PathExplicit: true})
	if err != nil {
		t.Fatal(err)
	}
	if c.Token.Reveal() != "test" || !c.WeakToken() || len(c.Warnings) != 0 {
		t.Errorf("token %q, weak %v, warnings %q", c.Token.Reveal(), c.WeakToken(), c.Warnings)
	}
	if len(c.Unserved) != 0 {
		t.Errorf("unserved %s", c.Unserved)
	}
	for name, want := range map[string]string{
		"http":      `{"verifyToken":false,"port":9093,"waitTimeout":5000,"cors":true}`,
		"websocket": `{"verifyToken":true,"port":9094,"authTimeout":30000,"retryTimeout":3000,"waitTimeout":5000}`,
		"webhook":   `{"retryTimeout":3000,"clients":[{"name":"wh1","group":"group2","url":"http://127.0.0.1:8089/","method":"GET"}]}`,
		"webpush":   `{"serverKey":"","proxy":"http://127.0.0.1:12333","retryTimeout":10000}`,
	} {
		if ch := channel(t, c, name); string(ch.Section) != want || !ch.Bundled || !ch.Enabled {
			t.Errorf("%s: %s, bundled %v, enabled %v", name, ch.Section, ch.Bundled, ch.Enabled)
		}
	}
	if len(c.Channels) != 4 {
		t.Errorf("%d channels", len(c.Channels))
	}
}

func TestDeliveredConfigLoads(t *testing.T) {
	const path = "../../config.json"
	c, err := Load(Options{Path: path, PathExplicit: true})
	if err != nil {
		t.Fatal(err)
	}
	if c.Token.Reveal() != "test" || len(c.Warnings) != 0 || c.Limits != mustLoad(t, `{}`).Limits {
		t.Errorf("token %q, warnings %q, limits %+v", c.Token.Reveal(), c.Warnings, c.Limits)
	}
	if ch := channel(t, c, "http"); string(ch.Section) != `{"port":9093,"verifyToken":false,"waitTimeout":5000,"cors":true}` {
		t.Errorf("%s", ch.Section)
	}

	// What stands there as a comment is right too: all but the prose comes in.
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	for i, line := range lines {
		bare := strings.TrimLeft(line, " /")
		if i > 6 && strings.HasPrefix(strings.TrimSpace(line), "//") && bare != "" && strings.Contains(`"{}],`, bare[:1]) {
			lines[i] = bare
		}
	}
	uncommented := strings.Join(lines, "\n")
	uncommented = strings.Replace(uncommented, `"sha256": "…"`, `"unpinned": true`, 1)
	c, err = loadText(t, uncommented, "HOME=/home/op")
	if err != nil {
		t.Fatalf("%v in\n%s", err, uncommented)
	}
	defaults := mustLoad(t, `{}`)
	if c.Limits != defaults.Limits || fmt.Sprint(c.TrustedProxies) != fmt.Sprint(defaults.TrustedProxies) || c.Log != defaults.Log || c.AuthTTL != 0 {
		t.Errorf("what is commented out are not the defaults: %+v", c)
	}
	if ch := channel(t, c, "file"); string(ch.Section) != `{"path":"messages.log","clients":[{"name":"log"}]}` || len(ch.Rights) != 2 || len(ch.Args) != 1 || len(ch.Env) != 1 {
		t.Errorf("%+v", ch)
	}
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, "// nothing\n{}// at all")
	want := Limits{
		TTL: 7 * 24 * time.Hour, QueueLength: 100_000, QueueBytes: 256 << 20,
		Receivers: 100_000, GroupMembers: 10_000, ForgetAfter: 90 * 24 * time.Hour,
		PublishRate: 200, PublishBurst: 2000, AuthFailures: 10, DiskReserve: 64 << 20,
	}
	if c.Limits != want || c.AuthTTL != 0 || c.HistoryKeep != 7*24*time.Hour || c.Log != (Log{slog.LevelInfo, "text"}) {
		t.Errorf("%+v", c)
	}
	if got := fmt.Sprint(c.TrustedProxies); got != "[127.0.0.0/8 ::1/128]" {
		t.Errorf("trusted proxies %s", got)
	}
	if !c.WeakToken() || len(c.Unserved)+len(c.Warnings) != 0 {
		t.Errorf("weak %v, unserved %q, warnings %q", c.WeakToken(), c.Unserved, c.Warnings)
	}
	for _, ch := range c.Channels {
		if ch.Section != nil || !ch.Enabled || !ch.Bundled || !ch.MTLS {
			t.Errorf("%+v", ch)
		}
	}
}

func TestGroupMembersAreBounded(t *testing.T) {
	for _, given := range []string{"0", "10001"} {
		c := mustLoad(t, `{"limits": {"groupMembers": `+given+`}}`)
		if c.Limits.GroupMembers != 10_000 || len(c.Warnings) != 1 {
			t.Errorf("%s: %d, warnings %q", given, c.Limits.GroupMembers, c.Warnings)
		}
	}
}

func TestBurstIsAtLeastOne(t *testing.T) {
	c := mustLoad(t, `{"limits": {"publishBurst": 0}}`)
	if c.Limits.PublishBurst != 1 || !slices.Equal(c.Warnings, []string{"config.json:1:13: limits.publishBurst: 0 is too little, raised to 1"}) {
		t.Errorf("%d, warnings %q", c.Limits.PublishBurst, c.Warnings)
	}
}

func TestSettings(t *testing.T) {
	c := mustLoad(t, `{
		"token": 12345678901234567890123,
		"auth": {"ttl": "1d12h"},
		"limits": {"ttl": 5000, "queueLength": 1e3, "queueBytes": 0, "receivers": 5.0, "groupMembers": 7, "publishRate": 0, "publishBurst": 20, "authFailures": 3, "forgetAfter": "1d", "diskReserve": 0},
		"history": {"keep": "30d"},
		"trustedProxies": ["10.1.2.3/8", "192.168.1.1", "::ffff:127.0.0.1", "fd00::/8"],
		"log": {"level": "debug", "format": "json"},
	}`)
	want := Limits{TTL: 5 * time.Second, QueueLength: 1000, Receivers: 5, GroupMembers: 7, PublishBurst: 20, AuthFailures: 3, ForgetAfter: 24 * time.Hour}
	if c.Limits != want || c.AuthTTL != 36*time.Hour || c.HistoryKeep != 30*24*time.Hour || c.Log != (Log{slog.LevelDebug, "json"}) {
		t.Errorf("%+v", c)
	}
	if got := fmt.Sprint(c.TrustedProxies); got != "[10.0.0.0/8 192.168.1.1/32 127.0.0.1/32 fd00::/8]" {
		t.Errorf("trusted proxies %s", got)
	}
	if c.Token.Reveal() != "12345678901234567890123" {
		t.Errorf("token %q", c.Token.Reveal())
	}
}

func TestNullIsAbsent(t *testing.T) {
	c := mustLoad(t, `{"token": null, "http": null, "limits": {"ttl": null}, "auth": null, "plugins": {"x": null}, "console": null}`)
	if c.Token != "" || c.Limits.TTL != 7*24*time.Hour || channel(t, c, "http").Section != nil || len(c.Channels) != 4 || len(c.Unserved) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestUnservedAndLaterSectionsAreNamed(t *testing.T) {
	c := mustLoad(t, `{
		"token": "",
		"ops": {"listen": "", "pprof": true}, "history": {"keep": "7d"},
		"limits": {"ttl": 1},
		"console": {"x": "${env:ABSENT}"},
		"plugins": {"a": {"path": "/a", "unpinned": true, "limits": {}}},
		"fcm": {"projectId": "x"},
	}`)
	if got, want := fmt.Sprint(c.Unserved), "[console]"; got != want {
		t.Errorf("unserved %s\nwant     %s", got, want)
	}
	want := []string{
		"config.json:4:14: limits.ttl: 1 ms is too short, raised to 1000 ms",
		"config.json:7:3: fcm: belongs to a later version of mpush and is ignored",
	}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("warnings %q", c.Warnings)
	}
	if c.Limits.TTL != time.Second {
		t.Errorf("ttl %v", c.Limits.TTL)
	}
}

func TestSectionKeepsTheBytesOfTheFile(t *testing.T) {
	c := mustLoad(t, `{"http": {
		// numbers beyond 2^53, and forms that a re-encoder would change
		"zebra": 9007199254740993, "apple": 1.50, "exp": 1E+2, "neg": -0,
		"enabled": true,
		"text": "a\u0062\/<&>手机", "nested": {"enabled": false, "list": [1, [], {}, null,],},
	}}`)
	want := `{"zebra":9007199254740993,"apple":1.50,"exp":1E+2,"neg":-0,` +
		`"text":"a\u0062\/<&>手机","nested":{"enabled":false,"list":[1,[],{},null]}}`
	if got := string(channel(t, c, "http").Section); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBundledChannelCanBeSwitchedOff(t *testing.T) {
	c := mustLoad(t, `{"http": {"enabled": false, "host": "${env:ABSENT}", "port": 9094}}`)
	if ch := channel(t, c, "http"); ch.Enabled || ch.Section != nil {
		t.Errorf("%+v", ch)
	}
	if ch := channel(t, c, "websocket"); !ch.Enabled {
		t.Errorf("%+v", ch)
	}
}

func TestMissingFile(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := Load(Options{Path: "other.json", PathExplicit: true})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "config file other.json does not exist") {
		t.Errorf("explicit: %v", err)
	}
	_, err = Load(Options{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "there is no config.json here") || !strings.Contains(err.Error(), "mpush init") {
		t.Errorf("default: %v", err)
	}
	if strings.Contains(err.Error(), "'") {
		t.Errorf("a word to be pasted would be everybody's token: %v", err)
	}
	if _, err := Load(Options{Path: ".", PathExplicit: true}); err == nil || !strings.HasPrefix(err.Error(), "config file: ") {
		t.Errorf("directory: %v", err)
	}
	large := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(large, make([]byte, maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{Path: large}); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("large: %v", err)
	}
}

func TestPipeIsRefusedAndNotWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "config file: " + path + " is not a regular file"
	if _, err := Load(Options{Path: path, PathExplicit: true}); err == nil || err.Error() != want {
		t.Errorf("load: %v", err)
	}
	if _, err := Pin(Options{Path: path}, "x"); err == nil || err.Error() != want {
		t.Errorf("pin: %v", err)
	}
}

// A shell's <(…) is such a pipe, and so may be /dev/stdin.
func TestPipeOfTheStartIsReadOnce(t *testing.T) {
	w := newWatched(t)
	read, write, err := os.Pipe()
	w.must(err)
	defer read.Close()
	_, err = write.WriteString(`{"token": "first"}`)
	w.must(errors.Join(err, write.Close()))
	path := fmt.Sprintf("/dev/fd/%d", read.Fd())
	o := Options{Path: path, PathExplicit: true, Watcher: w.watcher}
	c, err := Load(o)
	w.must(err)
	if c.Token.Reveal() != "first" {
		t.Errorf("token %q", c.Token.Reveal())
	}
	w.watcher.compare()
	if len(w.watcher.Changes()) > 0 {
		t.Error("it counts as changed")
	}
	if _, err := Load(o); err == nil || err.Error() != "config file: "+path+" is not a regular file" {
		t.Errorf("a second time: %v", err)
	}
}

func TestPathsOfABundledChannelStartFromTheConfigFile(t *testing.T) {
	dir := t.TempDir()
	text := newSource("config.json", []byte(`{"http": {"tls": {"cert": "tls/a.pem", "key": "/b.pem"}}, "websocket": {"tls": {"cert": 5}}, "webhook": {"tls": {"cert": "x"}}}`))
	c, err := build(text, dir, Options{Environ: []string{"MPUSH_WEBSOCKET_TLS_KEY=c.pem"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"http":      fmt.Sprintf(`{"tls":{"cert":%q,"key":"/b.pem"}}`, filepath.Join(dir, "tls/a.pem")),
		"websocket": fmt.Sprintf(`{"tls":{"cert":5,"key":%q}}`, filepath.Join(dir, "c.pem")),
		"webhook":   `{"tls":{"cert":"x"}}`,
	} {
		if got := string(channel(t, c, name).Section); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestKeyThatIsGoneSaysWhatToWriteInstead(t *testing.T) {
	_, err := loadText(t, `{"limits": {"connections": 5}}`)
	if err == nil || !strings.Contains(err.Error(), "config.json:1:13: limits.connections: ") || !strings.Contains(err.Error(), "set http.maxConnections") {
		t.Errorf("%v", err)
	}
}
