package guard

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watch is a clock that a test moves.
type watch struct{ time time.Time }

func (w *watch) now() time.Time           { return w.time }
func (w *watch) advance(by time.Duration) { w.time = w.time.Add(by) }

func newGuard(limits Limits) (*Guard, *watch, *bytes.Buffer) {
	w, log := &watch{time: time.Unix(1_600_000_000, 0)}, new(bytes.Buffer)
	return New(limits, slog.New(slog.NewTextHandler(log, nil)), w.now), w, log
}

// passes counts how many of n messages are let through.
func passes(g *Guard, remote, name string, n int) (passed int) {
	for range n {
		if g.Publish(remote, name) == nil {
			passed++
		}
	}
	return passed
}

func TestAddressMaySendABurstAndThenItsRate(t *testing.T) {
	g, clock, _ := newGuard(Limits{PublishRate: 4, PublishBurst: 10})
	if n := passes(g, "192.0.2.1", "", 100); n != 10 {
		t.Errorf("%d at once", n)
	}
	for range 20 {
		clock.advance(time.Second)
		if n := passes(g, "192.0.2.1", "", 100); n != 4 {
			t.Errorf("%d in a second", n)
		}
	}
	clock.advance(time.Hour)
	if n := passes(g, "192.0.2.1", "", 100); n != 10 {
		t.Errorf("%d after a pause", n)
	}
}

func TestRefusalNamesTheLimitAndWhenToComeAgain(t *testing.T) {
	g, clock, _ := newGuard(Limits{PublishRate: 2, PublishBurst: 1})
	g.Publish("192.0.2.1", "")
	clock.advance(100 * time.Millisecond)
	refused := g.Publish("192.0.2.1", "")
	if refused == nil || refused.After != 400*time.Millisecond || refused.Error() != "limits.publishRate: too many messages from this address, try again in 1 s" {
		t.Fatalf("got %v, %+v", refused, refused)
	}
	clock.advance(refused.After - 1)
	if g.Publish("192.0.2.1", "") == nil {
		t.Error("let through too early")
	}
	clock.advance(1)
	if again := g.Publish("192.0.2.1", ""); again != nil {
		t.Errorf("then: %v", again)
	}
}

func TestNameIsCountedOverAllItsAddresses(t *testing.T) {
	g, _, _ := newGuard(Limits{PublishRate: 1, PublishBurst: 10})
	passed := 0
	for i := range 20 {
		passed += passes(g, fmt.Sprintf("192.0.2.%d", i), "ann", 1)
	}
	if passed != 10 {
		t.Errorf("%d messages of one name", passed)
	}
	refused := g.Publish("198.51.100.1", "ann")
	if refused == nil || refused.Whose != "this name" {
		t.Errorf("got %v", refused)
	}
	if n := passes(g, "198.51.100.1", "bob", 1); n != 1 {
		t.Error("another name is refused")
	}
}

// What is refused for the name takes nothing from the address, and the other
// way round.
func TestRefusedIsNotCounted(t *testing.T) {
	g, _, _ := newGuard(Limits{PublishRate: 1, PublishBurst: 10})
	passes(g, "192.0.2.1", "ann", 10)
	if n := passes(g, "192.0.2.2", "ann", 100); n != 0 {
		t.Errorf("%d of the name", n)
	}
	if n := passes(g, "192.0.2.2", "", 100); n != 10 {
		t.Errorf("%d of the address are left", n)
	}
	if n := passes(g, "192.0.2.2", "bob", 100); n != 0 {
		t.Errorf("%d of the address", n)
	}
	if n := passes(g, "192.0.2.3", "bob", 100); n != 10 {
		t.Errorf("%d of the name are left", n)
	}
}

