package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const clients = `"clients": [{"name": "log", "group": "logs"}]`

func TestMessagesAreAppendedAndAcked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.jsonl")
	core := plugintest.Start(t, &file{}, plugintest.Options{Config: `{"path": "` + path + `", ` + clients + `}`})
	if group, ok := core.Group("log"); !ok || group != "logs" {
		t.Errorf("declared group %q, %v", group, ok)
	}
	for _, text := range []string{"first", "second"} {
		mid := core.Deliver("log", &pluginpb.Message{Text: text})
		if got := core.Outcome(); got.GetMid() != mid || got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_ACKED {
			t.Errorf("outcome %v", got)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(written), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"text":"first"`) || !strings.Contains(lines[1], `"text":"second"`) || lines[2] != "" {
		t.Errorf("file %q", written)
	}
}

func TestHalfALineSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.jsonl")
	if err := os.WriteFile(path, []byte(`{"cmd":"MESS`), 0o600); err != nil {
		t.Fatal(err)
	}
	core := plugintest.Start(t, &file{}, plugintest.Options{Config: `{"path": "` + path + `", ` + clients + `}`})
	core.Deliver("log", &pluginpb.Message{Text: "whole"})
	core.Outcome()
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(written), "\n")
	if len(lines) != 3 || !json.Valid([]byte(lines[1])) || !strings.Contains(lines[1], `"text":"whole"`) {
		t.Errorf("file %q", written)
	}
}

func TestUnwritableFileIsTriedAgain(t *testing.T) {
	core := plugintest.Start(t, &file{}, plugintest.Options{Config: `{"path": "` + t.TempDir() + `", ` + clients + `}`})
	core.Deliver("log", &pluginpb.Message{})
	got := core.Outcome()
	if got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_RETRY || !strings.Contains(got.GetError(), "is a directory") {
		t.Errorf("outcome %v", got)
	}
}

func TestMistakesInTheConfigAreNamed(t *testing.T) {
	found := plugintest.Configure(t, &file{}, plugintest.Options{Config: `{"clients": [{"nmae": "log"}]}`})
	if len(found) != 1 || found[0].GetPath() != "clients[0].nmae" || found[0].GetMessage() != "unknown key" {
		t.Errorf("diagnostics %v", found)
	}
}
