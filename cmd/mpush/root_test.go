package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// runs mpush with arguments, in this process.
func runs(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestMisspeltCommandsAreNotRight(t *testing.T) {
	for _, row := range []struct{ args, says string }{
		{"tokne", `unknown command "tokne" for "mpush", did you mean "token"? (see "mpush --help")`},
		{"token revok ci", `unknown command "revok" for "mpush token", did you mean "revoke"? (see "mpush token --help")`},
		{"plugin lisst", `unknown command "lisst" for "mpush plugin", did you mean "list"? (see "mpush plugin --help")`},
		{"plugin describ x", `unknown command "describ" for "mpush plugin", did you mean "describe"? (see "mpush plugin --help")`},
		{"dead reply 7", `unknown command "reply" for "mpush dead", did you mean "replay"? (see "mpush dead --help")`},
		{"dead d", `unknown command "d" for "mpush dead", did you mean "drop"? (see "mpush dead --help")`},
		{"config sow", `unknown command "sow" for "mpush config", did you mean "show"? (see "mpush config --help")`},
		{"config xyzzy", `unknown command "xyzzy" for "mpush config" (see "mpush config --help")`},
		{"completion bsh", `unknown command "bsh" for "mpush completion", did you mean "bash" or "fish" or "zsh"? (see "mpush completion --help")`},
	} {
		out, err := runs(t, strings.Fields(row.args)...)
		if err == nil || err.Error() != row.says || exitCode(err) != exitUsage || out != "" {
			t.Errorf("mpush %s: %v\n%s", row.args, err, out)
		}
	}
}

func TestGroupsOfCommandsAloneShowTheirHelp(t *testing.T) {
	var groups []string
	for _, cmd := range root().Commands() {
		if cmd.HasSubCommands() {
			groups = append(groups, cmd.Name())
		}
	}
	if want := []string{"completion", "config", "dead", "plugin", "token"}; !slices.Equal(groups, want) {
		t.Errorf("the groups are %q, not %q", groups, want)
	}
	for _, group := range groups {
		out, err := runs(t, group)
		if err != nil || !strings.Contains(out, "Available Commands:") {
			t.Errorf("mpush %s: %v\n%s", group, err, out)
		}
		if _, err := runs(t, group, "--nonsense"); err == nil || exitCode(err) != exitUsage {
			t.Errorf("mpush %s --nonsense: %v", group, err)
		}
	}
}

func TestWrongCommandLinesAreUsageErrors(t *testing.T) {
	for _, row := range []struct{ args, says string }{
		{"trace abc", `"abc" is no mid`},
		{"trace 0", `"0" is no mid`},
		{"dead show x", `"x" is no mid`},
		{"dead list --below x", `"x" is no mid`},
		{"dead list --limit 0", "--limit 0: expected 1 to 1000"},
		{"dead list --limit 1001", "--limit 1001: expected 1 to 1000"},
		{"dead replay", "name a MID, or say --all"},
		{"dead drop --all 7", "name a MID, or say --all"},
		{"dead replay 7 --receiver phone", "--receiver goes with --all"},
		{"dead drop seven", `"seven" is no mid`},
		{"receivers --limit -5", "--limit -5: expected 1 to 1000"},
		{"receivers --limit 0", "--limit 0: expected 1 to 1000"},
		{"receivers --limit 1001", "--limit 1001: expected 1 to 1000"},
		{"listen", `required flag(s) "name" not set (see "mpush listen --help")`},
		{"plugin new pager", `required flag(s) "kind" not set (see "mpush plugin new --help")`},
		{"plugin new Pager --kind egress", "a plugin's name has"},
		{"plugin new http --kind egress", "the name http is reserved"},
		{"plugin new pager --kind sideways", "--kind: expected one of egress, ingress, both"},
		{"plugin test true --timeout 0s", "--timeout: expected a time"},
		{"plugin test true --command X", "--command: expected NAME=JSON"},
		{"plugin test true --run (", "--run: "},
		{"plugin test true --run xyzzy", "--run: no check has a name"},
		{"token new ci --expires soon", "--expires: "},
		{"token new ci --rights fly", "unknown right"},
	} {
		args := append(strings.Fields(row.args), "--data", t.TempDir())
		out, err := runs(t, args...)
		if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), row.says) || out != "" {
			t.Errorf("mpush %s: %v\n%s", row.args, err, out)
		}
	}
}

func TestWhatIsNotTheCommandLinesFaultIsNoUsageError(t *testing.T) {
	dir := t.TempDir()
	for _, args := range []string{"trace 7", "dead list --limit 1000", "dead replay --all", "receivers", "receivers --limit 1", "plugin test /nowhere"} {
		if _, err := runs(t, append(strings.Fields(args), "--data", dir)...); err == nil || exitCode(err) != exitFailed {
			t.Errorf("mpush %s: %v", args, err)
		}
	}
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"cmd":"MESSAGE_REPLY","data":{"mid":"x","status":{}}}`)
	}))
	defer odd.Close()
	if _, err := runs(t, "send", "phone", "hi", "--server", odd.URL); err == nil || exitCode(err) != exitFailed || !strings.Contains(err.Error(), "mid") {
		t.Errorf("an odd server: %v", err)
	}
}