func TestWhoIsCounted(t *testing.T) {
	limits := Limits{PublishRate: 1, PublishBurst: 5, AuthFailures: 5, Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}}
	for _, test := range []struct {
		remotes        []string // used in turn
		nameless, name int      // of 100 are let through
		tries          int
	}{
		{[]string{"192.0.2.1"}, 5, 5, 5},
		{[]string{"192.0.2.1", "::ffff:192.0.2.1"}, 5, 5, 5},
		{[]string{"2001:db8:0:1::1", "2001:db8:0:1:2:3:4:5", "2001:db8:0:1::1%eth0"}, 5, 5, 5},
		{[]string{"2001:db8:0:1::1", "2001:db8:0:2::1"}, 10, 5, 10},
		{[]string{"127.0.0.1"}, 100, 100, 100},
		{[]string{"::1", "::ffff:127.0.0.1", "127.9.9.9"}, 100, 100, 100},
		// A proxy that does not say for whom it speaks.
		{[]string{"10.1.2.3", "::ffff:10.1.2.3"}, 100, 5, 100},
		{[]string{"", "@", "example.org", "192.0.2.1:80"}, 100, 5, 100},
	} {
		count := func(let func(remote string) bool) (passed int) {
			for i := range 100 {
				if let(test.remotes[i%len(test.remotes)]) {
					passed++
				}
			}
			return passed
		}
		g, _, _ := newGuard(limits)
		if n := count(func(remote string) bool { return g.Publish(remote, "") == nil }); n != test.nameless {
			t.Errorf("%q: %d messages, want %d", test.remotes, n, test.nameless)
		}
		g, _, _ = newGuard(limits)
		if n := count(func(remote string) bool { return g.Publish(remote, "ann") == nil }); n != test.name {
			t.Errorf("%q: %d messages of a name, want %d", test.remotes, n, test.name)
		}
		if n := count(func(remote string) bool { _, refused := g.Login(remote, false); return refused == nil }); n != test.tries {
			t.Errorf("%q: %d logins, want %d", test.remotes, n, test.tries)
		}
	}
}

func TestFailedLoginsTakeLongerAndAreThenRefused(t *testing.T) {
	g, clock, log := newGuard(Limits{AuthFailures: 12})
	for i := range 12 {
		delay, refused := g.Login("192.0.2.1", false)
		if want := min(time.Duration(i)*100*time.Millisecond, time.Second); refused != nil || delay != want {
			t.Errorf("failure %d: %v, %v; want %v", i+1, delay, refused, want)
		}
	}
	for _, right := range []bool{false, true} {
		_, refused := g.Login("192.0.2.1", right)
		if refused == nil || refused.After != 50*time.Second || refused.Error() != "limits.authFailures: too many wrong tokens from this address, try again in 50 s" {
			t.Errorf("right %v: %v, %+v", right, refused, refused)
		}
	}
	if delay, refused := g.Login("192.0.2.2", true); delay != 0 || refused != nil {
		t.Errorf("another address: %v, %v", delay, refused)
	}
	if n := strings.Count(log.String(), "remote=192.0.2.1 count=1"); n != 1 {
		t.Errorf("logged:\n%s", log)
	}
	// What is refused is not counted: one try comes back, and then the next.
	for range 3 {
		clock.advance(50 * time.Second)
		if _, refused := g.Login("192.0.2.1", true); refused != nil {
			t.Errorf("forgiven, but %v", refused)
		}
		if _, refused := g.Login("192.0.2.1", false); refused != nil {
			t.Errorf("forgiven, but %v", refused)
		}
		if _, refused := g.Login("192.0.2.1", true); refused == nil {
			t.Error("one more is let through")
		}
	}
	clock.advance(10 * time.Minute)
	if delay, refused := g.Login("192.0.2.1", false); delay != 0 || refused != nil {
		t.Errorf("after the whole time: %v, %v", delay, refused)
	}
}

func TestRightTokensCostNothing(t *testing.T) {
	g, _, _ := newGuard(Limits{AuthFailures: 2})
	for range 100 {
		if delay, refused := g.Login("192.0.2.1", true); delay != 0 || refused != nil {
			t.Fatalf("%v, %v", delay, refused)
		}
	}
	if len(g.failures.byKey) != 0 {
		t.Error("remembered")
	}
}

func TestLockedAddressesAreLoggedOnceInAWhile(t *testing.T) {
	g, clock, log := newGuard(Limits{AuthFailures: 1})
	for i := range 100 {
		g.Login(fmt.Sprintf("192.0.2.%d", i), false)
	}
	clock.advance(tellEvery)
	g.Login("198.51.100.1", false)
	if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "count=100") {
		t.Errorf("logged:\n%s", log)
	}
}

func TestNoLimitRemembersNobody(t *testing.T) {
	g, _, _ := newGuard(Limits{})
	for range 100 {
		if refused := g.Publish("192.0.2.1", "ann"); refused != nil {
			t.Fatal(refused)
		}
		if delay, refused := g.Login("192.0.2.1", false); delay != 0 || refused != nil {
			t.Fatalf("%v, %v", delay, refused)
		}
	}
	if len(g.senders.byKey)+len(g.names.byKey)+len(g.failures.byKey) != 0 {
		t.Error("remembered")
	}
	var none *Guard
	if none.Publish("192.0.2.1", "ann") != nil {
		t.Error("a nil guard refuses")
	}
	if _, refused := none.Login("192.0.2.1", false); refused != nil {
		t.Error("a nil guard refuses")
	}
}

