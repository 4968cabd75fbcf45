package evil

import (
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
