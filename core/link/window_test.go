package link

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/record"
	"mpush/core/store"
	"mpush/sdk/pluginpb"
)

func TestWindowLetsInWhatFitsAndTheLargeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w window
		entered := make(chan int, 10)
		enter := func(bytes int) {
			if err := w.enter(t.Context(), bytes); err != nil {
				t.Error(err)
			}
			entered <- bytes
		}
		enter(maxWaiting / 2)
		enter(maxWaiting / 2)
		go enter(3 * maxWaiting)
		synctest.Wait()
		w.leave(maxWaiting / 2)
		synctest.Wait()
		if len(entered) != 2 {
			t.Fatal("the large one did not wait for all others")
		}
		w.leave(maxWaiting / 2)
		synctest.Wait()
		if len(entered) != 3 {
			t.Fatal("the large one waits for nobody")
		}
		ctx, cancel := context.WithCancel(t.Context())
		refused := make(chan error, 1)
		go func() { refused <- w.enter(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-refused; err == nil {
			t.Error("it entered")
		}
		w.leave(3 * maxWaiting)
		enter(1)
	})
}

func TestWaitingIsAFloodWhenItIsATenthOfTheTime(t *testing.T) {
	for _, test := range []struct {
		name  string
		every time.Duration
		waits time.Duration
		want  int
	}{
		{"seldom", time.Minute, 900 * time.Millisecond, 0},
		{"a little", time.Second, 50 * time.Millisecond, 0},
		{"much", time.Second, 500 * time.Millisecond, 50},
		{"at once", time.Second, time.Second, 100},
	} {
		var w waits
		now, floods := time.Unix(1_000_000, 0), 0
		for range 100 {
			now = now.Add(test.every)
			if w.add(now, test.waits) {
				floods++
			}
		}
		if floods != test.want {
			t.Errorf("%s: %d floods, want %d", test.name, floods, test.want)
		}
	}
}

// stuck is a store whose disk takes its time.
type stuck struct {
	*store.Memory
	gate chan struct{} // writes wait until it is closed
}

func (s *stuck) Commit(ctx context.Context, ops []record.Op) error {
	<-s.gate
	return s.Memory.Commit(ctx, ops)
}

func TestFloodWaitsForTheDiskAndIsNamed(t *testing.T) {
	disk := &stuck{Memory: store.NewMemory(), gate: make(chan struct{})}
	c := newCoreOn(t, disk)
	flood, judge := c.connectJudged("flood")
	// Each frame fills a half of what may wait, by the cost of its events alone.
	var half []*pluginpb.PluginEnvelope
	for range maxWaiting / eventCost / 2 {
		half = append(half, attach(0, withToken(), "ann"))
	}
	for range 3 { // the third is read, and waits
		flood.say(half...)
	}
	flood.awaitFull() // and looked at the clock before that
	select {
	case flood.plugin.toCore <- &pluginpb.PluginFrame{}:
		t.Error("more was read than may wait")
	case <-time.After(patienceWithFloods):
	}
	close(disk.gate)
	judge.await(t, `vice="asks faster than it can be served and is slowed down" count=1`)
	flood.say() // it goes on
}

// awaitFull waits until what the plugin says has to wait for room.
func (p *peer) awaitFull() {
	p.t.Helper()
	full := func() bool {
		w := &p.link.window
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.room != nil
	}
	for deadline := time.Now().Add(30 * time.Second); !full(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatal("nothing has to wait for room")
		}
	}
}

// A plugin that asks for all of its state many times at once is answered one by
// one: the answers would be a thousand times as large as what asks for them.
func TestStateIsReadOneAnswerAtATime(t *testing.T) {
	c := newCore(t)
	p := c.connect("p")
	value := make([]byte, 60<<10)
	for i := range 16 {
		p.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{Key: string(rune('a' + i)), Value: value}}})
		p.hear()
	}
	const asks = 200
	var envelopes []*pluginpb.PluginEnvelope
	for id := range uint64(asks) {
		envelopes = append(envelopes, &pluginpb.PluginEnvelope{RequestId: id + 1, Body: &pluginpb.PluginEnvelope_StateGet{StateGet: &pluginpb.StateGet{}}})
	}
	p.say(envelopes...)
	for id := range uint64(asks) {
		if s := p.hear().GetState(); s.GetRequestId() != id+1 || len(s.Entries) != 16 {
			t.Fatalf("answer %d has %d entries", s.GetRequestId(), len(s.GetEntries()))
		}
		o := p.link.out
		o.mu.Lock()
		waiting := o.bytes
		o.mu.Unlock()
		if most := maxControlBytes + 2<<20; waiting > most {
			t.Fatalf("%d bytes of answers wait, want at most %d", waiting, most)
		}
	}
}

func TestClaimsAreBounded(t *testing.T) {
	board := NewSwitchboard()
	if err := board.Claim("x", make([]string, maxClaims+1)); err == nil {
		t.Error("too many commands were claimed")
	}
	if err := board.Claim("x", []string{string(make([]byte, maxCommandBytes+1))}); err == nil {
		t.Error("a command that is too long was claimed")
	}
	if claims := board.Claims(); len(claims) != 0 {
		t.Errorf("claims %v", claims)
	}
}
