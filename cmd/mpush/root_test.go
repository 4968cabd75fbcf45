package main

import (
	"bytes"
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
