package engine

import (
	"fmt"
	"testing"
)

// crowd attaches many and returns how many of them are on disk as seen until now.
func crowd(t *testing.T, n int) (d *desk, seenNow func() int) {
	d = newDesk(t, Config{})
	for i := range n {
		d.attach(fmt.Sprint("receiver", i))
	}
	d.now += 2 * seenLast
	d.forget()
	return d, func() (seen int) {
		registry, err := d.mem.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range registry.Receivers {
			if registry.Receivers[i].SeenAt >= d.now-seenLast {
				seen++
			}
		}
		return seen
	}
}

// A channel that dies must not have everybody wait until all that it served are
// written down.
func TestManyThatGoAtOnceAreWrittenALittleAtATime(t *testing.T) {
	const many = 3*seenAtOnce + 10
	for name, leave := range map[string]Event{
		"link down":    &LinkDown{Link: socketLink},
		"switched off": &Reconfigure{Channels: all("push")},
		"token ended":  &Reconfigure{Epoch: 1},
	} {
		t.Run(name, func(t *testing.T) {
			d, seenNow := crowd(t, many)
			writes, before := 0, 0
			d.do(leave)
			for range 10 {
				if writes = seenNow(); writes-before > seenAtOnce {
					t.Errorf("%d were written at once", writes-before)
				}
				before = writes
				d.wait(seenPause)
			}
			if writes != many {
				t.Errorf("%d of %d are written", writes, many)
			}
			if _, more := d.e.NextTimer(); more {
				t.Error("a timer runs on")
			}
		})
	}
}

func TestAllThatGoAtTheEndAreWritten(t *testing.T) {
	const many = 3*seenAtOnce + 10
	for name, end := range map[string][]Event{
		"before": {&LinkDown{Link: socketLink}, &Stopping{}},
		"after":  {&Stopping{}, &LinkDown{Link: socketLink}},
	} {
		d, seenNow := crowd(t, many)
		if d.do(end...); seenNow() != many {
			t.Errorf("%s: %d of %d are written", name, seenNow(), many)
		}
	}
}

// Who is forgotten, or is about to be, while it waits for its turn is not brought back.
func TestWhoIsForgottenBeforeItsTurnStaysForgotten(t *testing.T) {
	d, _ := crowd(t, seenAtOnce+20)
	d.do(&LinkDown{Link: socketLink})
	if len(d.e.departures.line) < 2 {
		t.Fatal("nobody waits")
	}
	first, second := d.e.departures.line[0].name, d.e.departures.line[1].name
	d.do(&Unregister{Link: pushLink, Request: d.request(), Receiver: first}).got("done")
	var forgetting *Write
	for _, effect := range d.e.Step(d.now, &Unregister{Link: pushLink, Request: d.request(), Receiver: second}) {
		forgetting = effect.(*Write)
	}
	if err := d.mem.Commit(t.Context(), forgetting.Ops); err != nil {
		t.Fatal(err)
	}
	d.wait(seenPause) // it is on disk, and the engine does not know that yet
	d.do(&Written{Token: forgetting.Token}).got("done").wait(3 * seenPause)
	registry, err := d.mem.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(registry.Receivers); n != seenAtOnce+18 {
		t.Errorf("%d are known", n)
	}
	for _, r := range registry.Receivers {
		if r.Name == first || r.Name == second {
			t.Errorf("%s is back", r.Name)
		}
	}
}
