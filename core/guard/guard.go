// Package guard keeps one client from taking what is everybody's: it bounds how
// fast an address and a name publish, and how often an address may be wrong
// about the token. It knows addresses and names, but no token, no message and no
// process; core/link asks it before it acts upon a request.
//
//   - guard.go: the questions
//   - origin.go: which address a client counts as
//   - buckets.go: what is remembered of each, in bounded memory
//
// Who is refused is told the name of the limit and when to come again. Nothing
// that one address does has an effect on another.
package guard

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"
)

// Limits are what a Guard holds clients to. A rate or number of 0 is no limit.
type Limits struct {
	// PublishRate is how many messages a second one address, and one name, may
	// send for long.
	PublishRate int
	// PublishBurst is how many it may send at once after a pause; at least 1.
	PublishBurst int
	// AuthFailures is how many wrong tokens one address may show at once. One of
	// them is forgiven in each forgiveTime/AuthFailures.
	AuthFailures int
	// Trusted are the addresses of reverse proxies. One of them that comes as a
	// client's address stands for clients that it does not name: it is not
	// counted.
	Trusted []netip.Prefix
}

const (
	// forgiveTime is after how long an address that was wrong as often as it may
	// has all of its tries again.
	forgiveTime = 10 * time.Minute
	// delayStep is what each failure adds to the time that the next one's answer
	// takes, and maxDelay the most that it takes.
	delayStep = 100 * time.Millisecond
	maxDelay  = time.Second
	// maxRemembered bounds each of the three tables: some 3 MB.
	maxRemembered = 1 << 14
	// tellEvery is how often locked addresses are logged at most.
	tellEvery = 10 * time.Second
)

// Refusal says which limit a client has met. Nothing was counted against it.
type Refusal struct {
	Limit string // the key in the configuration
	Whose string // "this address", "this name"
	What  string // what there was too much of
	// After is when the same would be let through: more than 0.
	After time.Duration
}

// Error is what the client may read.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %s %s, try again in %d s", r.Limit, r.What, r.Whose, int64(math.Ceil(r.After.Seconds())))
}

// Guard remembers what clients did lately. Safe for concurrent use. A nil Guard
// lets everything pass.
type Guard struct {
	now   func() time.Time
	start time.Time
	log   *slog.Logger

	mu       sync.Mutex
	limits   Limits
	senders  buckets[netip.Addr] // publishes
	names    buckets[string]     // publishes
	failures buckets[netip.Addr] // wrong tokens
	locked   int                 // addresses, not logged yet
	told     time.Time           // when they were logged
}

// New makes a Guard that has seen nobody. Time is now's alone; a step of the
// clock does no harm if it carries the monotonic time, as that of time.Now does.
func New(limits Limits, log *slog.Logger, now func() time.Time) *Guard {
	g := &Guard{now: now, start: now(), log: log}
	g.Change(limits)
	return g
}

// Change replaces the limits. What clients did before it stays counted, also over
// a time without a limit.
func (g *Guard) Change(limits Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = limits
	now := g.elapsed()
	if limits.PublishRate != 0 {
		publish := newRate(time.Second, limits.PublishRate, limits.PublishBurst)
		g.senders.change(publish, now)
		g.names.change(publish, now)
	}
	if limits.AuthFailures != 0 {
		g.failures.change(newRate(forgiveTime, limits.AuthFailures, limits.AuthFailures), now)
	}
}

// Publish counts a message that a client wants to send, or refuses it. remote is
// the client's address, name the one that it is authenticated as, "" for none.
// What comes from the machine itself is let through.
func (g *Guard) Publish(remote, name string) *Refusal {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limits.PublishRate == 0 {
		return nil
	}
	addr, kind := g.limits.origin(remote)
	if kind == local {
		return nil
	}
	now := g.elapsed()
	var sender *bucket[netip.Addr]
	var named *bucket[string]
	var wait time.Duration
	if kind == distant {
		if sender, wait = g.senders.check(addr, now); wait > 0 {
			return &Refusal{Limit: "limits.publishRate", What: "too many messages from", Whose: "this address", After: wait}
		}
	}
	if name != "" {
		if named, wait = g.names.check(name, now); wait > 0 {
			return &Refusal{Limit: "limits.publishRate", What: "too many messages from", Whose: "this name", After: wait}
		}
	}
	if kind == distant {
		g.senders.take(sender, addr, now)
	}
	if name != "" {
		g.names.take(named, name, now)
	}
	return nil
}

// Login counts a token that a client has shown, if it is wrong. An address that
// was wrong too often is refused, whatever it shows, so that it does not learn
// whether it is right; the refusal itself is not counted. Without one, delay is
// how long the answer is to take: it grows with what was wrong before.
func (g *Guard) Login(remote string, right bool) (delay time.Duration, refusal *Refusal) {
	if g == nil {
		return 0, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limits.AuthFailures == 0 || right && len(g.failures.byKey) == 0 {
		return 0, nil
	}
	addr, kind := g.limits.origin(remote)
	if kind != distant {
		return 0, nil
	}
	now := g.elapsed()
	found, wait := g.failures.check(addr, now)
	switch {
	case wait > 0:
		return 0, &Refusal{Limit: "limits.authFailures", What: "too many wrong tokens from", Whose: "this address", After: wait}
	case right:
		return 0, nil
	}
	failed := g.failures.take(found, addr, now)
	if failed >= g.failures.rate.burst {
		g.lock(addr)
	}
	return min(time.Duration(failed-1)*delayStep, maxDelay), nil
}

// lock logs that an address has used up its tries, once in a while.
func (g *Guard) lock(addr netip.Addr) {
	g.locked++
	if now := g.now(); g.told.IsZero() || now.Sub(g.told) >= tellEvery {
		g.log.Warn("too many wrong tokens, their address is refused for a while", "remote", addr, "count", g.locked)
		g.locked, g.told = 0, now
	}
}

func (g *Guard) elapsed() time.Duration { return g.now().Sub(g.start) }
