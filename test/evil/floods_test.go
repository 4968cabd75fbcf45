package evil

import (
	"strconv"
	"strings"
	"testing"

	"mpush/test/harness"
)

func TestFloodsAreSlowedDownAndNamed(t *testing.T) {
	t.Parallel()
	floods := []struct{ vice, line string }{
		{"floods-publishes", "asks faster than it can be served and is slowed down"},
		{"floods-attaches", "asks faster than it can be served and is slowed down"},
		{"floods-names", "asks faster than it can be served and is slowed down"},
		{"floods-one-key", ""}, // each is refused, which its clients may bring about, too
		{"floods-state", "asks faster than it can be served and is slowed down"},
		{"floods-stderr", "plugin writes too much, output is dropped"},
		{"forks", "has started many processes"},
	}
	var vices []string
	for _, f := range floods {
		vices = append(vices, f.vice)
	}
	w := startWitness(t, harness.Object{"plugins": entries(t, vices...)})
	for i := range 10 {
		w.Away(t, "away-"+string(rune('0'+i)), "")
	}
	before, processes := w.usage(t), len(w.Processes())
	for _, f := range floods {
		t.Run(f.vice, func(t *testing.T) {
			log, pid := w.begin(t, f.vice), w.pid(t, f.vice)
			if f.line == "" {
				w.serveUntil(t, "its messages are refused", func() bool { return w.refused(t) > 20_000 })
			} else {
				w.named(t, log, "channel="+f.vice, f.line)
			}
			if f.vice == "floods-stderr" { // it ends when all is written
				w.named(t, log, "channel="+f.vice, "plugin output was dropped", "bytes=")
				w.named(t, log, "channel="+f.vice, "channel failed")
				w.back(t, f.vice, pid)
			} else {
				w.end(t, f.vice)
			}
			w.serveUntil(t, "what it has started is gone", func() bool { return len(w.Processes()) <= processes })
		})
	}
	w.settled(t, before)
	w.autopsy(t, 2+len(vices))
}

func TestLeakingPluginIsStartedAgain(t *testing.T) {
	t.Parallel()
	plugins := entries(t, "leaks")
	plugins["leaks"].(harness.Object)["limits"] = harness.Object{"memory": 256 << 20}
	w := startWitness(t, harness.Object{"plugins": plugins})
	before := w.usage(t)
	pid := w.pid(t, "leaks")
	if environment := environ(t, pid); !strings.Contains(environment, "GOMEMLIMIT=241591905") {
		t.Errorf("its environment is %q", environment)
	}
	log := w.begin(t, "leaks")
	w.named(t, log, "channel failed", "channel=leaks", "uses more memory than limits.memory allows", "of 256 MiB")
	w.back(t, "leaks", pid)
	w.settled(t, before)
	w.autopsy(t, 3)
}

// refused is how many messages the relay could not take just then.
func (w *witness) refused(t *testing.T) float64 {
	t.Helper()
	const series = "\nmpush_messages_refused_total{reason=\"unavailable\"} "
	_, rest, _ := strings.Cut(harness.GetFrom(t, w.OpsAddress(t), "/metrics").Body, series)
	count, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(count, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
