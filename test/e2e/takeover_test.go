package e2e

import (
	"testing"

	"mpush/test/harness"
)

func showNewerSocketTakesOverTheNameWithTheMessageInFlight(t *testing.T, w wire) {
	relay := w.open
	older := relay.Receiver(t, "taken")
	answer := relay.Begin(t, harness.Request{Target: "/taken.send?text=first"})
	mid := older.ExpectText(t, "first")
	second := relay.Do(t, harness.Request{Target: "/taken.send?text=second", Header: []string{"Prefer: wait=0"}}).
		ExpectStatuses(t, statuses{"taken": "ready"})

	newer := relay.Receiver(t, "taken") // the AUTH reply is what comes first
	if got := newer.ExpectText(t, "first"); got != mid {
		t.Errorf("the message in flight has the mid %s, it had %s", got, mid)
	}
	if code := older.ExpectEnd(t); code != 1000 {
		t.Errorf("the older socket was closed with %d, expected 1000", code)
	}
	older.Close()

	// The name is still taken, by the newer.
	newer.Ack(t, mid)
	answer().ExpectStatuses(t, statuses{"taken": "ok"})
	if got := newer.Take(t, "second"); got != second {
		t.Errorf("the queue went on with %s, not %s", got, second)
	}
	again := relay.Begin(t, harness.Request{Target: "/taken.send?text=third"})
	newer.Take(t, "third")
	again().ExpectStatuses(t, statuses{"taken": "ok"})
	newer.ExpectNothing(t)
}

func TestEveryTakeoverInARowKeepsTheMessage(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	phone := relay.Receiver(t, "phone")
	answer := relay.Begin(t, harness.Request{Target: "/phone.send?text=hello"})
	mid := phone.ExpectText(t, "hello")
	for range 20 {
		newer := relay.Receiver(t, "phone")
		if got := newer.ExpectText(t, "hello"); got != mid {
			t.Fatalf("mid %s, expected %s", got, mid)
		}
		// Whatever comes first, the server's eviction or the client's own close.
		phone.Close()
		phone = newer
	}
	phone.Ack(t, mid)
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
	phone.ExpectNothing(t)
}
