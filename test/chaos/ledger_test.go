//go:build linux

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// ledger is what the outside of the relay knows: what senders sent and were
// told, what receivers got and confirmed, and which faults there were. It checks
// what can be checked at once as it is written, and the rest when the relay is
// quiet. Its methods may be called from any goroutine.
type ledger struct {
	retry  time.Duration       // the websocket channel's retryTimeout
	groups map[string][]string // members by group

	mu        sync.Mutex
	sends     map[string]*send // by text
	mids      map[int64]*send
	inboxes   map[string]*inbox   // by name
	boxes     map[string][]*inbox // by receiver
	dead      map[letter]bool
	highest   int64                // mid that anybody was told
	faults    []fault              // the deadly ones
	stopping  map[string]time.Time // channels that were asked to end, and when
	cut       time.Time            // when senders' connections were cut last
	unsettled []*send              // since the last balance
	found     []string
	history   []note
	figures   figures
	changed   chan struct{} // closed with the next change
}

// send is one message as its sender knows it.
type send struct {
	text      string
	size      int           // bytes of desp
	ttl       time.Duration // 0: the relay's
	keyed     bool          // its sender sends it again until it knows
	sender    string
	number    int // of that sender's sends
	method    string
	sendType  string
	target    string
	receivers []string
	at        time.Time
	floor     int64 // the highest mid that anybody was told before

	fate  fate
	loose bool  // it may have been accepted after its sender's next
	mid   int64 // 0 until the sender is told or a receiver gets it
}

// letter is one receiver's share of a message.
type letter struct {
	mid      int64
	receiver string
}

type fate uint8

const (
	pending  fate = iota // the sender awaits the answer
	accepted             // it got a mid
	refused              // it was told that nothing is queued
	unknown              // it was told nothing, or nothing certain
)

// fault is the death of a process that may take knowledge along.
type fault struct {
	victim   string
	from, to time.Time // to is zero while it is under way
}

// note is a line of history, kept for those who look into a failure.
type note struct {
	at   time.Time
	who  string
	what string
}

// maxHistory bounds the notes that are kept.
const maxHistory = 20_000

func newLedger(retry time.Duration, groups map[string][]string, boxes []*inbox) *ledger {
	l := &ledger{
		retry: retry, groups: groups, sends: make(map[string]*send), mids: make(map[int64]*send),
		inboxes: make(map[string]*inbox), boxes: make(map[string][]*inbox), dead: make(map[letter]bool),
		stopping: make(map[string]time.Time), changed: make(chan struct{}),
	}
	for _, box := range boxes {
		l.inboxes[box.name] = box
		l.boxes[box.receiver] = append(l.boxes[box.receiver], box)
	}
	return l
}

// sending notes a message before it leaves.
func (l *ledger) sending(now time.Time, s *send) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.at, s.floor = now, l.highest
	s.receivers = []string{s.target}
	if s.sendType == "group" {
		s.receivers = l.groups[s.target]
	}
	l.sends[s.text] = s
	l.unsettled = append(l.unsettled, s)
	l.figures.Sent++
	l.note(now, s.sender, "sends %q to %s", s.text, s.target)
}

// answered notes a MESSAGE_REPLY.
func (l *ledger) answered(now time.Time, s *send, mid int64, statuses map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(now, s.sender, "is told %d %v of %q", mid, statuses, s.text)
	s.fate = accepted
	l.figures.Accepted++
	l.identify(s, mid)
	l.highest = max(l.highest, mid)
	if got, want := slices.Sorted(maps.Keys(statuses)), slices.Sorted(slices.Values(s.receivers)); !slices.Equal(got, want) {
		l.complain(now, s.sender, "the reply to %q names %v, it went to %v", s.text, got, want)
	}
	for name, status := range statuses {
		l.checkStatus(now, s, name, status)
	}
	l.change()
}

// checkStatus holds a status against what is known of the message.
func (l *ledger) checkStatus(now time.Time, s *send, name, status string) {
	switch status {
	case "ready", "wait", "webpush-wait":
	case "ok", "webpush-ok":
		known := false
		for _, box := range l.boxes[name] {
			if c := box.copies[s.mid]; c != nil && !c.acked.IsZero() && (status == "ok") == (box.channel != "webpush") {
				c.ok, known = now, true
			}
		}
		if !known {
			l.complain(now, s.sender, "%q is %s for %s, which has not confirmed it", s.text, status, name)
		}
	case "failed":
		if !l.expirable(now, s) {
			l.complain(now, s.sender, "%q has failed for %s, though its time is not over", s.text, name)
		}
	default:
		l.complain(now, s.sender, "%q has the status %s for %s", s.text, status, name)
	}
}

// expirable tells whether the time of a message may be over.
func (l *ledger) expirable(now time.Time, s *send) bool {
	return s != nil && s.ttl > 0 && now.Sub(s.at) >= s.ttl-2*time.Millisecond // whole milliseconds are counted
}

// again notes that a sender sends a message once more.
func (l *ledger) again(s *send, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(time.Now(), s.sender, "sends %q again: %s", s.text, why)
	l.figures.Again++
}

