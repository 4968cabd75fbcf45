//go:build linux

package chaos

import (
	"maps"
	"slices"
	"time"
)

// account is a receiver's balance as the relay has it.
type account struct {
	Receiver                                  string
	Accepted, Acked, HandedOff, Dead, Pending int
	Balanced                                  bool
}

// deadLetter is one that the relay lists.
type deadLetter struct {
	letter
	text, reason string
	ended        time.Time
}

// reached tells whether a receiver has confirmed a message, and whether it has
// got it at all. Held locked.
func (l *ledger) reached(receiver string, mid int64) (confirmed, got bool) {
	for _, box := range l.boxes[receiver] {
		if c := box.copies[mid]; c != nil {
			got = true
			confirmed = confirmed || !c.acked.IsZero()
		}
	}
	return confirmed, got
}

// bury takes a dead letter, which needs a reason: here that its time was over.
func (l *ledger) bury(d deadLetter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead[d.letter] {
		return
	}
	now, s := time.Now(), l.sends[d.text]
	if s == nil {
		l.complain(now, d.receiver, "%d %q is a dead letter, which nobody sent", d.mid, d.text)
		return
	}
	l.identify(s, d.mid)
	switch {
	case !slices.Contains(s.receivers, d.receiver):
		l.complain(now, d.receiver, "%d is its dead letter, which was sent to %v", d.mid, s.receivers)
	case s.fate == refused:
		l.complain(now, d.receiver, "%d is a dead letter, which was refused", d.mid)
	case d.reason != "expired" || !l.expirable(d.ended, s):
		l.complain(now, d.receiver, "%d is a dead letter (%s), %v after it was sent with a time of %v", d.mid, d.reason, d.ended.Sub(s.at), s.ttl)
	}
	l.dead[d.letter] = true
	l.figures.Dead++
}

// balance holds what was sent since the last balance against what has arrived.
// Nothing may be under way any more, and the dead letters are known.
func (l *ledger) balance() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, s := range l.unsettled {
		have, want := 0, len(s.receivers)
		for _, name := range s.receivers {
			confirmed, got := l.reached(name, s.mid)
			switch {
			case s.mid != 0 && (confirmed || l.dead[letter{s.mid, name}]):
				have++
			case s.mid != 0 && got:
				l.complain(now, name, "%d came, was not confirmed, and was given up", s.mid)
			case s.fate == accepted:
				l.complain(now, name, "%q was accepted as %d and did not arrive", s.text, s.mid)
			}
		}
		switch {
		case s.fate == pending:
			l.complain(now, s.sender, "%q is still under way", s.text)
		case s.fate == unknown && have > 0:
			l.figures.UnknownAccepted++
			if have < want {
				l.complain(now, s.sender, "%q reached %d of the %d members of %s", s.text, have, want, s.target)
			}
		}
	}
	l.unsettled = nil
}

// audit holds the relay's books against the ledger, when nothing is queued:
// accepted = acked + handed off + dead, each to the last message.
func (l *ledger) audit(accounts []account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, told := time.Now(), make(map[string]account)
	for _, a := range accounts {
		told[a.Receiver] = a
	}
	for _, receiver := range slices.Sorted(maps.Keys(l.boxes)) {
		want := account{Receiver: receiver, Balanced: true}
		pushed, mixed := true, false // by a push service alone, by one beside another way
		seen := make(map[int64]bool)
		for _, box := range l.boxes[receiver] {
			pushed, mixed = pushed && box.channel == "webpush", mixed || box.beside
			for mid, c := range box.copies {
				if !seen[mid] && !c.acked.IsZero() && !l.dead[letter{mid, receiver}] {
					seen[mid] = true
				}
			}
		}
		for d := range l.dead {
			if d.receiver == receiver {
				want.Dead++
			}
		}
		if want.Acked = len(seen); pushed {
			want.Acked, want.HandedOff = 0, want.Acked
		}
		want.Accepted = want.Acked + want.HandedOff + want.Dead
		got := told[receiver]
		if mixed {
			// What a push service had when its time was over counts as handed off,
			// though the receiver may have confirmed it since.
			want.Acked, want.HandedOff = want.Acked-got.HandedOff, got.HandedOff
		}
		if got != want {
			l.complain(now, receiver, "the relay's books say %+v, the ledger %+v", got, want)
		}
		delete(told, receiver)
	}
	for _, a := range told { // those that only send
		if a.Accepted != 0 || !a.Balanced {
			l.complain(now, a.Receiver, "the relay's books say %+v of one to whom nobody has sent", a)
		}
	}
}

// traced holds what the relay says of one delivery against what has become of
// it.
func (l *ledger) traced(s *send, receiver, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	confirmed, _ := l.reached(receiver, s.mid)
	dead := l.dead[letter{s.mid, receiver}]
	if dead != (state == "dead") || !dead && (!confirmed || state != "acked" && state != "handed-off") {
		l.complain(time.Now(), receiver, "the trace of %d says %q; confirmed: %v, dead: %v", s.mid, state, confirmed, dead)
	}
}
