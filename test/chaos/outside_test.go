//go:build linux

package chaos

import "time"

// disturb does something to those around the relay, whose processes are well.
func (l *lane) disturb() {
	switch l.rand.IntN(4) {
	case 0:
		l.did("cut receivers")
		l.ledger.remark("fault", "cut the receivers' connections")
		for _, r := range l.receivers {
			if l.rand.IntN(2) == 0 {
				r.cut()
			}
		}
	case 1:
		l.did("cut senders")
		l.ledger.cuts(time.Now())
		for _, s := range l.load {
			if l.rand.IntN(2) == 0 {
				s.via.cut()
			}
		}
		l.ledger.cuts(time.Now())
	case 2:
		name := []string{"hook", "query"}[l.rand.IntN(2)]
		does := l.some("endpoint", 1+l.rand.IntN(5), fails, busy, hangs, resets, redirects, loops, slow)
		l.endpoints.trouble(name, does...)
	case 3:
		l.pushes.trouble(l.some("push service", 1+l.rand.IntN(3), fails, busy, hangs, resets, gone)...)
	}
}

// some chooses how the next requests are handled: all alike, or as it comes.
func (l *lane) some(where string, n int, from ...way) (chosen []way) {
	alike, one := l.rand.IntN(2) == 0, from[l.rand.IntN(len(from))]
	for range n {
		if !alike {
			one = from[l.rand.IntN(len(from))]
		}
		chosen = append(chosen, one)
		l.did(string(one) + " " + where)
		if one == hangs {
			break // it takes long enough
		}
	}
	l.ledger.remark("fault", "the %s will %v", where, chosen)
	return chosen
}

// did counts a fault of this round.
func (l *lane) did(fault string) {
	l.faults = append(l.faults, fault)
	l.times.count(fault)
}