// unanswered notes that a sender knows nothing, or that its message was refused.
func (l *ledger) unanswered(now time.Time, s *send, f fate, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(now, s.sender, "is not told what became of %q: %s", s.text, why)
	s.fate, s.loose = f, f == unknown && l.cut.After(s.at)
	if f == refused {
		l.figures.Refused++
		if s.mid != 0 {
			l.complain(now, s.sender, "%q was refused (%s) and delivered as %d", s.text, why, s.mid)
		}
	} else {
		l.figures.Unknown++
	}
	l.change()
}

// identify binds a message to its mid. Held locked.
func (l *ledger) identify(s *send, mid int64) {
	switch other := l.mids[mid]; {
	case s.mid == mid:
		return
	case s.mid != 0:
		l.complain(time.Now(), s.sender, "%q has the mids %d and %d", s.text, s.mid, mid)
		return
	case other != nil:
		l.complain(time.Now(), s.sender, "the mid %d is of %q and of %q", mid, other.text, s.text)
		return
	case mid <= s.floor:
		l.complain(time.Now(), s.sender, "%q has the mid %d, though %d had been given before it was sent", s.text, mid, s.floor)
	}
	s.mid = mid
	l.mids[mid] = s
}

// cuts notes that the connections of senders are about to be cut: what they do
// not know of then may be accepted after what they send next.
func (l *ledger) cuts(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(now, "fault", "cut the senders' connections")
	l.cut = now
}

// kills notes that a process is about to die; the returned function notes that
// it has.
func (l *ledger) kills(now time.Time, victim string) (died func(time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(now, "fault", "kill %s", victim)
	i := len(l.faults)
	l.faults = append(l.faults, fault{victim: victim, from: now})
	return func(now time.Time) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.faults[i].to = now
		l.note(now, "fault", "%s is dead", victim)
	}
}

// staleness is how old knowledge may be that dies with a process. The core
// writes acks down within milliseconds; the rest is for a busy machine.
const staleness = 5 * time.Second

// lostSince tells whether what one of these processes learned at one of some
// times may have been lost with it by now. Held locked.
func (l *ledger) lostSince(learned []time.Time, now time.Time, victims ...string) bool {
	return slices.ContainsFunc(l.faults, func(f fault) bool {
		return slices.Contains(victims, f.victim) && !f.from.After(now) &&
			slices.ContainsFunc(learned, func(at time.Time) bool {
				return (f.to.IsZero() || !at.After(f.to)) && f.from.Sub(at) < staleness
			})
	})
}

// sureStop is within how much of a channel's stop it has surely read an answer.
// It waits for answers for two seconds; the rest is for a busy machine.
const sureStop = 500 * time.Millisecond

// stops notes that a channel is about to be asked to end, in good order; the
// returned function notes that it has.
func (l *ledger) stops(now time.Time, channel string) (stopped func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(now, "fault", "stop %s", channel)
	l.stopping[channel] = now
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.stopping, channel)
	}
}

// remark adds to the history.
func (l *ledger) remark(who, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(time.Now(), who, format, args...)
}

func (l *ledger) note(at time.Time, who, format string, args ...any) {
	if len(l.history) >= maxHistory {
		l.history = slices.Delete(l.history, 0, maxHistory/2)
	}
	l.history = append(l.history, note{at, who, fmt.Sprintf(format, args...)})
}

// wrong notes what was found wrong outside the ledger's own rules.
func (l *ledger) wrong(who, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complain(time.Now(), who, format, args...)
	l.change()
}

func (l *ledger) complain(at time.Time, who, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.note(at, who, "WRONG: %s", text)
	if len(l.found) < maxTold {
		text += "\n" + l.latest(linesTold, who)
	}
	l.found = append(l.found, who+": "+text)
}

// maxTold bounds the complaints of which a failure tells the history, linesTold
// the lines of each.
const (
	maxTold   = 10
	linesTold = 60
)

// complaints is what was found wrong so far.
func (l *ledger) complaints() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.found)
}

// latest returns the newest history of somebody and of the faults. Held locked.
func (l *ledger) latest(lines int, who string) string {
	var text []string
	for _, n := range slices.Backward(l.history) {
		if len(text) == lines {
			break
		}
		if n.who == "fault" || n.who == who {
			text = append(text, fmt.Sprintf("    %s %s: %s", n.at.Format("15:04:05.000000"), n.who, n.what))
		}
	}
	slices.Reverse(text)
	return strings.Join(text, "\n")
}

func (l *ledger) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// arrived tells whether a message to one receiver was confirmed, and the core
// knew.
func (l *ledger) arrived(s *send) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.boxes[s.target], func(box *inbox) bool {
		return s.mid != 0 && box.copies[s.mid] != nil && !box.copies[s.mid].ok.IsZero()
	})
}

// confirmed is how many messages a receiver has begun to confirm.
func (l *ledger) confirmed(receiver string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, box := range l.boxes[receiver] {
		for _, c := range box.copies {
			if !c.acked.IsZero() {
				n++
			}
		}
	}
	return n
}

// await waits until a condition holds, which is called with the ledger locked,
// and tells whether it did before the limit.
func (l *ledger) await(limit time.Duration, condition func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		l.mu.Lock()
		met, changed := condition(), l.changed
		l.mu.Unlock()
		if met {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}
