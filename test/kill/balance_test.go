//go:build linux

package kill

import (
	"database/sql"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// balance holds what was sent since the last balance against what has arrived.
// Nothing may be under way any more.
func (l *ledger) balance() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, s := range l.unsettled {
		have, want := 0, len(s.receivers)
		for _, name := range s.receivers {
			box := l.inboxes[name]
			switch c := box.copies[s.mid]; {
			case s.mid == 0 || c == nil:
				if s.fate == accepted {
					l.complain(now, name, "%q was accepted as %d and did not arrive", s.text, s.mid)
				}
			case c.acked.IsZero():
				l.complain(now, name, "%d came, was not confirmed, and was given up", s.mid)
			default:
				have++
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

// audit holds the database of a relay that has stopped against the ledger:
// accepted = acked, to the last item, and no message that was not sent.
func (l *ledger) audit(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "mpush.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT message.mid, message.text, receiver.name, item.state
		FROM item JOIN message USING (mid) JOIN receiver ON receiver.id = item.receiver`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	now, items := time.Now(), 0
	for rows.Next() {
		var mid, state int64
		var text, receiver string
		if err := rows.Scan(&mid, &text, &receiver, &state); err != nil {
			t.Fatal(err)
		}
		items++
		const acked = 1
		s, box := l.sends[text], l.inboxes[receiver]
		switch {
		case s == nil || s.mid != mid || box == nil || box.copies[mid] == nil:
			l.complain(now, receiver, "the store has %d %q, which did not arrive", mid, text)
		case state != acked:
			l.complain(now, receiver, "%d is in state %d, though it was confirmed", mid, state)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if items != l.figures.Delivered {
		l.complain(now, "store", "it has %s items, %d messages were delivered", strconv.Itoa(items), l.figures.Delivered)
	}
}
