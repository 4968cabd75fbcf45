package evil

import (
	"encoding/json"
	"strings"
	"testing"

	"mpush/test/harness"
)

// channelOf is what plugin list says of a channel.
type channelOf struct {
	Name, State, Misconduct string
	Queued, Waiting         int
	InFlight, MaxInFlight   int
}

func (w *witness) listed(t *testing.T, name string) channelOf {
	t.Helper()
	result := harness.Run(t, w.Dir, nil, "plugin", "list", "--data", "data", "--json")
	var all []channelOf
	if err := json.Unmarshal([]byte(result.Stdout), &all); err != nil {
		t.Fatalf("%v: %s%s", err, result.Stdout, result.Stderr)
	}
	for _, c := range all {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("%s is not listed: %s", name, result.Stdout)
	return channelOf{}
}

// Whom a plugin sends to, whom it serves, how fast it sends and how much it holds
// is its entry's word: what goes beyond is refused and named, and everybody else is
// served.
func TestPluginsStayWithinTheirEntries(t *testing.T) {
	t.Parallel()
	trespassers := []struct{ vice, line, blemish string }{
		{"sends-foreign", "sent to whom it may not (targets)", "sent to whom it may not (targets)"},
		{"serves-foreign", "asked for a name or a group that it may not have (receivers)", "asked for a name or a group that it may not have (receivers)"},
		{"stands-beside", "asked for a name that another channel holds", ""},
		{"sends-too-fast", "sends more than it may (limits.publishRate)", "sends more than it may (limits.publishRate)"},
		{"hoards", "holds all the messages that it may (limits.inFlight) and settles none", "holds all the messages that it may (limits.inFlight) and settles none"},
	}
	var vices []string
	for _, c := range trespassers {
		vices = append(vices, c.vice)
	}
	plugins := entries(t, vices...)
	bound := func(vice, key string, value any) { plugins[vice].(harness.Object)[key] = value }
	bound("sends-foreign", "targets", harness.Object{"names": []string{"nobody-*"}})
	bound("serves-foreign", "receivers", harness.Object{"names": []string{"serves-*"}})
	bound("sends-too-fast", "limits", harness.Object{"publishRate": 1, "publishBurst": 5})
	bound("hoards", "limits", harness.Object{"inFlight": 2})
	w := startWitness(t, harness.Object{
		"plugins": plugins,
		"webhook": harness.Object{"clients": []any{harness.Object{"name": "hook", "group": "everybody", "url": "http://127.0.0.1:1/"}}},
	})
	w.Away(t, "slow", "")
	before := w.usage(t)
	for _, c := range trespassers {
		t.Run(c.vice, func(t *testing.T) {
			log := w.begin(t, c.vice)
			if c.vice == "hoards" {
				for _, name := range []string{"hoard-1", "hoard-2", "hoard-3", "hoard-4"} {
					w.queue(t, name, "kept")
				}
				w.serveUntil(t, "it holds two and two wait", func() bool {
					now := w.listed(t, "hoards")
					return now.InFlight == 2 && now.MaxInFlight == 2 && now.Waiting == 2 && now.Queued == 4
				})
			}
			w.named(t, log, "channel="+c.vice, c.line, "count=")
			if got := w.listed(t, c.vice); got.State != "running" || !strings.HasPrefix(got.Misconduct, c.blemish) || (got.Misconduct == "") != (c.blemish == "") {
				t.Errorf("it is listed as %+v", got)
			}
			if c.vice == "hoards" {
				w.end(t, c.vice)
			}
		})
	}
	// Nothing of it has come anywhere: the phone would have got what was not
	// awaited, and slow has what it may have been sent.
	away := w.Receiver(t, "away")
	away.ExpectNothing(t)
	away.Close()
	w.settled(t, before)
	w.autopsy(t, 3+len(vices))
}
