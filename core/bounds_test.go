package core

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mpush/core/config"
	"mpush/core/supervisor"
)

// third is the plugins section with the taker under one name, and more keys.
func third(more string) string {
	return fmt.Sprintf(`, "plugins": {"taker": {"path": %q, "args": ["channel", "out"], "env": ["GORACE", "LISTED"], "unpinned": true%s}}`, os.Args[0], more)
}

// planned is what a configuration makes of the taker.
func planned(t *testing.T, more string) plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	cfg := load(t, path, "{"+strings.TrimPrefix(third(more), ", ")+"}")
	plans, err := makePlans(cfg, &Options{})
	if err != nil || len(plans) != 1 {
		t.Fatalf("%v, %v", plans, err)
	}
	return plans[0]
}

func TestEveryBoundOfAnEntryMakesAnotherPlan(t *testing.T) {
	before := planned(t, "")
	if !before.equals(planned(t, `, "enabled": true`)) {
		t.Error("nothing has changed, and the plan has")
	}
	for _, more := range []string{
		`"targets": {}`, `"targets": {"names": ["a"]}`, `"targets": {"groups": ["a"]}`,
		`"receivers": {}`, `"receivers": {"names": ["a"]}`, `"receivers": {"groups": ["a"]}`,
		`"limits": {"inFlight": 5}`, `"limits": {"publishRate": 5}`, `"limits": {"memory": 268435456}`,
		`"rights": ["take-names"]`, `"mtls": false`,
	} {
		now := planned(t, ", "+more)
		if now.equals(before) || !now.equals(planned(t, ", "+more)) {
			t.Errorf("%s: %+v", more, now.bounds)
		}
	}
	if planned(t, `, "limits": {"publishRate": 5}`).equals(planned(t, `, "limits": {"publishRate": 5, "publishBurst": 5}`)) {
		t.Error("another burst is no other plan")
	}
}

func TestReloadPutsNewBoundsInForce(t *testing.T) {
	s := serve(t, third(""))
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
		t.Fatalf("answer %s", got)
	}
	s.reloads(5000, third(`, "receivers": {"names": ["no-box"]}`), Changes{Changed: []string{"taker"}})
	if got := s.status("taker"); got.State == supervisor.Running || !strings.Contains(got.LastError, `plugin taker may not serve "box": plugins.taker.receivers`) {
		t.Errorf("the channel is %+v", got)
	}
	if got := s.send("wait=0"); !strings.Contains(got, `"box":"ready"`) { // it stays in the queue
		t.Errorf("answer %s", got)
	}
	s.reloads(5000, third(`, "receivers": {"names": ["bo*"], "groups": ["boxes"]}`), Changes{Changed: []string{"taker"}})
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
		t.Errorf("answer %s", got)
	}
	s.reloads(5000, third(`, "enabled": false`), Changes{Removed: []string{"taker"}})
	all := s.channels()
	last := all[len(all)-1]
	i := slices.IndexFunc(s.inForce().Channels, func(c config.Channel) bool { return c.Name == "taker" })
	if last.Name != "taker" || last.State != "disabled" || last.Pinned || i < 0 {
		t.Errorf("listed as %+v", last)
	}
}

// What the relay has in its environment is nobody's who was not given it.
func TestPluginSeesTheEnvironmentOfItsEntryAlone(t *testing.T) {
	t.Setenv("LISTED", "for the plugin")
	t.Setenv("MPUSH_UNLISTED", "a secret")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	s := serve(t, third(""))
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.pid("taker")))
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	// Of go-plugin's handshake.
	given := []string{"MPUSH_PLUGIN", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_CLIENT_CERT", "PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_MULTIPLEX_GRPC"}
	given = append(append(given, passedOn...), "GORACE", "LISTED")
	listed := false
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		if !slices.Contains(given, name) {
			t.Errorf("it sees %s", name)
		}
		listed = listed || name == "LISTED" && value == "for the plugin"
	}
	if !listed {
		t.Error("it does not see what its entry lists")
	}
}
