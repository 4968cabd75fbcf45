package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mpush/test/harness"
)

func TestCheckSaysThatAConfigIsRightAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	write(t, dir, `{"token":"strong-enough"}`)
	got := harness.Run(t, dir, nil, "check")
	if got.Code != 0 || got.Stdout != "config.json is right\n" || got.Stderr != "" {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the config file are %v, %v", entries, err)
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	got := check(t, "{\n  \"http\": {\n    \"port\": -1,\n    \"waitTimeout\": \"x\"\n  },\n  \"websocket\": {\n    \"prot\": 1\n  }\n}")
	if got.Code != 1 {
		t.Errorf("exit code %d", got.Code)
	}
	for _, parts := range [][]string{
		{"config.json:4:5", "http.waitTimeout"}, {"config.json:7:5", "websocket.prot"},
	} {
		if !hasLine(got.Stderr, parts...) {
			t.Errorf("no line with %q\n%s", parts, got.Stderr)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	t.Parallel()
	got := harness.Run(t, harness.Dir(t), nil, "version")
	if got.Code != 0 || !regexp.MustCompile(`^mpush \d+\.\d+\.\d+\S*\n$`).MatchString(got.Stdout) || got.Stderr != "" {
		t.Errorf("exit code %d, %q, %q", got.Code, got.Stdout, got.Stderr)
	}
}

func TestHelpShowsExamples(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"", "serve", "check"} {
		args := []string{"--help"}
		if command != "" {
			args = []string{command, "--help"}
		}
		got := harness.Run(t, harness.Dir(t), nil, args...)
		_, examples, any := strings.Cut(got.Stdout, "Examples:\n")
		if got.Code != 0 || got.Stderr != "" || !any || !strings.HasPrefix(strings.TrimSpace(examples), "mpush") {
			t.Errorf("mpush %s --help: exit code %d\n%s%s", command, got.Code, got.Stdout, got.Stderr)
		}
		if strings.Contains(got.Stdout, "plugin run") {
			t.Errorf("mpush %s --help shows what is not for people", command)
		}
	}
}

func TestUnknownCommandAndFlagFail(t *testing.T) {
	t.Parallel()
	misused(t, harness.Run(t, harness.Dir(t), nil, "swerve"), `"swerve"`)
	misused(t, harness.Run(t, harness.Dir(t), nil, "--confg", "x"), "--confg")
}

func TestConfigAndDataComeFromFlagsOrTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "etc"), `{"token":"strong-enough",`+pushesOff+`}`)
	path := filepath.Join("etc", "config.json")
	for _, run := range []struct{ env, args []string }{
		{nil, []string{"check", "--config", path}},
		{nil, []string{"--config", path, "check"}},
		{[]string{"MPUSH_CONFIG=" + path}, []string{"check"}},
		{[]string{"MPUSH_CONFIG=nowhere.json"}, []string{"check", "--config", path}},
	} {
		if got := harness.Run(t, dir, run.env, run.args...); got.Code != 0 || got.Stdout != path+" is right\n" {
			t.Errorf("%v mpush %v: exit code %d\n%s%s", run.env, run.args, got.Code, got.Stdout, got.Stderr)
		}
	}
	// The data directory is looked at first of all, so that a wrong one shows.
	got := harness.Run(t, dir, []string{"MPUSH_CONFIG=" + path, "MPUSH_DATA=etc/config.json/here"})
	failsToStart(t, got, "data directory", "etc/config.json")
	got = harness.Run(t, dir, []string{"MPUSH_CONFIG=" + path, "MPUSH_DATA=elsewhere"}, "--data", "etc/config.json/there")
	failsToStart(t, got, "data directory", "etc/config.json")
}
