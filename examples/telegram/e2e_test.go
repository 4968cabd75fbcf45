package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mpush/test/harness"
)

// A message that was on its way when the channel was killed comes once more.
func TestKilledUnderLoadItLosesNothing(t *testing.T) {
	const messages = 200
	api := startBotAPI(t)
	relay := harness.Start(t, harness.Object{"plugins": harness.Object{"telegram": harness.Object{
		"path": harness.Program(t, "telegram"), "unpinned": true,
		"config": harness.Object{
			"botToken": fakeToken, "apiURL": api.URL,
			"chats": []any{harness.Object{"name": "ann", "chat": "42"}},
		},
	}}})
	relay.Get(t, "/ann.send?text=hello").ExpectStatuses(t, map[string]string{"ann": "telegram-ok"})

	for i := range messages {
		relay.Do(t, harness.Request{Target: fmt.Sprintf("/ann.send?text=load-%d", i), Header: []string{"Prefer: wait=0"}})
		if i == messages/2 {
			pid := relay.Channel(t, "telegram").PID
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			defer relay.WaitRestart(t, "telegram", pid)
		}
	}
	last := fmt.Sprintf("load-%d", messages-1)
	texts := api.until(t, func(texts []string) bool { return slices.Contains(texts, last) })
	if repeated := len(texts) - messages - 1; repeated < 0 || repeated > 1 {
		t.Errorf("%d repeated", repeated)
	}
	texts = slices.Compact(texts)
	for i := range messages {
		if i+1 >= len(texts) || texts[i+1] != fmt.Sprintf("load-%d", i) {
			t.Fatalf("%d texts came, and load-%d not in its place", len(texts), i)
		}
	}
	if strings.Contains(relay.Log(), fakeToken) {
		t.Error("the relay has printed the bot's token")
	}
}

func TestTheSnippetIsAProperConfig(t *testing.T) {
	dir := t.TempDir()
	snippet, err := os.ReadFile("config.jsonc")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"config.json": string(snippet),
		// The wrong key is the last of its kind.
		"wrong.json": strings.Replace(string(snippet), `"chat": "-1`, `"chat_id": "-1`, 1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Program(t, "telegram"), filepath.Join(dir, "bin", "telegram")); err != nil {
		t.Fatal(err)
	}
	env := []string{"MPUSH_TOKEN=a-token-of-its-own", "TG_TOKEN=" + fakeToken}
	if got := harness.Run(t, dir, env, "check", "--config", "config.json"); got.Code != 0 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	got := harness.Run(t, dir, env, "check", "--config", "wrong.json")
	if said := got.Stdout + got.Stderr; got.Code == 0 || !strings.Contains(said, "wrong.json:12:") || !strings.Contains(said, "plugins.telegram.config.chats[1].chat_id") || strings.Contains(said, fakeToken) {
		t.Errorf("exit code %d\n%s", got.Code, said)
	}
}
