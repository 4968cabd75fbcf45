//go:build linux

package chaos

import (
	"slices"
	"time"
)

// inbox is what one receiver has got over one channel.
type inbox struct {
	name     string // the receiver's, "/channel" behind it for what stands beside another
	receiver string
	channel  string
	// asked: each delivery is a request, and the ack is its answer.
	asked bool
	// beside: another inbox of the receiver counts, this one has copies only.
	beside bool

	copies  map[int64]*copyOf
	newest  int64          // the highest mid
	last    int64          // the mid of the last delivery
	awaited int64          // of the last delivery, if it is not confirmed; else 0
	acked   time.Time      // when the newest ack of something began that had not been acked before
	numbers map[string]int // newest number by sender
}

// lateReading is how long a request may lie in a socket's buffer, on a busy
// machine, before it is read. Who sent it may be dead by then.
const lateReading = time.Second

// copyOf is one message at one receiver.
type copyOf struct {
	times int
	acked time.Time   // when the receiver first began to confirm it
	acks  []time.Time // all of these, since it came over conn first
	// ok is when a sender was first told so, followed when another message came
	// after it. Either way its ack had been understood by then.
	ok, followed time.Time

	unsure bool        // the last of acks may have come too late
	conn   *connection // of the last delivery
	since  time.Time   // the core can not have sent it over conn before
	here   int         // deliveries over conn
}

// connection is a receiver's socket, or one request to it.
type connection struct {
	inbox  string
	opened time.Time // its AUTH, or the request, was not sent before
}

// newInbox makes that of a receiver with a websocket.
func newInbox(receiver string) *inbox {
	return &inbox{
		name: receiver, receiver: receiver, channel: "websocket",
		copies: make(map[int64]*copyOf), numbers: make(map[string]int),
	}
}

// newAsked makes that of a receiver that is asked over a channel.
func newAsked(receiver, channel string) *inbox {
	box := newInbox(receiver)
	box.channel, box.asked = channel, true
	return box
}

// newBeside makes that of a receiver that is asked over a channel and has a
// websocket, too.
func newBeside(receiver, channel string) *inbox {
	box := newAsked(receiver, channel)
	box.name, box.beside = receiver+"/"+channel, true
	return box
}

// packet is what a MESSAGE says.
type packet struct {
	mid      int64
	text     string
	desp     string
	cut      bool // desp may be shorter than it was sent
	sendType string
	target   string
	method   string
	from     string
}

// delivered notes a message that a receiver has read.
func (l *ledger) delivered(now time.Time, conn *connection, p packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	box := l.inboxes[conn.inbox]
	l.note(now, box.receiver, "gets %d %q", p.mid, p.text)
	s := l.sends[p.text]
	if s == nil {
		l.complain(now, box.name, "got %d %q, which nobody sent", p.mid, p.text)
		return
	}
	l.checkContent(now, box, s, p)
	l.identify(s, p.mid)
	if s.mid != p.mid {
		return // told already
	}
	if box.awaited != 0 && p.mid > box.awaited && !box.beside && !l.expirable(now, l.mids[box.awaited]) {
		l.complain(now, box.name, "got %d before it confirmed %d", p.mid, box.awaited)
	}
	if c := box.copies[box.last]; c != nil && p.mid > box.last {
		c.followed = now
	}
	if box.last = p.mid; box.copies[p.mid] == nil || box.copies[p.mid].acked.IsZero() {
		box.awaited = p.mid
	}
	if c := box.copies[p.mid]; c != nil {
		l.repeated(now, box, c, conn, s)
	} else {
		l.first(now, box, conn, s)
	}
	l.change()
}

func (l *ledger) checkContent(now time.Time, box *inbox, s *send, p packet) {
	from := ""
	if s.method == "websocket" {
		from = s.sender
	}
	if p.desp != s.desp() && !(p.cut && len(p.desp) < s.size && p.desp == s.desp()[:len(p.desp)]) {
		l.complain(now, box.name, "%q came with %d other bytes of desp, it was sent with %d", s.text, len(p.desp), s.size)
	}
	p.desp = ""
	if p.sendType != s.sendType || p.target != s.target || p.method != s.method || p.from != from {
		l.complain(now, box.name, "%q came as %+v, it was sent by %s over %s to %s %s", s.text, p, s.sender, s.method, s.sendType, s.target)
	}
	if !slices.Contains(s.receivers, box.receiver) {
		l.complain(now, box.name, "got %q, which was sent to %v", s.text, s.receivers)
	}
}

