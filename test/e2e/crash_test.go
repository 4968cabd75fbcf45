package e2e

import (
	"syscall"
	"testing"

	"mpush/test/harness"
)

// killChannel kills a channel's process and returns a function that waits for
// its successor.
func killChannel(t *testing.T, relay *harness.Relay, name string) (back func()) {
	t.Helper()
	pid := relay.Channel(t, name).PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		relay.WaitRestart(t, name, pid)
	}
}

func TestKilledSendersChannelComesBackAndLosesNothing(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	phone, tablet := relay.Receiver(t, "phone"), relay.Receiver(t, "tablet")
	relay.Away(t, "away", "")
	var mids []string
	for _, text := range []string{"one", "two"} {
		reply := relay.Do(t, harness.Request{Target: "/away.send?text=" + text, Header: []string{"Prefer: wait=0"}})
		mids = append(mids, reply.ExpectStatuses(t, statuses{"away": "ready"}))
	}
	relay.Do(t, harness.Request{Target: "/phone.send?text=flying", Header: []string{"Prefer: wait=0"}})
	flying := phone.ExpectText(t, "flying")

	back := killChannel(t, relay, "http")
	// Meanwhile the other channel goes on, with what is in flight and with more.
	phone.Ack(t, flying)
	tablet.Send(t, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"meanwhile"}}}`)
	phone.Take(t, "meanwhile")
	harness.Match(t, tablet.Next(t), harness.MessageReply(statuses{"phone": "ok"}))

	back()
	answer := relay.Begin(t, harness.Request{Target: "/phone.send?text=again"})
	phone.Take(t, "again")
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
	away := relay.Receiver(t, "away")
	for i, text := range []string{"one", "two"} {
		if got := away.Take(t, text); got != mids[i] {
			t.Errorf("%s has the mid %s, it had %s", text, got, mids[i])
		}
	}
	away.ExpectNothing(t)
	phone.ExpectNothing(t)
}

func TestKilledReceiversChannelComesBackAndLosesNothing(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	phone := relay.Receiver(t, "phone")
	answer := relay.Begin(t, harness.Request{Target: "/phone.send?text=flying"})
	flying := phone.ExpectText(t, "flying")

	back := killChannel(t, relay, "websocket")
	if code := phone.ExpectEnd(t); code != 1006 {
		t.Errorf("close code %d of a killed process", code)
	}
	// Meanwhile senders are answered.
	reply := relay.Do(t, harness.Request{Target: "/phone.send?text=meanwhile", Header: []string{"Prefer: wait=0"}})
	meanwhile := reply.ExpectStatuses(t, statuses{"phone": "ready"})

	back()
	phone = relay.Receiver(t, "phone")
	if got := phone.Take(t, "flying"); got != flying {
		t.Errorf("what was in flight has the mid %s, it had %s", got, flying)
	}
	if got := answer().ExpectStatuses(t, statuses{"phone": "ok"}); got != flying {
		t.Errorf("the sender that waited all the time is told of %s, not of %s", got, flying)
	}
	if got := phone.Take(t, "meanwhile"); got != meanwhile {
		t.Errorf("the next has the mid %s, it had %s", got, meanwhile)
	}
	phone.ExpectNothing(t)
}
