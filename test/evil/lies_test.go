package evil

import (
	"testing"
	"time"

	"mpush/test/harness"
)

// liar is a vice that is refused and counted, and does not end the plugin.
type liar struct {
	vice string
	line string
}

func liars() []liar {
	return []liar{
		{"acks-ungiven", "acknowledged a message that it was not given"},
		{"acks-foreign", "reported on a receiver that it does not serve"},
		{"uninvited", "registered a receiver that did not ask for it"},
		{"unasked-reply", "answered a command that it was not asked"},
		{"attaches-taken", "asked for a name that another channel holds"},
		{"over-announces", "wanted to keep or announce more than it may"},
		{"unanswered", "did not answer a command"},
	}
}

func TestLiesChangeNothingAndAreNamed(t *testing.T) {
	t.Parallel()
	var vices []string
	for _, l := range liars() {
		vices = append(vices, l.vice)
	}
	w := startWitness(t, harness.Object{"plugins": entries(t, vices...)})
	// The last vice takes its time: half a minute, of which the others make use.
	asking := w.Log()
	asker := w.Receiver(t, "asker")
	asker.Send(t, `{"cmd":"EVIL_UNANSWERED","data":{}}`)
	before := w.usage(t)
	rounds := 1
	if *longFlag {
		rounds = 4
	}
	for _, l := range liars() {
		t.Run(l.vice, func(t *testing.T) {
			if l.vice == "unanswered" {
				w.named(t, asking, "channel=unanswered", l.line, "count=1")
				asker.ExpectInfo(t, "temporarily unavailable")
				return
			}
			for range rounds {
				w.lie(t, l)
			}
		})
	}
	w.shown(t)
	w.settled(t, before)
	w.autopsy(t, 2+len(vices))
}

// shown makes sure that the operator sees each liar with what it did, and
// nothing of the kind at the others.
func (w *witness) shown(t *testing.T) {
	t.Helper()
	status := harness.Run(t, w.Dir, nil, "status", "--data", "data")
	for _, l := range liars() {
		want := 1
		if l.vice == "attaches-taken" {
			want = 0 // its clients may have wanted it
		}
		if got := lines(status.Stdout, l.vice+" ", l.line); got != want {
			t.Errorf("the status shows %s %d times, want %d:\n%s", l.vice, got, want, status.Stdout)
		}
	}
	for _, name := range []string{"http ", "websocket "} {
		if lines(status.Stdout, name, " running ") != 1 || lines(status.Stdout, name, "times so far") != 0 {
			t.Errorf("the status blames %s:\n%s", name, status.Stdout)
		}
	}
}

// lie lets a liar lie until it is named, while messages wait for others and for
// itself; then all of them are where they belong.
func (w *witness) lie(t *testing.T, l liar) {
	t.Helper()
	began, before := time.Now(), w.begin(t, l.vice)
	w.queue(t, "away", "to-be-kept")
	w.queue(t, l.vice, "first")
	w.queue(t, l.vice, "second")
	w.named(t, before, "channel="+l.vice, l.line, "count=")
	if most := 1 + int(time.Since(began)/(10*time.Second)); lines(w.Log(), "channel="+l.vice, l.line)-lines(before, "channel="+l.vice, l.line) > most {
		t.Errorf("it was named more than %d times", most)
	}
	fresh := w.Log()
	w.end(t, l.vice)
	// It has lied many times more than that; the rest is told when it has ended.
	w.named(t, fresh, "channel="+l.vice, l.line, "count=")
	// What it was given and had no right to acknowledge comes again, to the life
	// that behaves, in order.
	w.serveUntil(t, "its queue was kept", func() bool {
		log := w.Log()
		return lines(log, l.vice+" took first") > lines(fresh, l.vice+" took first") &&
			lines(log, l.vice+" took second") > lines(fresh, l.vice+" took second")
	})
	away := w.Receiver(t, "away")
	away.Take(t, "to-be-kept")
	away.ExpectNothing(t)
	away.Close()
}
