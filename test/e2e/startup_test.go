package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/test/harness"
)

// socketAlone is a configuration of the channels but http, on loopback.
const socketAlone = `"websocket":{"host":"127.0.0.1","port":0},` + pushesOff

// pushesOff is for tests that look at neither channel.
const pushesOff = `"webhook":{"enabled":false},"webpush":{"enabled":false}`

// failsToStart checks that mpush ends with exit code 1 and one line that has
// these parts, after what it may have logged before.
func failsToStart(t *testing.T, got harness.Result, parts ...string) {
	t.Helper()
	endsWith(t, 1, got, parts...)
}

// misused is failsToStart for a command line that is not right.
func misused(t *testing.T, got harness.Result, parts ...string) {
	t.Helper()
	endsWith(t, 2, got, parts...)
}

func endsWith(t *testing.T, code int, got harness.Result, parts ...string) {
	t.Helper()
	if got.Code != code || got.Stdout != "" {
		t.Errorf("exit code %d, on stdout %q", got.Code, got.Stdout)
	}
	lines := strings.Split(strings.TrimSuffix(got.Stderr, "\n"), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "mpush: ") || strings.Count("\n"+got.Stderr, "\nmpush: ") != 1 {
		t.Errorf("the end is not one clear line:\n%s", got.Stderr)
	}
	for _, part := range parts {
		if !strings.Contains(last, part) {
			t.Errorf("%q does not say %q", last, part)
		}
	}
}

func TestStartWithAPortThatIsTakenFails(t *testing.T) {
	t.Parallel()
	for _, channel := range []string{"http", "websocket"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			dir, port := harness.Dir(t), harness.TakenPort(t)
			other := map[string]string{"http": "websocket", "websocket": "http"}[channel]
			config := fmt.Sprintf(`{"token":"strong-enough","%s":{"host":"127.0.0.1","port":%d},"%s":{"host":"127.0.0.1","port":0},%s}`, channel, port, other, pushesOff)
			write(t, dir, config)
			failsToStart(t, harness.Run(t, dir, nil), "channel "+channel, fmt.Sprintf("127.0.0.1:%d", port), "address already in use")
		})
	}
}

func TestStartWithADataDirectoryThatCanNotBeWrittenFails(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	write(t, dir, `{"token":"strong-enough","http":{"host":"127.0.0.1","port":0},`+socketAlone+`}`)
	got := harness.Run(t, dir, nil, "--data", "config.json/data") // below a file
	failsToStart(t, got, "data directory", "config.json")
	if os.Getuid() == 0 {
		return // who may write everywhere
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o500); err != nil {
		t.Fatal(err)
	}
	failsToStart(t, harness.Run(t, dir, nil), "data directory", "permission denied")
}

func TestStartWithADataDirectoryInUseFailsAndLeavesTheOtherAlone(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	got := harness.Run(t, relay.Dir, nil)
	failsToStart(t, got, "data directory data", "in use by another mpush")
	if strings.Count(got.Stderr, "\n") != 1 {
		t.Errorf("more than one line:\n%s", got.Stderr)
	}
	phone := relay.Receiver(t, "phone")
	nothingMore(t, relay, phone)
	// Checking may be done meanwhile.
	if got := harness.Run(t, relay.Dir, nil, "check"); got.Code != 0 {
		t.Errorf("check: exit code %d\n%s", got.Code, got.Stderr)
	}
}

func TestStartWithoutAConfigFails(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	failsToStart(t, harness.Run(t, dir, nil), "config.json", "--config")
	failsToStart(t, harness.Run(t, dir, nil, "--config", "other.json"), "other.json", "does not exist")
	failsToStart(t, harness.Run(t, dir, []string{"MPUSH_CONFIG=third.json"}), "third.json", "does not exist")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it has made %v, %v", entries, err)
	}
}

func TestStartWithAWrongConfigFails(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		config string
		line   []string // parts of the last line
	}{
		"unknown key":              {"{\n  \"token\": \"strong-enough\",\n  \"htpp\": {}\n}", []string{"config.json:3:3", "htpp", "unknown key"}},
		"not JSON":                 {"{\n  \"token\": ", []string{"config.json:"}},
		"one port for both":        {"{\n  \"http\": {\"port\": 9094}\n}", []string{"config.json:2:", "http.port", "9094"}},
		"wrong type in a section":  {"{\n  " + socketAlone + ",\n  \"http\": {\n    \"port\": \"x\"\n  }\n}", []string{"config.json:4:5", "http.port", "number"}},
		"unknown key in a section": {"{\n  " + socketAlone + ",\n  \"http\": {\n    \"prot\": 9093\n  }\n}", []string{"config.json:4:5", "http.prot", "unknown key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := harness.Dir(t)
			write(t, dir, row.config)
			got := harness.Run(t, dir, nil)
			failsToStart(t, got, row.line...)
		})
	}
}

func write(t *testing.T, dir, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}
