//go:build linux

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// lanes is how many relays are tested at once: mostly they wait.
const lanes = 3

func TestChaosLosesReordersAndRepeatsNothing(t *testing.T) {
	rounds, seed := *roundsFlag, chosenSeed()
	t.Logf("%d rounds; again with -chaos.seed %d -chaos.rounds %d", rounds, seed, rounds)
	var all figures
	times := &restarts{}
	t.Run("lanes", func(t *testing.T) {
		var mu sync.Mutex
		for i := range min(lanes, rounds) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				l := newLane(t, rand.New(rand.NewPCG(seed, uint64(i))), times, nil)
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					all.add(l.ledger.total())
				}()
				l.run((rounds + lanes - 1 - i) / lanes)
			})
		}
	})
	all.log(t)
	t.Log(times)
}

// chosenSeed is the operator's, or another each time.
func chosenSeed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return rand.Uint64()
}

// run makes the rounds, each of load, faults, drain and balance.
func (l *lane) run(rounds int) {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	known := []<-chan struct{}(nil)
	for _, r := range l.receivers {
		clients.Go(func() { r.run(ctx) })
		known = append(known, r.known)
	}
	for _, b := range l.browsers {
		clients.Go(func() { l.pushes.run(ctx, b, l.newHTTP(false)) })
		known = append(known, b.known)
	}
	for i, k := range known {
		rest(ctx, k, patience)
		select {
		case <-k:
		default:
			l.t.Fatalf("receiver %d has not arrived", i)
		}
	}
	targets := l.targets()
	for _, s := range l.load {
		clients.Go(func() { s.run(ctx, l.open.RLocker(), targets) })
	}
	for round := range rounds {
		l.faults = nil
		back := l.suffer(ctx)
		l.settle(ctx, back, func() {
			if round == rounds-1 {
				cancel()
			}
		})
		if l.failed(round) {
			return
		}
	}
	clients.Wait()
	l.relay.Stop(l.t)
}

// suffer lets the load go on, with one or two faults in it. Receivers may be
// away at the end; back has them return.
func (l *lane) suffer(ctx context.Context) (back func()) {
	l.t.Helper()
	back = l.sendAway()
	l.progress(10 + l.rand.IntN(80))
	if l.rand.IntN(3) == 0 {
		// A long queue is on its way when the fault comes.
		l.burst(ctx, 50+l.rand.IntN(250))
		back()
		time.Sleep(time.Duration(l.rand.Int64N(int64(60 * time.Millisecond))))
	}
	for range l.rand.IntN(4) {
		l.disturb()
	}
	two := l.rand.IntN(2) == 0
	l.fault(l.choose(), func() {
		if !two || l.rand.IntN(2) == 0 {
			return
		}
		two = false
		// A core that is asked to end waits for what is stopped, up to its deadline.
		if kind := l.choose(); kind.what == "kill" || *longFlag && kind.what == "terminate" {
			l.fault(kind, nil)
		}
	})
	if two {
		l.interval()
		l.fault(l.choose(), func() {})
	}
	l.serving()
	if l.rand.IntN(2) == 0 {
		back()
	}
	l.progress(1 + l.rand.IntN(60))
	return back
}

// settle has the senders pause, drains and balances, and calls last before they
// go on.
func (l *lane) settle(ctx context.Context, back, last func()) {
	l.t.Helper()
	l.open.Lock()
	defer l.open.Unlock()
	l.drain(ctx, back)
	l.books()
	l.trace(2)
	l.checkSockets()
	last()
}

// sendAway has some receivers leave, half of the time; back has them return.
func (l *lane) sendAway() (back func()) {
	away := l.rand.IntN(2) == 0
	for _, r := range l.receivers {
		if r.habits.absent && away {
			r.setAway(true)
		}
	}
	return func() {
		for _, r := range l.receivers {
			r.setAway(false)
		}
	}
}

