package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/test/harness"
)

// withFilePlugin is a configuration with examples/file as an operator adds it:
// the receiver log, in the group logs, whose messages go to the returned file.
func withFilePlugin(t *testing.T, sum string) (config harness.Object, messages string) {
	t.Helper()
	messages = filepath.Join(t.TempDir(), "messages.jsonl")
	return harness.Object{"plugins": harness.Object{"file": harness.Object{
		"path":   harness.Program(t, "file"),
		"sha256": sum,
		"config": harness.Object{
			"path":    messages,
			"clients": []any{harness.Object{"name": "log", "group": "logs"}},
		},
	}}}, messages
}

func sha256Of(t *testing.T, path string) string {
	t.Helper()
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	return hex.EncodeToString(sum[:])
}

func TestThirdPartysPlugin(t *testing.T) {
	t.Parallel()
	config, messages := withFilePlugin(t, sha256Of(t, harness.Program(t, "file")))
	relay := harness.Start(t, config)
	t.Run("DeliversAndAcks", func(t *testing.T) { showItDeliversAndAcks(t, relay, messages) })
	t.Run("HoldsItsReceiversName", func(t *testing.T) { showItsReceiversNameIsTaken(t, relay) })
}

func showItDeliversAndAcks(t *testing.T, relay *harness.Relay, messages string) {
	phone := relay.Member(t, "phone", "logs")

	first := relay.Get(t, "/log.send?text=hello&desp=world&n=1").ExpectStatuses(t, statuses{"log": "ok"})
	answer := relay.Begin(t, harness.Request{Target: "/logs.group?text=all"})
	phone.Take(t, "all")
	second := answer().ExpectStatuses(t, statuses{"log": "ok", "phone": "ok"})

	written, err := os.ReadFile(messages)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(written), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("the file holds %q", written)
	}
	harness.Match(t, lines[0], `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"log","from":{"method":"http","name":""},
		"mid":"`+first+`","message":{"text":"hello","desp":"world","extra":{"n":"1"}}}}`)
	harness.Match(t, lines[1], `{"cmd":"MESSAGE","data":{"sendType":"group","target":"logs","from":{"method":"http","name":""},
		"mid":"`+second+`","message":{"text":"all","desp":"","extra":{}}}}`)
}

// "A name held by another kind of exclusive channel: 403 The name [x] is already
// used."
func showItsReceiversNameIsTaken(t *testing.T, relay *harness.Relay) {
	const taken = `{"cmd":"AUTH","data":{"code":403,"msg":"The name [log] is already used"}}`
	phone := relay.Dial(t)
	phone.Send(t, harness.AuthPacket(relay.Token, "log", ""))
	phone.Expect(t, taken)
	phone.Auth(t, relay.Token, "other", "") // the socket may try again
	phone.Send(t, harness.AuthPacket(relay.Token, "log", "logs"))
	phone.Expect(t, taken)
	phone.Name = "other"
	nothingMore(t, relay, phone) // and stays what it is
	relay.Get(t, "/log.send?text=t").ExpectStatuses(t, statuses{"log": "ok"})
}

func TestKilledThirdPartysPluginComesBackAndLosesNothing(t *testing.T) {
	t.Parallel()
	config, messages := withFilePlugin(t, sha256Of(t, harness.Program(t, "file")))
	relay := harness.Start(t, config)
	back := killChannel(t, relay, "file")
	answer := relay.Begin(t, harness.Request{Target: "/log.send?text=meanwhile"})
	back()
	answer().ExpectStatuses(t, statuses{"log": "ok"})
	if written, err := os.ReadFile(messages); err != nil || strings.Count(string(written), `"text":"meanwhile"`) != 1 {
		t.Errorf("the file holds %q, %v", written, err)
	}
}

func TestPluginWithAnotherChecksumIsDownWhileTheRestRuns(t *testing.T) {
	t.Parallel()
	wrong := strings.Repeat("0123456789abcdef", 4)
	config, messages := withFilePlugin(t, wrong)
	relay := harness.Start(t, config)
	if channel := relay.Channel(t, "file"); channel.PID != 0 || !strings.Contains(channel.State, "checksum") {
		t.Errorf("the start-up log says %+v", channel)
	}
	line := relay.WaitLog(t, "channel=file", "checksum", sha256Of(t, harness.Program(t, "file")), wrong)
	if !strings.Contains(line, "level=ERROR") {
		t.Errorf("it is logged as %q", line)
	}
	phone := relay.Receiver(t, "phone")
	answer := relay.Begin(t, harness.Request{Target: "/phone.send?text=hello"})
	phone.Take(t, "hello")
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
	if processes := relay.Processes(); len(processes) > 3 {
		t.Errorf("the relay runs %v", processes)
	}
	if _, err := os.Stat(messages); !os.IsNotExist(err) {
		t.Errorf("the plugin has written: %v", err)
	}
}
