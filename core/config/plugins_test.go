package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPluginEntry(t *testing.T) {
	dir := t.TempDir()
	sum := strings.Repeat("9F2c", 16)
	c, err := build(newSource("config.json", []byte(`{"plugins": {
		"telegram": {
			"path": "${env:PLUGINS}/telegram", "sha256": "`+sum+`", "args": ["-v", "${env:PLUGINS}"],
			"env": ["HOME", "ABSENT"], "rights": ["master-token", "accept-without-token"], "mtls": false,
			"config": {"botToken": "${env:TG_TOKEN}", "chat": -100123456789012345678, "enabled": true,},
		},
		"a": {"path": "/opt/a", "unpinned": true},
		"off": {"path": "${env:ABSENT}", "unpinned": true, "enabled": false, "env": ["ABSENT"], "config": {"x": "${env:ABSENT}"}},
	}}`)), dir, Options{Environ: []string{"PLUGINS=plugins", "TG_TOKEN=12:ab", "HOME=/root"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Channel{
		{
			Name: "telegram", Enabled: true, Section: []byte(`{"botToken":"12:ab","chat":-100123456789012345678,"enabled":true}`),
			Path: filepath.Join(dir, "plugins/telegram"), Args: []string{"-v", "plugins"}, Env: []string{"HOME", "ABSENT"},
			SHA256: strings.ToLower(sum), Rights: []string{RightMasterToken, RightAcceptWithoutToken}, MaxInFlight: 4096,
		},
		{Name: "a", Enabled: true, Path: "/opt/a", Unpinned: true, MTLS: true, MaxInFlight: 4096},
		{Name: "off", Path: filepath.Join(dir, "${env:ABSENT}"), Unpinned: true, MTLS: true, Env: []string{"ABSENT"}, MaxInFlight: 4096},
	}
	for i, ch := range c.Channels[4:] {
		if !reflect.DeepEqual(ch, want[i]) {
			t.Errorf("got  %+v\nwant %+v", ch, want[i])
		}
	}
	if len(c.Warnings) != 1 || c.Warnings[0] != "config.json:4:20: plugins.telegram.env[1]: the environment variable ABSENT is not set, the plugin will not get it" {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestPluginMemoryIsBoundedAndRaisedToItsLeast(t *testing.T) {
	for given, want := range map[string]struct {
		memory  int64
		warning string
	}{
		`{}`:                    {0, ""},
		`{"memory": 0}`:         {0, ""},
		`{"memory": 268435456}`: {256 << 20, ""},
		`{"memory": 1000}`:      {32 << 20, "config.json:1:62: plugins.a.limits.memory: 1000 bytes are too few, raised to 33554432"},
	} {
		c := mustLoad(t, `{"plugins": {"a": {"path": "p", "unpinned": true, "limits": `+given+`}}}`)
		if got := channel(t, c, "a").MaxMemory; got != want.memory || len(c.Unserved) != 0 {
			t.Errorf("%s: %d, unserved %q", given, got, c.Unserved)
		}
		if got := strings.Join(c.Warnings, "\n"); got != want.warning {
			t.Errorf("%s: warnings %q", given, got)
		}
	}
}

func TestPluginFaults(t *testing.T) {
	const good = `"path": "p", "unpinned": true`
	for entry, want := range map[string]string{
		`"a": 5`:                                           "config.json:2:1: plugins.a: expected an object, found a number",
		`"a": {"unpinned": true}`:                          "config.json:2:1: plugins.a: path is missing: the plugin's executable, relative to the config file",
		`"a": {"unpinned": true, "path": ""}`:              "config.json:2:25: plugins.a.path: is empty: expected the plugin's executable",
		`"a": {"unpinned": true, "path": 5}`:               "config.json:2:25: plugins.a.path: expected a string, found a number",
		`"a": {"path": "p"}`:                               `config.json:2:1: plugins.a: expected the executable's "sha256" (sha256sum prints it), or "unpinned": true to run whatever is there`,
		`"a": {"path": "p", "unpinned": false}`:            `config.json:2:1: plugins.a: expected the executable's "sha256" (sha256sum prints it), or "unpinned": true to run whatever is there`,
		`"a": {` + good + `, "sha256": "ab"}`:              `config.json:2:38: plugins.a.sha256: contradicts "unpinned": true: remove one of them`,
		`"a": {"path": "p", "sha256": "ab"}`:               "config.json:2:20: plugins.a.sha256: expected 64 hex digits",
		`"a": {` + good + `, "paht": "p"}`:                 `config.json:2:38: plugins.a.paht: unknown key (did you mean "path"?)`,
		`"a": {` + good + `, "botName": "p"}`:              "config.json:2:38: plugins.a.botName: unknown key (known are args, config, enabled, env, limits, mtls, path, reattach, receivers, rights, sha256, targets, unpinned); the plugin's own keys belong into config",
		`"a": {` + good + `, "rights": ["a"]}`:             "config.json:2:49: plugins.a.rights[0]: unknown right: expected one of master-token, accept-without-token, take-names",
		`"a": {` + good + `, "rights": "a"}`:               "config.json:2:38: plugins.a.rights: expected an array of strings, found a string",
		`"a": {` + good + `, "env": ["A=1"]}`:              "config.json:2:46: plugins.a.env[0]: expected the name of an environment variable, without a value",
		`"a": {` + good + `, "config": []}`:                "config.json:2:38: plugins.a.config: expected an object, found an array",
		`"a": {` + good + `, "limits": 5}`:                 "config.json:2:38: plugins.a.limits: expected an object, found a number",
		`"a": {` + good + `, "limits": {"memory": "1G"}}`:  "config.json:2:49: plugins.a.limits.memory: expected a whole number from 0, found a string",
		`"a": {` + good + `, "limits": {"memori": 1}}`:     `config.json:2:49: plugins.a.limits.memori: unknown key (did you mean "memory"?)`,
		`"a": {` + good + `, "enabled": "no"}`:             "config.json:2:38: plugins.a.enabled: expected true or false, found a string",
		`"webhook": {` + good + `}`:                        "config.json:2:1: plugins.webhook: the name webhook is reserved: choose another, such as my-webhook",
		`"token": {` + good + `}`:                          "config.json:2:1: plugins.token: the name token is reserved: choose another, such as my-token",
		`"A": {` + good + `}`:                              "config.json:2:1: plugins.A: a plugin's name has 1 to 32 letters a-z, digits and hyphens and begins with a letter",
		`"": {` + good + `}`:                               `config.json:2:1: plugins[""]: a plugin's name has 1 to 32 letters a-z, digits and hyphens and begins with a letter`,
		`"a\n": {` + good + `}`:                            `config.json:2:1: plugins["a\n"]: a plugin's name has 1 to 32 letters a-z, digits and hyphens and begins with a letter`,
		`"` + strings.Repeat("a", 33) + `": {}`:            "config.json:2:1: plugins." + strings.Repeat("a", 33) + ": a plugin's name has 1 to 32 letters a-z, digits and hyphens and begins with a letter",
		`"a": {` + good + `, "config": {"a": "${env:X}"}}`: "config.json:2:49: plugins.a.config.a: the environment variable X is not set",
	} {
		_, err := loadText(t, "{\"plugins\": {\n"+entry+"}}")
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", entry, err, want)
		}
	}
	_, err := loadText(t, `{"plugins": ["a"]}`)
	if want := "config.json:1:2: plugins: expected an object with a key for each plugin, found an array"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
