package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"mpush/test/harness"
)

// Messages come from a topic and go to a topic. What was on its way in has an id
// and comes once; what was on its way out comes once more.
func TestKilledUnderLoadItLosesNothing(t *testing.T) {
	const messages = 200
	broker := startMosquitto(t, "")
	device := broker.device(t, "home/lamp")
	relay := harness.Start(t, harness.Object{"plugins": harness.Object{"mqtt": harness.Object{
		"path": harness.Program(t, "mqtt"), "unpinned": true,
		"args": []string{"-without-token"}, "rights": []string{"accept-without-token"},
		"config": harness.Object{
			"broker":    broker.url(),
			"receivers": []any{harness.Object{"name": "lamp", "topic": "home/lamp", "payload": "text"}},
			"subscribe": []any{harness.Object{"filter": "to/+", "payload": "json"}, harness.Object{"filter": "probe/"}},
		},
	}}})
	relay.Get(t, "/lamp.send?text=hello").ExpectStatuses(t, map[string]string{"lamp": "mqtt-ok"})
	awaitSubscribed(t, broker)

	pid := relay.Channel(t, "mqtt").PID
	for i := range messages {
		if i == messages/2 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		device.publish("to/lamp", fmt.Sprintf(`{"text": "load-%d", "id": "id-%d"}`, i, i), false)
	}
	relay.WaitRestart(t, "mqtt", pid)
	last := fmt.Sprintf("load-%d", messages-1)
	came := device.until(func(all []*paho.Publish) bool { return string(all[len(all)-1].Payload) == last })
	texts := make(map[string]string) // by mid
	var order []string
	for _, one := range came[1:] {
		mid, text := one.Properties.User.Get(midProperty), string(one.Payload)
		if before, repeated := texts[mid]; repeated && before != text {
			t.Errorf("%s is %s and %s", mid, before, text)
		} else if !repeated {
			order = append(order, text)
		}
		texts[mid] = text
	}
	if repeated := len(came) - 1 - len(order); repeated > 1 {
		t.Errorf("%d came more than once", repeated)
	}
	for i := range messages {
		if i >= len(order) || order[i] != fmt.Sprintf("load-%d", i) {
			t.Fatalf("%d came, and load-%d not in its place", len(order), i)
		}
	}
	if len(order) != messages {
		t.Errorf("%d came: %q", len(order), slices.Compact(order)[messages:])
	}
}

func TestTheSnippetIsAProperConfig(t *testing.T) {
	dir := t.TempDir()
	snippet, err := os.ReadFile("config.jsonc")
	err = errors.Join(err,
		os.WriteFile(filepath.Join(dir, "config.json"), snippet, 0o600),
		os.WriteFile(filepath.Join(dir, "wrong.json"), []byte(strings.Replace(string(snippet), `"filter": "mpush/+"`, `"filter": "mpush/a+"`, 1)), 0o600),
		os.Mkdir(filepath.Join(dir, "bin"), 0o700),
		os.Symlink(harness.Program(t, "mqtt"), filepath.Join(dir, "bin", "mqtt")))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"MPUSH_TOKEN=a-token-of-its-own"}
	if got := harness.Run(t, dir, env, "check", "--config", "config.json"); got.Code != 0 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	got := harness.Run(t, dir, env, "check", "--config", "wrong.json")
	if said := got.Stdout + got.Stderr; got.Code == 0 || !strings.Contains(said, "wrong.json:18:") || !strings.Contains(said, "plugins.mqtt.config.subscribe[1].filter") {
		t.Errorf("exit code %d\n%s", got.Code, said)
	}
}
