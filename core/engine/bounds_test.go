package engine

import (
	"strings"
	"testing"
)

func TestSendersOfOneLinkWaitForSoMuchAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		sends int
		want  int // that wait
	}{
		"messages": {"x", maxWaits + 100, maxWaits},
		"bytes":    {strings.Repeat("x", 1<<20-100), 70, 65}, // the one that crosses the line is still held
	} {
		d := newDesk(t, Config{})
		d.attach("ann").do(&Detach{Link: socketLink, Receiver: "ann", Generation: 1}).forget()
		for range test.sends {
			d.send("ann", test.text, 60_000)
		}
		l := d.e.links[socketLink]
		if told := len(d.lines); told != test.sends-test.want || l.waits != test.want {
			t.Errorf("%s: %d were answered at once, %d wait, want %d", name, told, l.waits, test.want)
		}
		d.forget().wait(60_000)
		if l.waits != 0 || l.waitBytes != 0 || len(d.lines) != test.want {
			t.Errorf("%s: in the end %d were told, %d wait with %d bytes", name, len(d.lines), l.waits, l.waitBytes)
		}
	}
}

func TestChangesOfOneReceiverDoNotPileUp(t *testing.T) {
	e := newLine(t).e
	var refused, named int
	attach := func(name string) {
		effects := e.Step(2_000_000, &Attach{Link: 1, Request: RequestID{Number: 9}, Name: name})
		for _, effect := range effects {
			if a, is := effect.(*Answer); is && a.Body.(*Refusal).Code == Unavailable {
				refused++
			}
			if m, is := effect.(*Misdeed); is && m.Kind == Overrun {
				named++
			}
		}
	}
	for range maxDeferred + 100 {
		attach("bob") // nothing is reported of its write
	}
	if want := 99; refused != want || named != want { // the first is the change
		t.Errorf("%d were refused, want %d", refused, want)
	}
	before := refused
	attach("carl")
	if refused != before || len(e.changing["carl"]) != 0 {
		t.Error("another receiver's change is refused")
	}
}
