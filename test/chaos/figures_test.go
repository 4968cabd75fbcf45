//go:build linux

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// figures are counted over all rounds.
type figures struct {
	Sent, Accepted, Refused, Unknown int
	UnknownAccepted                  int // delivered, of Unknown
	Delivered                        int // for the first time
	Again                            int // sends repeated with their key
	Beside                           int // pushed for the first time, beside a websocket
	Dead                             int // dead letters
	// Deliveries again, by what brought them: the resend timer, a reconnect, an
	// attempt whose answer was none or bad, the death of a process.
	Resent, Reconnected, Asked, Crashed int
}

// total returns the figures of this moment.
func (l *ledger) total() figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.figures
}

func (f *figures) log(t *testing.T) {
	t.Helper()
	t.Logf("%d sends: %d accepted (%d times sent again with their key), %d refused, %d of which the sender knows nothing, %d of these delivered",
		f.Sent, f.Accepted, f.Again, f.Refused, f.Unknown, f.UnknownAccepted)
	t.Logf("%d deliveries, %d pushes beside them, %d dead letters; again %d by the resend timer, %d after a reconnect, %d after no answer or a bad one, %d after a death",
		f.Delivered, f.Beside, f.Dead, f.Resent, f.Reconnected, f.Asked, f.Crashed)
}

func (f *figures) add(g figures) {
	f.Sent += g.Sent
	f.Accepted += g.Accepted
	f.Refused += g.Refused
	f.Unknown += g.Unknown
	f.UnknownAccepted += g.UnknownAccepted
	f.Delivered += g.Delivered
	f.Again += g.Again
	f.Beside += g.Beside
	f.Dead += g.Dead
	f.Asked += g.Asked
	f.Resent += g.Resent
	f.Reconnected += g.Reconnected
	f.Crashed += g.Crashed
}

// restarts are the times from a kill to serving again, pauses before restarts
// and aborted starts included, the longest from the kill of a core to the end of
// all that it had started, and how often there was which fault.
type restarts struct {
	mu     sync.Mutex
	ended  time.Duration
	times  map[string][]time.Duration
	faults map[string]int
}

func (r *restarts) count(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults == nil {
		r.faults = make(map[string]int)
	}
	r.faults[fault]++
}

func (r *restarts) note(victim string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil {
		r.times = make(map[string][]time.Duration)
	}
	r.times[victim] = append(r.times[victim], took)
}

func (r *restarts) gone(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = max(r.ended, took)
}

func (r *restarts) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var text []string
	for _, fault := range slices.Sorted(maps.Keys(r.faults)) {
		text = append(text, fmt.Sprintf("%s %d times", fault, r.faults[fault]))
	}
	for _, victim := range slices.Sorted(maps.Keys(r.times)) {
		times := slices.Sorted(slices.Values(r.times[victim]))
		text = append(text, fmt.Sprintf("%s killed and serving again %d times: median %v, longest %v",
			victim, len(times), times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond)))
	}
	text = append(text, fmt.Sprintf("what a killed core had started was gone after %v at most", r.ended.Round(time.Millisecond)))
	return strings.Join(text, "; ")
}
