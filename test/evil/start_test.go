package evil

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/test/harness"
)

// Who takes what belongs to a bundled channel is refused it, whoever comes
// first; who says nothing holds nobody up for good.
func TestVicesOfTheStart(t *testing.T) { // alone: who comes first is decided within a time
	plugins := entries(t, "claims-taken", "declares-taken", "declares-many", "mute", "declares-foreign", "declares-beside")
	plugins["declares-foreign"].(harness.Object)["receivers"] = harness.Object{"names": []string{"declares-*"}}
	w := &witness{Relay: harness.Start(t, harness.Object{
		"plugins": plugins,
		"limits":  harness.Object{"receivers": 2000}, // far fewer than are declared: what is refused need not be large
		"webpush": harness.Object{},
		"webhook": harness.Object{"clients": []any{harness.Object{"name": "hook", "url": "http://127.0.0.1:1/"}}},
	})}
	w.phone = w.Dial(t)
	w.phone.Send(t, harness.AuthPacket(w.Token, "phone", ""))
	if answer := w.phone.Next(t); !strings.Contains(answer, `"code":200`) {
		t.Fatal(answer)
	}
	tooMany := "limits.receivers"
	if *longFlag {
		tooMany = "larger than max" // they do not fit a frame
	}
	for vice, parts := range map[string][]string{
		"claims-taken":     {"channel is out of service", `the command \"REGISTER_WEBPUSH\" is claimed by channel \"webpush\" already`},
		"declares-taken":   {"channel failed", "The name [hook] is already used"},
		"declares-foreign": {"channel failed", `plugin declares-foreign may not serve \"stranger\": plugins.declares-foreign.receivers`},
		"declares-beside":  {"channel failed", "The name [hook] is already used by another channel"},
		"declares-many":    {"channel failed", tooMany},
		"mute":             {"channel failed", "declare: not done within 10s"},
	} {
		parts = append(parts, "channel="+vice)
		w.serveUntil(t, "the log has "+strings.Join(parts, " "), func() bool { return lines(w.Log(), parts...) > 0 })
		if lines(w.Log(), "channel running", "channel="+vice) > 0 {
			t.Errorf("%s runs", vice)
		}
	}
	for _, name := range []string{"http", "websocket", "webhook", "webpush"} {
		if channel := w.Channel(t, name); channel.PID == 0 || strings.Contains(channel.State, "failed") {
			t.Errorf("%s does not run: %+v", name, channel)
		}
	}
	w.served(t)
	// Two lives more of those that are tried again.
	log := w.Log()
	w.named(t, log, "channel failed", "channel=declares-taken")
	w.named(t, log, "channel failed", "channel=declares-many")
	if grown := w.usage(t).peak; grown > 2*mostGrowth() {
		t.Errorf("the core takes %d MiB", grown>>20)
	}
}

// What is said to the relay while a channel hangs takes effect at once.
func TestChannelThatHangsKeepsNoTokenGood(t *testing.T) {
	const secret = "the guest's own token"
	w := startWitness(t, harness.Object{"tokens": []any{
		harness.Object{"name": "guest", "token": secret, "rights": []string{"receive"}, "names": []string{"guest"}},
		harness.Object{"name": "other", "token": "another one", "rights": []string{"send"}},
	}})
	guest := w.Dial(t)
	guest.Auth(t, secret, "guest", "")
	path := filepath.Join(w.Dir, "config.json")
	change := func(edit func(config harness.Object)) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var config harness.Object
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		edit(config)
		if text, err = json.Marshal(config); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"~", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
	change(func(config harness.Object) { config["plugins"] = entries(t, "mute") })
	w.serveUntil(t, "the channel starts", func() bool {
		var status struct {
			Channels []struct{ Name, State string }
		}
		if err := json.Unmarshal([]byte(harness.Run(t, w.Dir, nil, "status", "--json", "--config", path).Stdout), &status); err != nil {
			t.Fatal(err)
		}
		for _, channel := range status.Channels {
			if channel.Name == "mute" && channel.State == "starting" {
				return true
			}
		}
		return false
	})
	change(func(config harness.Object) { config["tokens"] = config["tokens"].([]any)[1:] })
	if code := guest.ExpectEnd(t); code != 1008 {
		t.Errorf("its socket is closed with %d", code)
	}
	if lines(w.Log(), "channel failed", "channel=mute") > 0 {
		t.Error("only when the channel has failed")
	}
	w.WaitLog(t, "configuration reloaded", "settings=[tokens]")
	if lines(w.Log(), "configuration reloaded", "added=[mute]") != 1 {
		t.Error("of the channel nothing is said")
	}
	w.served(t)
}
