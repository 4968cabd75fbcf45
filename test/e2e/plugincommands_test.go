package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/test/harness"
)

// listed is what plugin list says of a channel.
type listed struct {
	Name, State, Version, Since, Error string
	PID, Restarts, InFlight            int
	Memory, Queued                     int64
	Bundled, Pinned                    bool
}

// An operator pins a plugin that runs: the file keeps its comments, the relay
// takes it over, and the list shows it.
func TestPluginIsPinnedAndListed(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	path := filepath.Join(relay.Dir, "config.json")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(before))
	text = "// mine\n" + strings.TrimSuffix(text, "}") + `, "plugins": { "file": { /* beside */ "unpinned": true, // for now
		"path": "` + harness.Program(t, "file") + `", "config": { "clients": [{ "name": "log" }] } } } }` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	find := func() (found listed) {
		var all []listed
		operateJSON(t, relay, &all, "plugin", "list")
		for _, c := range all {
			if c.Name == "file" {
				found = c
			}
		}
		return found
	}
	eventually(t, "the plugin runs", func() bool { c := find(); return c.State == "running" && !c.Pinned })
	sum := sha256Of(t, harness.Program(t, "file"))
	result := harness.Run(t, relay.Dir, nil, "plugin", "pin", "file", "--config", path)
	if result.Code != 0 || !strings.Contains(result.Stdout, "file: not pinned → "+sum) {
		t.Fatalf("%+v", result)
	}
	want := strings.Replace(text, `"unpinned": true`, `"sha256": "`+sum+`"`, 1)
	if after, err := os.ReadFile(path); err != nil || string(after) != want {
		t.Errorf("%v, the file is %s", err, after)
	}
	eventually(t, "the relay has taken it over", func() bool { c := find(); return c.State == "running" && c.Pinned })
	if again := harness.Run(t, relay.Dir, nil, "plugin", "pin", "file", "--config", path); again.Code != 0 || !strings.Contains(again.Stdout, "nothing was changed") {
		t.Errorf("%+v", again)
	}
	relay.Get(t, "/log.send?text=t").ExpectStatuses(t, statuses{"log": "ok"})
	if c := find(); c.PID == 0 || c.Version != "1.0" || c.Since == "" || c.Memory < 1<<20 || c.Queued != 0 || c.Bundled {
		t.Errorf("%+v", c)
	}
	off := strings.Replace(want, `"sha256"`, `"enabled": false, "sha256"`, 1)
	if err := os.WriteFile(path, []byte(off), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is switched off", func() bool { return find().State == "disabled" })
	queue(t, relay, "log", "kept")
	if c := find(); c.Queued != 1 || !c.Pinned || c.PID != 0 {
		t.Errorf("%+v", c)
	}
	if table := operates(t, relay, "plugin", "list"); !hasLine(table, "file", "disabled", "yes", "1") || !hasLine(table, "websocket", "running", "bundled", "MiB") {
		t.Errorf("%s", table)
	}
	if missing := harness.Run(t, relay.Dir, nil, "plugin", "pin", "fiel", "--config", path); missing.Code != 1 || !strings.Contains(missing.Stderr, `there is no plugin "fiel": the file has file`) {
		t.Errorf("%+v", missing)
	}
}

func TestPluginCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		want string
		args []string
	}{
		{"no relay answers for the data directory nowhere", []string{"plugin", "list", "--data", "nowhere"}},
		{"a plugin's name has 1 to 32 letters", []string{"plugin", "new", "My_Plugin", "--kind", "egress"}},
		{"the name webhook is reserved", []string{"plugin", "new", "webhook", "--kind", "egress"}},
		{"there is no checkout of mpush at or above", []string{"plugin", "new", "mine", "--kind", "egress"}},
		{`required flag(s) "kind" not set`, []string{"plugin", "new", "mine"}},
		{"./missing can not be run: ", []string{"plugin", "test", "./missing"}},
		{"config file none.json does not exist", []string{"plugin", "pin", "mine", "--config", "none.json"}},
	} {
		if result := harness.Run(t, dir, nil, test.args...); result.Code == 0 || !strings.Contains(result.Stderr, test.want) {
			t.Errorf("%q: %+v", test.args, result)
		}
	}
}