func TestChangedLimitsHoldAtOnce(t *testing.T) {
	g, clock, _ := newGuard(Limits{PublishRate: 1, PublishBurst: 10})
	passes(g, "192.0.2.1", "", 10)
	g.Change(Limits{PublishRate: 1, PublishBurst: 15})
	if n := passes(g, "192.0.2.1", "", 100); n != 5 {
		t.Errorf("%d more with a larger burst", n)
	}
	g.Change(Limits{PublishRate: 1000, PublishBurst: 1})
	if n := passes(g, "192.0.2.1", "", 100); n != 0 {
		t.Errorf("%d with a smaller one", n)
	}
	clock.advance(15 * time.Second)
	if n := passes(g, "192.0.2.1", "", 100); n != 1 {
		t.Errorf("%d when that has been paid", n)
	}
	g.Change(Limits{})
	if n := passes(g, "192.0.2.1", "", 100); n != 100 {
		t.Errorf("%d without a limit", n)
	}
}

func TestWhoUsedUpABurstIsHeldToTheNewRateAtOnce(t *testing.T) {
	g, clock, _ := newGuard(Limits{PublishRate: 1, PublishBurst: 2000, AuthFailures: 5})
	passes(g, "192.0.2.1", "ann", 2000)
	for range 5 {
		g.Login("192.0.2.1", false)
	}
	clock.advance(100 * time.Second)
	g.Change(Limits{PublishRate: 200, PublishBurst: 2000, AuthFailures: 600})
	if n := passes(g, "192.0.2.1", "ann", 300); n != 100 {
		t.Errorf("%d are let through, 100 were paid for", n)
	}
	if refused := g.Publish("192.0.2.1", "ann"); refused == nil || refused.After != 5*time.Millisecond {
		t.Errorf("then %+v", refused)
	}
	clock.advance(time.Second)
	if n := passes(g, "192.0.2.1", "ann", 300); n != 200 {
		t.Errorf("%d in a second", n)
	}
	if delay, refused := g.Login("192.0.2.1", false); refused != nil || delay != 400*time.Millisecond {
		t.Errorf("a fifth failure that counts: %v, %v", delay, refused)
	}
	g.Change(Limits{}) // which says nothing of what is counted
	g.Change(Limits{PublishRate: 1, PublishBurst: 2000})
	if refused := g.Publish("192.0.2.1", "ann"); refused == nil || refused.After != time.Second {
		t.Errorf("at the old rate again %+v", refused)
	}
	g.Change(Limits{PublishRate: 1, PublishBurst: 10})
	if refused := g.Publish("192.0.2.1", "ann"); refused == nil || refused.After != time.Second {
		t.Errorf("nobody owes more than a burst, but %+v", refused)
	}
}

func TestExtremeLimitsDoNotOverflow(t *testing.T) {
	const huge = 1 << 53
	g, _, _ := newGuard(Limits{PublishRate: 1, PublishBurst: huge, AuthFailures: huge})
	if n := passes(g, "192.0.2.1", "", 1000); n != 1000 {
		t.Errorf("%d of a large burst", n)
	}
	if delay, refused := g.Login("192.0.2.1", false); delay != 0 || refused != nil {
		t.Errorf("%v, %v", delay, refused)
	}
	g.Change(Limits{PublishRate: math.MaxInt, PublishBurst: math.MaxInt})
	if n := passes(g, "192.0.2.2", "", 1000); n != 1000 {
		t.Errorf("%d of a large rate", n)
	}
	g.Change(Limits{PublishRate: 1})
	if n := passes(g, "192.0.2.3", "", 1000); n != 1 {
		t.Errorf("%d of no burst", n)
	}
	if refused := g.Publish("192.0.2.2", ""); refused == nil || refused.After <= 0 || refused.After > time.Second {
		t.Errorf("of what is left of a large rate: %+v", refused)
	}
}

func TestConcurrentUseLetsNoMoreThrough(t *testing.T) {
	g, _, _ := newGuard(Limits{PublishRate: 1, PublishBurst: 100})
	passed := make(chan int)
	for range 4 {
		go func() { passed <- passes(g, "192.0.2.1", "ann", 100) }()
	}
	total := 0
	for range 4 {
		total += <-passed
	}
	if total != 100 {
		t.Errorf("%d are let through", total)
	}
}
