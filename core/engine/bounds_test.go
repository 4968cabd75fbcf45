package engine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
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

// A message to many holds more than its text: a status and a place for each.
func TestSendersToAGroupHoldWhatItsMembersTake(t *testing.T) {
	d := newDesk(t, Config{})
	const members, sends = 1000, 300
	for i := range members {
		name := fmt.Sprint("m", i)
		d.do(&Attach{Link: socketLink, Name: name, Group: "all", Policy: record.Policy{Acks: true}}).do(&Detach{Link: socketLink, Receiver: name, Generation: 1})
	}
	for range sends {
		d.do(&Publish{Link: socketLink, Request: d.request(), SendType: message.Group, Target: "all", Text: "x", Wait: 60_000}).forget()
	}
	l := d.e.links[socketLink]
	most := maxWaitTargets/members + 1
	if l.waits != most {
		t.Errorf("%d wait, want %d", l.waits, most)
	}
	if d.send("m0", "to one", 60_000); l.waits != most+1 {
		t.Error("who sends to one receiver does not wait")
	}
	d.wait(60_000)
	if l.waits != 0 || l.waitBytes != 0 || l.waitTargets != 0 {
		t.Errorf("in the end %d wait with %d bytes for %d receivers", l.waits, l.waitBytes, l.waitTargets)
	}
}

// What waits for the disk is bounded for each link, whichever receivers and keys
// it is for, and nothing is left of it when all has gone its way.
func TestEventsOfOneLinkThatWaitAreBounded(t *testing.T) {
	attach := func(i int) Event {
		return &Attach{Link: socketLink, Name: fmt.Sprint("r", i%20), Address: bytes.Repeat([]byte{byte(i)}, 60<<10)}
	}
	repeat := func(i int) Event {
		return &Publish{
			Link: socketLink, SendType: message.Personal, Target: "ann", Text: strings.Repeat("x", 60<<10),
			Key: record.Key{Sender: "bob", Name: fmt.Sprint("k", i%20)},
		}
	}
	for name, test := range map[string]struct {
		event func(i int) Event
		small bool
	}{
		"changes":       {event: attach},
		"repeats":       {event: repeat},
		"small changes": {event: func(i int) Event { return &Attach{Link: socketLink, Name: fmt.Sprint("r", i%20), Group: fmt.Sprint(i)} }, small: true},
	} {
		d := newDesk(t, Config{})
		d.detached("ann").now = 2_000_000
		l := d.e.links[socketLink]
		var asked []Effect
		for i := range 10_000 {
			for _, effect := range d.e.Step(d.now, test.event(i)) { // nothing is reported of it yet
				switch effect.(type) {
				case *Write, *LookUp:
					asked = append(asked, effect)
				}
			}
		}
		parked := l.changes
		if name == "repeats" {
			parked = l.repeats
		}
		if test.small && parked.events != maxParked || !test.small && (parked.bytes < maxParkedBytes || parked.bytes > maxParkedBytes+61<<10) {
			t.Errorf("%s: %+v", name, parked)
		}
		d.take(asked)
		if l.changes.events != 0 || l.changes.bytes != 0 || l.repeats.events != 0 || l.repeats.bytes != 0 {
			t.Errorf("%s: in the end %+v and %+v wait", name, l.changes, l.repeats)
		}
	}
}

func TestRepeatsOfOneMessageDoNotPileUp(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").forget()
	lookUp := d.e.Step(d.now, d.keyed("bob", "k", "ann", "a"))[0].(*LookUp)
	refused := 0
	for range 100_000 {
		for _, effect := range d.e.Step(d.now, d.keyed("bob", "k", "ann", "a")) {
			if effect.(*Answer).Body.(*Refusal).Code == Unavailable {
				refused++
			}
		}
	}
	if refused != 100_000-maxRepeats {
		t.Errorf("%d were refused", refused)
	}
	d.do(&LinkDown{Link: socketLink}).forget()
	for _, effect := range d.e.Step(d.now, &Sent{Token: lookUp.Token}) {
		t.Errorf("%T for a link that has gone", effect)
	}
	if len(d.e.keys) != 0 || len(d.e.lines) != 0 {
		t.Errorf("%d keys and %d lines are still in memory", len(d.e.keys), len(d.e.lines))
	}
}
