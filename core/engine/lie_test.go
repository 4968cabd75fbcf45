package engine

import (
	"fmt"
	"slices"
	"testing"

	"mpush/core/record"
)

// lies returns those of a step, as "link kind".
func lies(effects []Effect) []string {
	var said []string
	for _, effect := range effects {
		if m, is := effect.(*Misdeed); is {
			said = append(said, fmt.Sprint(m.Link, " ", m.Kind))
		}
	}
	return said
}

func TestLiesAreThoseOfTheLinkThatVouches(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").send("ann", "a", 0).send("ann", "b", 0).forget()
	const head, behind, unknown = 1_000_000, 1_000_001, 5
	ungiven, foreign := fmt.Sprint(socketLink, " ", UngivenAck), fmt.Sprint(pushLink, " ", ForeignRoute)
	for _, test := range []struct {
		name  string
		event Event
		want  string
	}{
		{"behind the head", &Outcome{Link: socketLink, Receiver: "ann", Generation: 1, MID: behind, Kind: Acked}, ungiven},
		{"behind the head, as the receiver says", &Outcome{Link: socketLink, Receiver: "ann", Generation: 1, MID: behind, Kind: Acked, Late: true}, ""},
		{"behind the head, of an earlier socket", &Outcome{Link: socketLink, Receiver: "ann", Generation: 7, MID: behind, Kind: Acked}, ""},
		{"the end of a lease that is over", &Outcome{Link: socketLink, Receiver: "ann", Generation: 1, MID: behind, Kind: Retry}, ""},
		{"of another's route", &Outcome{Link: pushLink, Receiver: "ann", Generation: 1, MID: head, Kind: Acked}, foreign},
		{"of nobody", &Outcome{Link: pushLink, Receiver: "nobody", MID: head, Kind: Rejected}, foreign},
		{"vouched for another's receiver", &Confirm{Link: pushLink, Receiver: "ann", MID: head, ByChannel: true}, foreign},
		{"as the receiver says", &Confirm{Link: pushLink, Receiver: "ann", MID: unknown}, ""},
		{"the head", &Outcome{Link: socketLink, Receiver: "ann", Generation: 1, MID: head, Kind: Acked}, ""},
	} {
		got := lies(d.e.Step(d.now, test.event))
		if test.want == "" && len(got) > 0 || test.want != "" && fmt.Sprint(got) != "["+test.want+"]" {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if s := d.e.Stats(); s.Acked != 1 || s.UnsentAcks != 3 || s.ForeignRoutes != 3 {
		t.Errorf("stats %+v", s)
	}
}

// The channel has the message off its hands, whatever it calls that: neither the
// queue nor the message waits for the lease to end.
func TestAckWhereNobodyConfirmsIsAHandOff(t *testing.T) {
	d := newDesk(t, Config{})
	d.register("ann").send("ann", "a", 0).send("ann", "b", 0)
	ack := &Outcome{Link: pushLink, Receiver: "ann", Generation: 1, MID: firstMID, Kind: Acked}
	effects := slices.Clone(d.e.Step(d.now, ack))
	if got := lies(effects); fmt.Sprint(got) != fmt.Sprintf("[%d %d]", pushLink, UnfoundedAck) {
		t.Errorf("it has done wrong: %q", got)
	}
	d.forget().take(effects)
	d.got("deliver ann b gen1 try0").is("ann", firstMID, record.HandedOff, "")
	if got := d.item("ann", firstMID).Status.String(); got != "push-ok" {
		t.Errorf("the status is %s", got)
	}
	d.do(ack).got() // again: of no lease

	late := *ack
	late.MID, late.Late = firstMID+1, true
	d.do(&late).got("recall ann 1000001")
}
