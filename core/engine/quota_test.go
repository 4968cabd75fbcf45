package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mpush/core/record"
)

// Whatever happens, a link's share is what its routes hold, and nobody waits while
// there is room.
func TestShareOfAChannelAlwaysAddsUp(t *testing.T) {
	names := []string{"ann", "bob", "cid", "dan", "eve", "fay"}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		policy := record.Policy{
			Exclusive: true, Acks: seed%2 == 0, Prefetch: random.IntN(9), Retry: 700, Resend: int64(random.IntN(3)) * 2500,
		}
		d := newDesk(t, Config{TTL: int64(random.IntN(2)) * 9000})
		link := boundLink
		up := func() {
			d.do(&LinkUp{Link: link, Channel: "bound", InFlight: 1 + int(seed%3)}, &LinkReady{Link: link})
		}
		up()
		for step := range 1500 {
			name := names[random.IntN(len(names))]
			what := random.IntN(12)
			r := d.e.receivers[name]
			var rt *route
			if r != nil {
				rt = r.route("bound")
			}
			switch {
			case what == 0 || rt == nil:
				d.do(&Attach{Link: link, Request: d.request(), Name: name, Policy: policy})
			case what < 5:
				d.send(name, fmt.Sprint(step), 0)
			case what == 5:
				d.wait(int64(random.IntN(4000)))
			case what == 6 && random.IntN(4) == 0:
				d.do(&Detach{Link: link, Receiver: name, Generation: rt.generation})
			case what == 7 && random.IntN(10) == 0:
				d.do(&Unregister{Link: link, Request: d.request(), Receiver: name})
			case what == 8 && random.IntN(20) == 0:
				old := link
				link = LinkID(100 + step)
				if up(); random.IntN(2) == 0 {
					d.do(&Attach{Link: link, Request: d.request(), Name: name, Policy: policy}) // taken over
				}
				d.do(&LinkDown{Link: old})
			case len(rt.window) > 0:
				kind := []OutcomeKind{Acked, HandedOff, Retry, Rejected, Gone}[min(4, random.IntN(9)/2)]
				if kind == Gone && random.IntN(10) > 0 {
					kind = Retry
				}
				d.do(&Outcome{
					Link: link, Receiver: name, Generation: rt.generation, Kind: kind,
					MID: rt.window[random.IntN(min(2, len(rt.window)))].MID,
				})
			}
			d.forget()
			addsUp(t, d.e, seed, step)
		}
	}
}

func addsUp(t *testing.T, e *Engine, seed uint64, step int) {
	t.Helper()
	for id, l := range e.links {
		held, waiting := 0, 0
		for _, rt := range l.routes {
			held += rt.leased
			if rt.waits != nil {
				waiting++
			} else if l.quota.most > 0 && !rt.paused && rt.leased == 0 && len(rt.window) > 0 {
				t.Fatalf("seed %d step %d: %s is forgotten", seed, step, rt.receiver.name)
			}
			if rt.turn || rt.leased > 0 && (rt.head == nil || rt.timer.index == 0) {
				t.Fatalf("seed %d step %d: %s leases without a head and its timer", seed, step, rt.receiver.name)
			}
		}
		q := &l.quota
		if q.held != held || q.waiting.Len() != waiting || q.most > 0 && held > q.most || waiting > 0 && held < q.most {
			t.Fatalf("seed %d step %d link %d: %d held, truly %d of %d; %d wait, truly %d",
				seed, step, id, q.held, held, q.most, q.waiting.Len(), waiting)
		}
		if waiting > 0 != (q.hoard.index > 0) {
			t.Fatalf("seed %d step %d: the timer does not fit", seed, step)
		}
	}
}