// burst sends many messages, some of them large, to those who may be away.
func (l *lane) burst(ctx context.Context, n int) {
	for _, r := range l.receivers {
		for i := range n {
			if r.habits.absent {
				m := l.bursts.next("personal", r.name)
				m.size = i % 10 / 9 * maxDesp / 2
				l.bursts.send(ctx, m, 0)
			}
		}
	}
}

// progress waits until so many more messages have been accepted: a moment that
// is as random on a busy machine as on an idle one.
func (l *lane) progress(n int) {
	l.t.Helper()
	want := l.ledger.total().Accepted + n
	if !l.ledger.await(patience, func() bool { return l.ledger.figures.Accepted >= want }) {
		l.t.Errorf("no %d messages were accepted within %v", n, patience)
	}
}

// interval is the time between two faults: none, a moment in the recovery from
// the first, or some work later.
func (l *lane) interval() {
	l.t.Helper()
	switch l.rand.IntN(3) {
	case 0:
	case 1:
		time.Sleep(time.Duration(l.rand.Int64N(int64(300 * time.Millisecond))))
	case 2:
		l.progress(1 + l.rand.IntN(30))
	}
}

// serving waits until all channels serve.
func (l *lane) serving() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for channel, serves := range map[string]func() bool{
		"http":      func() bool { return servesHTTP(ctx, l.probe) },
		"websocket": func() bool { return servesSockets(ctx, l.sockets, l.relay.Token) },
	} {
		if !poll(patience, serves) {
			l.t.Fatalf("after %s the channel %s does not serve\n%s", l.faults, channel, l.relay.Log())
		}
	}
	for _, channel := range channels {
		l.awaitChannel(channel, "running", func(c channelState) bool { return c.State == "running" && c.PID != l.killed[channel] })
		for _, died := range l.dying[channel] {
			died(time.Now())
		}
		delete(l.dying, channel)
	}
}

// channels are all that the relay has.
var channels = [...]string{"http", "websocket", "webhook", "webpush"}

// servesHTTP and servesSockets tell whether a channel takes part in the relay at
// this moment.
func servesHTTP(ctx context.Context, client *overHTTP) bool {
	status, _, err := client.post(ctx, harness.Object{"cmd": "TEST_HTTP"})
	return err == nil && status == http.StatusOK
}

func servesSockets(ctx context.Context, address, token string) bool {
	s, err := dial(ctx, newWires(), address, token, "probe", "")
	if err != nil {
		return false
	}
	s.close()
	return true
}

// drain waits until all that was accepted has arrived, while no sender sends.
// What is sent last to each receiver comes last: when that is confirmed and the
// core knows, there is nothing before it.
func (l *lane) drain(ctx context.Context, back func()) {
	for _, r := range l.receivers {
		r.setHurry(true)
	}
	l.endpoints.mend()
	l.pushes.mend()
	back()
	var fences sync.WaitGroup
	for _, name := range l.names() {
		fences.Go(func() { l.fence(ctx, name) })
	}
	fences.Wait()
	for _, r := range l.receivers {
		r.setHurry(false)
	}
}

// fence sends a message to a receiver and waits until it is confirmed and the
// core knows. What is before it may take a busy machine long, as long as it
// becomes less.
func (l *lane) fence(ctx context.Context, name string) {
	for before := l.ledger.confirmed(name); ; {
		m := l.fences[name].next("personal", name)
		l.fences[name].send(ctx, m, 30*time.Second)
		if l.ledger.arrived(m) {
			return
		}
		now := l.ledger.confirmed(name)
		if now == before {
			l.ledger.wrong(name, "its last message %q, with mid %d, did not arrive", m.text, m.mid)
			return
		}
		before = now
	}
}

// failed reports what is wrong after a round.
func (l *lane) failed(round int) bool {
	l.t.Helper()
	wrong := l.ledger.complaints()
	if len(wrong) == 0 {
		return l.t.Failed()
	}
	l.t.Errorf("round %d (%s): %d faults of the relay", round, strings.Join(l.faults, ", "), len(wrong))
	for _, complaint := range wrong[:min(len(wrong), maxTold)] {
		l.t.Error(complaint)
	}
	return true
}
