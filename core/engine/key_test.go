package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

// keyed is a message that its sender calls key.
func (d *desk) keyed(sender, key, target, text string) *Publish {
	return &Publish{
		Link: socketLink, Request: d.request(), SendType: message.Personal, Target: target, Text: text,
		Key: record.Key{Sender: sender, Name: key, Digest: "digest of " + text},
	}
}

// accepted is how many messages are in a queue, ended ones included.
func (d *desk) accepted(name string) int64 {
	d.t.Helper()
	accounts, err := d.mem.Audit(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Receiver == name {
			return a.Accepted
		}
	}
	return 0
}

func TestRepeatedMessageIsToldOfTheFirst(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	d.do(d.keyed("bob", "k", "ann", "a")).got("deliver ann a gen1 try0", "told ann=wait")
	d.do(d.keyed("bob", "k", "ann", "a")).got("told ann=wait")
	d.outcome(socketLink, "ann", Acked, 0).forget()
	d.do(d.keyed("bob", "k", "ann", "a")).got("told ann=ok")
	first := answerOf[Published](d, d.keyed("bob", "k", "ann", "a"))
	if first.MID != firstMID || d.accepted("ann") != 1 {
		t.Errorf("mid %d, %d accepted", first.MID, d.accepted("ann"))
	}
	if len(d.e.keys) != 0 || len(d.e.pending) != 0 {
		t.Errorf("%d keys and %d tokens are still in memory", len(d.e.keys), len(d.e.pending))
	}
}

func TestKeyOutlivesARestartAndADay(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").do(d.keyed("bob", "k", "ann", "a"))
	d.mem = d.mem.Reopen()
	d.boot(Config{})
	d.now += KeyTime - 1
	d.forget().do(d.keyed("bob", "k", "ann", "a")).got("told ann=ready")
	if d.accepted("ann") != 1 {
		t.Errorf("%d accepted", d.accepted("ann"))
	}
	d.now++
	d.do(d.keyed("bob", "k", "ann", "a")).got("told ann=ready")
	if d.accepted("ann") != 2 {
		t.Errorf("after a day %d accepted, want another", d.accepted("ann"))
	}
}

func TestKeyStandsForOneMessageOfOneSender(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").do(d.keyed("bob", "k", "ann", "a")).forget()
	d.do(d.keyed("bob", "k", "ann", "b")).got(fmt.Sprintf("refused %d", Invalid))
	if d.accepted("ann") != 1 {
		t.Errorf("%d accepted", d.accepted("ann"))
	}
	d.do(d.keyed("cid", "k", "ann", "b"), d.keyed("bob", "l", "ann", "b"), d.keyed("bob", "", "ann", "b"), d.keyed("bob", "", "ann", "b"))
	if d.accepted("ann") != 5 {
		t.Errorf("%d accepted, want 5", d.accepted("ann"))
	}
}

// Those that come while the first is on its way to disk wait for it.
func TestManyAtOnceAreOneMessage(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	lookUp := d.e.Step(d.now, d.keyed("bob", "k", "ann", "a"))[0].(*LookUp)
	for range 10 {
		if effects := d.e.Step(d.now, d.keyed("bob", "k", "ann", "a")); len(effects) != 0 {
			t.Fatalf("%T while the first is looked up", effects[0])
		}
	}
	write := d.e.Step(d.now, &Sent{Token: lookUp.Token})[0].(*Write)
	for range 9 {
		if effects := d.e.Step(d.now, d.keyed("bob", "k", "ann", "a")); len(effects) != 0 {
			t.Fatalf("%T while the first is written", effects[0])
		}
	}
	if err := d.mem.Commit(context.Background(), write.Ops); err != nil {
		t.Fatal(err)
	}
	want := []string{"deliver ann a gen1 try0", "told ann=wait"}
	for range 19 {
		want = append(want, "told ann=wait")
	}
	d.do(&Written{Token: write.Token})
	if len(d.lines) != len(want) || d.accepted("ann") != 1 {
		t.Errorf("%d accepted, %q", d.accepted("ann"), d.lines)
	}
}

