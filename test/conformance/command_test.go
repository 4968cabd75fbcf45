package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mpush/sdk/plugintest/conformance"
	"mpush/test/harness"
)

func TestCommandPrintsALineForEachCheck(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	section := filepath.Join(dir, "section.jsonc")
	text := `{ // comments are allowed
		"path": "` + filepath.Join(dir, "messages.jsonl") + `", "clients": [{"name": "log"},] }`
	if err := os.WriteFile(section, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result := harness.Run(t, dir, nil, "plugin", "test", harness.Program(t, "file"), "--config", section, "--run", "^(handshake|outcomes|commands)$")
	if result.Code != 0 {
		t.Errorf("exit code %d\n%s%s", result.Code, result.Stdout, result.Stderr)
	}
	for _, want := range []string{"✓ handshake", "✓ outcomes", "300 acked", "– commands", "2 passed, 0 failed, 1 skipped"} {
		if !strings.Contains(result.Stdout, want) {
			t.Errorf("%q is missing in\n%s", want, result.Stdout)
		}
	}
	if strings.Contains(result.Stdout, "\x1b") {
		t.Errorf("colors in a file:\n%q", result.Stdout)
	}
}

func TestCommandFailsWithWhatThePluginSaid(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	program := filepath.Join(dir, "broken")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no such module >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	result := harness.Run(t, dir, nil, "plugin", "test", program, "--json", "--run", "^describe$")
	if result.Code != 1 || !strings.Contains(result.Stderr, "does not conform") {
		t.Errorf("exit code %d: %s", result.Code, result.Stderr)
	}
	var results []conformance.Result
	if err := json.Unmarshal([]byte(result.Stdout), &results); err != nil {
		t.Fatalf("%v in %s", err, result.Stdout)
	}
	// Of its end something may be known before that it is one.
	mayBe := regexp.MustCompile(`exit status 3|the handshake line ""`)
	i := slices.IndexFunc(results, func(r conformance.Result) bool { return r.Status == conformance.Failed })
	if i < 0 || results[i].Check != "handshake" || results[i].Output != "no such module" || !mayBe.MatchString(results[i].Reason) {
		t.Errorf("results %+v", results)
	}
}
