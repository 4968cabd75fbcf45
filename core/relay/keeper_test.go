package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// diary is a History that answers as a test says and notes what it is asked.
type diary struct {
	mu      sync.Mutex
	asked   []string
	fail    error
	expires int // a pass of Overdue takes so many steps
	prunes  int // one of Prune likewise
	away    []string
	spaced  []time.Time // when each step was asked for
}

func (d *diary) note(format string, args ...any) error {
	d.asked = append(d.asked, fmt.Sprintf(format, args...))
	d.spaced = append(d.spaced, time.Now())
	return d.fail
}

func (d *diary) take() (asked []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked, d.asked = d.asked, nil
	return asked
}

func (d *diary) Overdue(_ context.Context, from, to int64, n int) ([]record.Overdue, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.note("overdue %d %d", from, to)
	if d.expires--; d.expires > 0 {
		return nil, to - int64(d.expires), err
	}
	return nil, to, err
}

func (d *diary) Prune(_ context.Context, before, keys int64, after message.MID, n int) (message.MID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.note("prune %d %d %d", before, keys, after)
	if d.prunes--; d.prunes > 0 {
		return after + message.MID(n), err
	}
	return 0, err
}

func (d *diary) Away(_ context.Context, before int64, after string, n int) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.note("away %d %s", before, after)
	i, _ := slices.BinarySearch(d.away, after+"\x00")
	return d.away[i:min(i+n, len(d.away))], err
}

// keep runs a relay's keeper until stop is called.
func keep(r *Relay, h History, keeping Keeping) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { r.Keep(ctx, h, func() Keeping { return keeping }) })
	return func() { cancel(); keeper.Wait() }
}

// idle is a relay that does not run: for a keeper that finds nothing to do.
func idle(now func() time.Time, log slog.Handler) *Relay {
	return New(engine.New(engine.Config{}, record.Registry{}, nil), store.NewMemory(), now, slog.New(log))
}

// sendWithTTL sends a message that is over after so many milliseconds.
func (b *bed) sendWithTTL(target string, ttl int64) {
	b.t.Helper()
	b.submit(&engine.Publish{Link: b.link, Request: b.request(), SendType: message.Personal, Target: target, Text: "x", TTL: ttl})
}

func (b *bed) dead() (mids []message.MID) {
	b.t.Helper()
	letters, err := b.store.Dead(b.t.Context(), "", 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range letters {
		mids = append(mids, l.MID)
	}
	return mids
}

// later lets time go by and everything come to rest.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestMessagesOfAbsentReceiversExpireWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer keep(b.relay, b.store, Keeping{})()
		b.submit(&engine.Detach{Link: b.link, Receiver: "ann", Generation: b.attach("ann")})
		b.sendWithTTL("ann", 1000)
		b.sendWithTTL("ann", 60_000)
		later(time.Second)
		if got := b.dead(); len(got) != 0 {
			t.Errorf("dead before the keeper looked: %v", got)
		}
		later(2 * expireEvery)
		if got := b.dead(); len(got) != 1 {
			t.Errorf("dead letters %v, want the first message", got)
		}
		later(time.Minute + expireEvery)
		if got := b.dead(); len(got) != 2 {
			t.Errorf("dead letters %v, want both", got)
		}
		b.stop()
	})
}

// What was looked at is not looked at again, and where there is more than a step
// takes, the steps leave pauses to the others.
func TestExpiryGoesOnWhereItWasInSmallSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{expires: 3}
		began := time.Now().UnixMilli()
		defer keep(idle(time.Now, slog.DiscardHandler), d, Keeping{})()
		later(expireEvery + time.Second)
		to := began + expireEvery.Milliseconds() - 1000
		want := []string{fmt.Sprintf("overdue 0 %d", to), fmt.Sprintf("overdue %d %d", to-2, to), fmt.Sprintf("overdue %d %d", to-1, to)}
		if got := d.take(); !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
		d.mu.Lock()
		spaced := slices.Clone(d.spaced)
		d.mu.Unlock()
		for i := range 2 {
			if pause := spaced[i+1].Sub(spaced[i]); pause != stepPause {
				t.Errorf("a pause of %v between steps, want %v", pause, stepPause)
			}
		}
		later(expireEvery)
		if got, want := d.take(), []string{fmt.Sprintf("overdue %d %d", to, to+expireEvery.Milliseconds())}; !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
	})
}

func TestExpiryGoesOnWhenTheClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead, d := time.Hour, &diary{}
		k := keeper{relay: idle(func() time.Time { return time.Now().Add(ahead) }, slog.DiscardHandler), history: d}
		step := func() string {
			t.Helper()
			if err := k.expire(t.Context()); err != nil {
				t.Fatal(err)
			}
			return strings.Join(d.take(), ", ")
		}
		step()
		ahead = 0
		time.Sleep(time.Minute)
		from := time.Now().UnixMilli() - 1000
		step()
		time.Sleep(time.Minute)
		to := time.Now().UnixMilli() - 1000
		if got, want := step(), fmt.Sprintf("overdue %d %d", from, to); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	})
}

func TestHistoryIsPrunedInSmallSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{prunes: 3}
		began := time.Now()
		defer keep(idle(time.Now, slog.DiscardHandler), d, Keeping{History: time.Hour})()
		later(pruneEvery - time.Second)
		d.take()
		later(2 * time.Second)
		at := began.Add(pruneEvery).UnixMilli()
		before, keys := at-time.Hour.Milliseconds(), at-int64(engine.KeyTime)
		var prunes []string
		for _, asked := range d.take() {
			if strings.HasPrefix(asked, "prune") {
				prunes = append(prunes, asked)
			}
		}
		// The expiry that is due at the same moment may come first, with its pause.
		late := stepPause.Milliseconds()
		var want, wantLate []string
		for i := range 3 {
			want = append(want, fmt.Sprintf("prune %d %d %d", before, keys, i*pruneStep))
			wantLate = append(wantLate, fmt.Sprintf("prune %d %d %d", before+late, keys+late, i*pruneStep))
		}
		if !slices.Equal(prunes, want) && !slices.Equal(prunes, wantLate) {
			t.Errorf("asked %q, want %q", prunes, want)
		}
	})
}

func TestHistoryIsKeptAsLongAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		keeping := Keeping{History: time.Hour}
		k := keeper{relay: b.relay, history: b.store, keeping: func() Keeping { return keeping }}
		prune := func() {
			t.Helper()
			if err := k.prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		generation := b.attach("ann")
		b.send("ann")
		synctest.Wait()
		mid := b.delivery().Message.MID
		b.submit(&engine.Outcome{Link: b.link, Receiver: "ann", Generation: generation, MID: mid, Kind: engine.Acked})
		b.submit(&engine.Detach{Link: b.link, Receiver: "ann", Generation: generation})
		b.send("ann") // and stays open
		later(time.Second)
		has := func() int {
			t.Helper()
			accounts, err := b.store.Audit(t.Context())
			if err != nil || len(accounts) != 1 || !accounts[0].Balanced() || accounts[0].Accepted != 2 || accounts[0].Acked != 1 || accounts[0].Pending != 1 {
				t.Fatalf("%+v, %v", accounts, err)
			}
			m, _, err := b.store.Trace(t.Context(), mid)
			if err != nil {
				t.Fatal(err)
			}
			if m == nil {
				return 0
			}
			return 1
		}
		later(time.Hour - 2*time.Second)
		if prune(); has() != 1 {
			t.Error("pruned too early")
		}
		keeping.History = 0 // for ever
		later(1000 * time.Hour)
		if prune(); has() != 1 {
			t.Error("pruned though it is kept for ever")
		}
		keeping.History = time.Hour
		if prune(); has() != 0 {
			t.Error("not pruned")
		}
		b.stop()
	})
}

func TestReceiversThatStayAwayAreForgottenByTheHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		const after = 2 * time.Hour
		defer keep(b.relay, b.store, Keeping{ForgetAfter: after})()
		for i := range awayStep + 5 { // more than a step takes
			name := fmt.Sprintf("gone%d", i)
			b.submit(&engine.Detach{Link: b.link, Receiver: name, Generation: b.attach(name)})
		}
		b.attach("here")
		known := func() int {
			t.Helper()
			registry, err := b.store.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(registry.Receivers)
		}
		later(after - time.Second)
		if n := known(); n != awayStep+6 {
			t.Errorf("%d receivers are known before the time is over", n)
		}
		later(forgetEvery + 2*time.Second)
		if n := known(); n != 1 {
			t.Errorf("%d receivers are known, want the one that is connected", n)
		}
		b.stop()
	})
}

// After a crash the disk alone tells how long somebody was here.
func TestWhoStaysIsWrittenDownAsSeenLongBeforeItWouldBeForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		const after = 20 * time.Hour
		defer keep(b.relay, b.store, Keeping{ForgetAfter: after})()
		b.attach("here")
		later(after + 3*time.Hour)
		registry, err := b.store.Load(t.Context())
		if err != nil || len(registry.Receivers) != 1 {
			t.Fatalf("%d receivers, %v", len(registry.Receivers), err)
		}
		if seen := time.Since(time.UnixMilli(registry.Receivers[0].SeenAt)); seen > after/2+forgetEvery+time.Minute {
			t.Errorf("it was seen %v ago", seen)
		}
		b.stop()
	})
}

func TestNobodyIsForgottenIfThatIsOff(t *testing.T) {
	d := &diary{away: []string{"ann"}}
	k := keeper{relay: idle(time.Now, slog.DiscardHandler), history: d, keeping: func() Keeping { return Keeping{} }}
	if err := k.forget(t.Context()); err != nil || len(d.take()) != 0 {
		t.Errorf("somebody was looked for, %v", err)
	}
}

func TestKeeperSaysWhatFailsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{fail: errors.New("unreadable")}
		var said bytes.Buffer
		defer keep(idle(time.Now, slog.NewTextHandler(&said, nil)), d, Keeping{ForgetAfter: time.Hour, History: time.Hour})()
		later(forgetEvery + time.Second)
		asked := strings.Join(d.take(), " ")
		for _, what := range []string{"overdue", "prune", "away"} {
			if !strings.Contains(asked, what) {
				t.Errorf("%s was not asked for", what)
			}
		}
		if want := int(forgetEvery/expireEvery) + int(forgetEvery/pruneEvery) + 1; strings.Count(said.String(), "err=unreadable") != want {
			t.Errorf("%d failures were logged, want %d", strings.Count(said.String(), "err=unreadable"), want)
		}
	})
}

func TestFullDiskIsNamedToSendersWithoutItsPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.attach("ann")
		b.store.set(nil, fmt.Errorf("write /var/lib/mpush/mpush.db: %w", store.ErrFull))
		b.send("ann")
		synctest.Wait()
		answer := b.sink.take()[0].(*engine.Answer).Body.(*engine.Refusal)
		if !strings.Contains(answer.Message, store.ErrFull.Error()) || strings.Contains(answer.Message, "/var") {
			t.Errorf("the sender is told %q", answer.Message)
		}
		b.stop()
	})
}
