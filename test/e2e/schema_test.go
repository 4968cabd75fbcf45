package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mpush/test/harness"
)

// wrongSection has a wrong key, a wrong type and lacks a key that is required.
const wrongSection = `{
        "pth": "m.jsonl",
        "path": 5
      }`

func TestWrongKeysOfAThirdPartysPluginAreTheirChannelsFaultAlone(t *testing.T) {
	t.Parallel()
	r := startReloading(t, harness.Object{"http": harness.Object{"waitTimeout": 60_000}})
	r.Receiver(t, "phone")
	r.Stop(t)
	right := r.text()
	entry := func(section string) string {
		return strings.TrimSuffix(strings.TrimSpace(right), "}") + fmt.Sprintf(`,
  "plugins": {
    "file": {
      "path": %q, "unpinned": true,
      "config": %s
    }
  }
}`, harness.Program(t, "file"), section)
	}
	line := strings.Count(right, "\n") + 1 // of the bracket in whose place the entry comes
	wanted := []string{
		fmt.Sprintf(`config.json:%d:9: plugins.file.config.pth: unknown key (did you mean "path"?)`, line+5),
		fmt.Sprintf("config.json:%d:9: plugins.file.config.path: expected a string, got a number", line+6),
		fmt.Sprintf("config.json:%d:7: plugins.file.config.clients: missing: expected a list: The receivers", line+4),
	}
	r.replace(entry(wrongSection))

	got := harness.Run(t, r.Dir, nil, "check")
	if got.Code != 1 {
		t.Errorf("check: exit code %d", got.Code)
	}
	for _, fault := range wanted {
		if !hasLine(got.Stderr, fault) {
			t.Errorf("check does not say %s\n%s", fault, got.Stderr)
		}
	}

	r.Start(t)
	if channel := r.Channel(t, "file"); !strings.HasPrefix(channel.State, "misconfigured: ") || !strings.Contains(channel.State, "config.json:") {
		t.Errorf("channel %+v", channel)
	}
	for _, key := range []string{"pth", "path", "clients"} {
		r.WaitLog(t, "level=ERROR", "channel=file", "key=plugins.file.config."+key+" ")
	}
	phone := r.Receiver(t, "phone")
	answer := r.Begin(t, harness.Request{Target: "/phone.send?text=served"})
	phone.Take(t, "served")
	answer().ExpectStatuses(t, statuses{"phone": "ok"})

	messages := filepath.Join(t.TempDir(), "messages.jsonl")
	r.expect(func() {
		r.replace(entry(fmt.Sprintf(`{ "path": %q, "clients": [{ "name": "log" }] }`, messages)))
	}, "configuration reloaded", "file")
	r.Get(t, "/log.send?text=mended").ExpectStatuses(t, statuses{"log": "ok"})
	answer = r.Begin(t, harness.Request{Target: "/phone.send?text=still"}) // on the socket of before
	phone.Take(t, "still")
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
}

func TestDescribePrintsTheManualOfAnyPlugin(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	for _, test := range []struct {
		name string
		says []string
	}{
		{"webhook", []string{"webhook: webhook ", "egress", "master-token (granted)", "retryTimeout", "a whole number of milliseconds, default 3000", "clients[].url", "a string, required", "clients[].token"}},
		{harness.Program(t, "file"), []string{"file: file 1.0", "KEYS of plugins.file.config", `a string, default "messages.jsonl"`, "Where messages are appended.", "a list of objects, required"}},
	} {
		got := harness.Run(t, dir, nil, "plugin", "describe", test.name)
		for _, part := range test.says {
			if !strings.Contains(got.Stdout, part) {
				t.Errorf("%s: no %q in\n%s%s", test.name, part, got.Stdout, got.Stderr)
			}
		}
	}
	got := harness.Run(t, dir, nil, "plugin", "describe", "http", "--json")
	if !json.Valid([]byte(got.Stdout)) || !strings.Contains(got.Stdout, `"waitTimeout": {`) {
		t.Errorf("no JSON:\n%s%s", got.Stdout, got.Stderr)
	}
	failed := harness.Run(t, dir, nil, "plugin", "describe", "nobody")
	if failed.Code != 1 {
		t.Errorf("exit code %d\n%s", failed.Code, failed.Stdout)
	}
}