// A key costs a look at the disk, and messages without one do not. Their order is
// their sender's all the same.
func TestMessageDoesNotOvertakeOneWithAKey(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").forget()
	plain := func(from, text string) *Publish {
		return &Publish{Link: socketLink, Request: d.request(), FromName: from, SendType: message.Personal, Target: "ann", Text: text}
	}
	keyed := func(key, text string) *Publish {
		ev := d.keyed("name bob", key, "ann", text)
		ev.FromName = "bob"
		return ev
	}
	var lookUps []*LookUp
	for _, ev := range []*Publish{keyed("k", "1"), plain("bob", "2"), keyed("l", "3"), plain("bob", "4")} {
		for _, effect := range slices.Clone(d.e.Step(d.now, ev)) {
			lookUps = append(lookUps, effect.(*LookUp))
		}
	}
	d.do(plain("cid", "another's")).got("deliver ann another's gen1 try0", "told ann=wait")
	d.do(&Sent{Token: lookUps[1].Token}).got() // whatever comes first
	d.do(&Sent{Token: lookUps[0].Token}).got("told ann=ready", "told ann=ready", "told ann=ready", "told ann=ready")
	d.do(plain("bob", "5")).forget()
	for _, text := range []string{"1", "2", "3", "4", "5"} {
		d.outcome(socketLink, "ann", Acked, 0).got("deliver ann " + text + " gen1 try0")
	}
	if len(d.e.lines) != 0 || len(d.e.keys) != 0 {
		t.Errorf("%d lines and %d keys are still in memory", len(d.e.lines), len(d.e.keys))
	}
}

// What was not accepted was not sent: whoever repeats it sends it.
func TestKeyOfARefusedMessageIsFree(t *testing.T) {
	d := newDesk(t, Config{QueueLength: 1})
	d.do(d.keyed("bob", "k", "ghost", "a")).got("told ghost=no")
	d.detached("ghost").forget().do(d.keyed("bob", "k", "ghost", "a")).got("told ghost=ready")
	d.do(d.keyed("bob", "l", "ghost", "b")).got("told ghost=full")
	d.attach("ghost").outcome(socketLink, "ghost", Acked, 0).forget()
	d.do(d.keyed("bob", "l", "ghost", "b")).got("deliver ghost b gen2 try0", "told ghost=wait")

	// A write that fails lets those go on who waited for it.
	lookUp := d.e.Step(d.now, d.keyed("bob", "m", "ghost", "c"))[0].(*LookUp)
	d.outcome(socketLink, "ghost", Acked, 0)
	write := d.e.Step(d.now, &Sent{Token: lookUp.Token})[0].(*Write)
	d.do(d.keyed("bob", "m", "ghost", "c")).forget()
	d.do(&Written{Token: write.Token, Err: errors.New("full")})
	d.got(fmt.Sprintf("refused %d", Unavailable), "deliver ghost c gen2 try0", "told ghost=wait")
}

func TestKeyThatCanNotBeLookedUpRefusesTheMessage(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").forget()
	lookUp := d.e.Step(d.now, d.keyed("bob", "k", "ann", "a"))[0].(*LookUp)
	d.do(&Sent{Token: lookUp.Token, Err: errors.New("unreadable")}).got(fmt.Sprintf("refused %d", Unavailable))
	d.do(d.keyed("bob", "k", "ann", "a")).got("told ann=ready")
}

func TestRepeatedMessageIsToldThoughNothingIsAccepted(t *testing.T) {
	d := newDesk(t, Config{})
	d.detached("ann").do(d.keyed("bob", "k", "ann", "a")).do(&DiskLow{Low: true}).forget()
	d.do(d.keyed("bob", "k", "ann", "a")).got("told ann=ready")
	d.do(d.keyed("bob", "l", "ann", "a")).got(fmt.Sprintf("refused %d", Unavailable))
	if len(d.e.keys) != 0 {
		t.Errorf("%d keys are still in memory", len(d.e.keys))
	}
}

// The history may be kept shorter than the key.
func TestRepeatedMessageThatIsPrunedKeepsItsMid(t *testing.T) {
	d := newDesk(t, Config{})
	d.attach("ann").do(d.keyed("bob", "k", "ann", "a")).outcome(socketLink, "ann", Acked, 0)
	d.now += 1000
	if _, err := d.mem.Prune(context.Background(), d.now, 0, 0, 100); err != nil {
		t.Fatal(err)
	}
	again := answerOf[Published](d, d.keyed("bob", "k", "ann", "a"))
	if again.MID != firstMID || len(again.Statuses) != 0 || d.accepted("ann") != 1 {
		t.Errorf("%+v, %d accepted", again, d.accepted("ann"))
	}
}
