package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// startByHand runs examples/file as its author does in a debugger, and waits
// until it waits for a relay.
func startByHand(t *testing.T, socket string) (ended <-chan struct{}) {
	t.Helper()
	command := exec.Command(harness.Program(t, "file"))
	command.Env = append(os.Environ(), "MPUSH_PLUGIN_DEBUG="+socket)
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Child(command); err != nil {
		t.Fatal(err)
	}
	said, over := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(over)
		lines := bufio.NewScanner(stderr)
		if lines.Scan() {
			said <- lines.Text()
		}
		for lines.Scan() {
		}
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-over
	})
	select {
	case line := <-said:
		if !strings.Contains(line, `"reattach": "`+socket+`"`) {
			t.Fatalf("it says %q", line)
		}
	case <-over:
		t.Fatal("the plugin has ended")
	case <-time.After(harness.Patience):
		t.Fatal("the plugin says nothing")
	}
	return over
}

func TestPluginThatWasStartedByHandIsConnectedTo(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	socket, messages := filepath.Join(dir, "debug.sock"), filepath.Join(dir, "messages.jsonl")
	relay := harness.Start(t, harness.Object{"http": harness.Object{"waitTimeout": 60_000}, "plugins": harness.Object{"file": harness.Object{
		"reattach": socket,
		"config":   harness.Object{"path": messages, "clients": []any{harness.Object{"name": "log"}}},
	}}})
	if channel := relay.Channel(t, "file"); !strings.Contains(channel.State, "MPUSH_PLUGIN_DEBUG="+socket) {
		t.Errorf("the start-up log says %+v", channel)
	}
	for range 2 { // it is waited for again when it has gone
		ended := startByHand(t, socket)
		relay.WaitLog(t, "channel running", "channel=file")
		relay.Get(t, "/log.send?text=hello").ExpectStatuses(t, statuses{"log": "ok"})
		if len(relay.Processes()) != 3 {
			t.Errorf("the relay runs %v", relay.Processes())
		}
		select {
		case <-ended:
			t.Fatal("the plugin has ended")
		default:
		}
		relay.Stop(t)
		select {
		case <-ended: // by itself
		case <-time.After(harness.Patience):
			t.Fatal("the plugin outlives its relay")
		}
		relay.Start(t)
	}
	if written, err := os.ReadFile(messages); err != nil || strings.Count(string(written), `"text":"hello"`) != 2 {
		t.Errorf("the file holds %q, %v", written, err)
	}
}
