package relay

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
)

// Who waits for the end of what it has submitted waits for the disk, too, and no
// longer.
func TestSubmitterHearsWhenItsEventsWereDealtWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		var done []string
		submit := func(name string, event engine.Event) {
			t.Helper()
			if err := b.relay.SubmitThen(t.Context(), func() { done = append(done, name) }, event); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		want := func(names ...string) {
			t.Helper()
			if !slices.Equal(done, names) {
				t.Errorf("done are %q, want %q", done, names)
			}
		}
		send := &engine.Publish{Link: b.link, Request: b.request(), SendType: message.Personal, Target: "ann", Text: "x"}
		again := *send
		gate := make(chan struct{})
		b.store.set(gate, nil)
		submit("send", send)
		want()
		submit("nothing to write", &engine.Detach{Link: b.link, Receiver: "nobody"})
		want()
		commits := b.store.count()
		b.store.set(nil, nil)
		close(gate)
		time.Sleep(lazyDelay)
		synctest.Wait()
		want("send", "nothing to write")
		if n := b.store.count() - commits; n != 1 {
			t.Errorf("there were %d commits, want that of the message", n)
		}
		// A disk that refuses is an end, too.
		b.store.set(nil, errors.New("no space"))
		submit("refused", &again)
		want("send", "nothing to write", "refused")
		b.store.set(nil, nil)
		b.stop()
		if err := b.relay.SubmitThen(t.Context(), func() { t.Error("done after the end") }, &engine.Detach{}); !errors.Is(err, errStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}