// first takes the first delivery of a message to a receiver.
func (l *ledger) first(now time.Time, box *inbox, conn *connection, s *send) {
	if box.beside {
		l.figures.Beside++
	} else {
		l.figures.Delivered++
	}
	if s.fate == refused {
		l.complain(now, box.name, "got %q, which was refused", s.text)
	}
	// A push may still be on its way when the websocket's ack has made room for
	// the next.
	needless, _ := l.reached(box.receiver, s.mid)
	if s.mid < box.newest && !needless {
		l.complain(now, box.name, "got %d for the first time after %d", s.mid, box.newest)
	}
	newest := box.numbers[s.sender]
	if s.number <= newest && !s.loose && !needless {
		l.complain(now, box.name, "got %s's message %d for the first time after %d", s.sender, s.number, newest)
	}
	box.newest, box.numbers[s.sender] = s.mid, max(newest, s.number)
	box.copies[s.mid] = &copyOf{times: 1, conn: conn, here: 1, since: latest(s.at, conn.opened, box.acked)}
}

// repeated takes a further delivery, which needs a reason: the resend timer of
// the same connection, a reconnect or another request while the ack may have
// been lost on its way, or the death of a process that knew of the ack.
func (l *ledger) repeated(now time.Time, box *inbox, c *copyOf, conn *connection, s *send) {
	c.times++
	if box.beside {
		// A push may be on its way while the websocket's ack makes it needless.
		l.figures.Asked++
		return
	}
	if c.conn == conn {
		c.here++
		l.figures.Resent++
		if !c.followed.IsZero() {
			l.complain(now, box.name, "got %d again after another over the same connection", s.mid)
		}
		// The n-th resend can not come before n intervals have passed. Times are
		// counted in whole milliseconds.
		if due := time.Duration(c.here-1) * l.retry; now.Sub(c.since) < due-2*time.Millisecond {
			l.complain(now, box.name, "got %d for the %dth time over one connection, only %v after it can have been sent first", s.mid, c.here, now.Sub(c.since))
		}
		return
	}
	// What the core learned when the connection was opened already comes too
	// late: the message may have been sent over it before.
	before := func(t time.Time) bool { return !t.IsZero() && t.Before(conn.opened) }
	switch {
	case before(c.ok): // so the core knew
		l.figures.Crashed++
		if !l.lostSince(c.acks, now, "core") {
			l.complain(now, box.name, "got %d again, though a sender was told that it is ok, and no core died", s.mid)
		}
	case before(c.followed): // so the channel knew
		l.figures.Crashed++
		if !l.lostSince(c.acks, now, "core", box.channel) {
			l.complain(now, box.name, "got %d again, though another had followed it, and no process died", s.mid)
		}
	case box.asked && len(c.acks) > 0 && !c.unsure: // so the channel had the answer
		l.figures.Crashed++
		// One that died before the answer, and after it had asked, did not.
		if !l.lostSince(append(c.acks, c.since.Add(-lateReading)), now, "core", box.channel) {
			l.complain(now, box.name, "got %d again, though it had been answered, and no process died", s.mid)
		}
	case box.asked:
		l.figures.Asked++
	default:
		l.figures.Reconnected++
	}
	c.conn, c.here, c.since = conn, 1, latest(s.at, conn.opened)
	c.acks, c.ok, c.followed, c.unsure = nil, time.Time{}, time.Time{}, false
}

// had tells whether a message was delivered to an inbox before.
func (l *ledger) had(inbox string, mid int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inboxes[inbox].copies[mid] != nil
}

// doubts makes the ack of a message one that came too late.
func (l *ledger) doubts(inbox string, mid int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inboxes[inbox].copies[mid].unsure = true
}

// confirms notes an ack before it leaves. It is unsure if it may be too late, as
// is an answer to a channel that does not wait for it any more.
func (l *ledger) confirms(now time.Time, inbox string, mid int64, how string, unsure bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	box := l.inboxes[inbox]
	l.note(now, box.receiver, "confirms %d%s", mid, how)
	c := box.copies[mid]
	if c == nil {
		l.complain(now, inbox, "confirms %d, which it has not got", mid)
		return
	}
	stop, stopping := l.stopping[box.channel]
	c.unsure = unsure || box.asked && stopping && now.Sub(stop) > sureStop
	c.acks = append(c.acks, now)
	if c.acked.IsZero() {
		c.acked = now
		// What follows can have been sent since the first ack, not the last, or
		// since the time of this one was over.
		if !l.expirable(now, l.mids[mid]) {
			box.acked = now
		}
	}
	if box.awaited == mid {
		box.awaited = 0
	}
	l.change()
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
