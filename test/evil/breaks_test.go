package evil

import (
	"testing"

	"mpush/test/harness"
)

// Whoever breaks the form of the protocol, or closes the stream, is started
// again and the reason is in the log.
func TestBrokenStreamsAreNamedAndStartedAgain(t *testing.T) {
	t.Parallel()
	breaks := []struct{ vice, line string }{
		{"closes", "the plugin closed the stream"},
		{"garbage", "the stream ended"},
		{"not-utf8", "invalid UTF-8"},
		{"giant-frame", "larger than max"},
		{"full-frame", "a frame may hold 4096 envelopes"},
		{"declare-bomb", "a frame may declare 250000 routes"},
		{"never-reads", "did not read for 10s"},
	}
	var vices []string
	for _, b := range breaks {
		vices = append(vices, b.vice)
	}
	w := startWitness(t, harness.Object{"plugins": entries(t, vices...)})
	before := w.usage(t)
	rounds := 2
	if *longFlag {
		rounds = 4
	}
	for _, b := range breaks {
		t.Run(b.vice, func(t *testing.T) {
			for range rounds {
				pid := w.pid(t, b.vice)
				log := w.begin(t, b.vice)
				w.named(t, log, "channel failed", "channel="+b.vice, b.line)
				w.back(t, b.vice, pid)
				if b.vice == "never-reads" {
					return // ten seconds each
				}
			}
		})
	}
	w.settled(t, before)
	w.autopsy(t, 2+len(vices))
}
