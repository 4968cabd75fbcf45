//go:build linux

package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// lanes is how many relays are tested at once: mostly they wait.
const lanes = 3

// retryTimeout is the websocket channel's, short so that resends are common.
const retryTimeout = 400 * time.Millisecond

func TestKilledAndStoppedProcessesLoseReorderAndRepeatNothing(t *testing.T) {
	rounds, seed := *roundsFlag, *seedFlag
	if testing.Short() {
		rounds = 5
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d rounds; again with -kill.seed %d -kill.rounds %d", rounds, seed, rounds)
	var all figures
	times := &restarts{}
	t.Run("lanes", func(t *testing.T) {
		var mu sync.Mutex
		for i := range min(lanes, rounds) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				l := newLane(t, rand.New(rand.NewPCG(seed, uint64(i))), times)
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					all.add(l.ledger.total())
				}()
				l.run((rounds + lanes - 1 - i) / lanes)
			})
		}
	})
	t.Logf("%d sends: %d accepted, %d refused, %d of which the sender knows nothing, %d of these delivered",
		all.Sent, all.Accepted, all.Refused, all.Unknown, all.UnknownAccepted)
	t.Logf("%d deliveries: again %d by the resend timer, %d after a reconnect, %d after a death",
		all.Delivered, all.Resent, all.Reconnected, all.Crashed)
	t.Log(times)
}

// lane is one relay, with its senders and receivers, over its rounds.
type lane struct {
	t         *testing.T
	rand      *rand.Rand
	relay     *harness.Relay
	ledger    *ledger
	probe     *overHTTP
	sockets   string // address of the websocket channel
	receivers []*receiver
	fences    *sender // of the messages behind which nothing is
	bursts    *sender
	open      sync.RWMutex

	times  *restarts
	deaths map[string]int                   // of channels since the core's start
	dying  map[string][]func(now time.Time) // to be called when the channel serves
	faults []string                         // of this round
}

func newLane(t *testing.T, random *rand.Rand, times *restarts) *lane {
	ports := harness.FixedPorts(t)
	config := harness.Object{"http": maps.Clone(ports["http"].(harness.Object)), "websocket": maps.Clone(ports["websocket"].(harness.Object))}
	config["http"].(harness.Object)["waitTimeout"] = 30_000
	config["websocket"].(harness.Object)["waitTimeout"] = 1000
	config["websocket"].(harness.Object)["retryTimeout"] = retryTimeout.Milliseconds()
	relay := harness.Start(t, config)
	l := &lane{t: t, rand: random, relay: relay, times: times, deaths: make(map[string]int), dying: make(map[string][]func(time.Time)), sockets: relay.Address(t, "websocket")}
	l.probe = newHTTP(relay.Address(t, "http"), relay.Token, false)
	t.Cleanup(l.probe.close)

	const everybody, pair = "everybody", "pair"
	groups, names := make(map[string][]string), []string(nil)
	for _, r := range []*receiver{
		{name: "prompt", group: everybody},
		{name: "slow", group: everybody, habits: habits{slow: 8 * time.Millisecond, dawdle: 40}},
		{name: "fickle", group: everybody, habits: habits{reopen: 25, ackLate: 25}},
		{name: "greedy", group: everybody, habits: habits{takeOver: 15, dawdle: 60}},
		{name: "caller", group: pair, habits: habits{overHTTP: 2, reopen: 50}},
		{name: "absent", group: pair, habits: habits{absent: true, ackLate: 50}},
	} {
		r.address, r.token, r.http = l.sockets, relay.Token, newHTTP(relay.Address(t, "http"), relay.Token, false)
		r.rand = rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		r.hurry, r.moved = make(chan struct{}), make(chan struct{})
		l.receivers = append(l.receivers, r)
		groups[r.group] = append(groups[r.group], r.name)
		names = append(names, r.name)
	}
	l.ledger = newLedger(retryTimeout, groups, names)
	for _, r := range l.receivers {
		r.ledger = l.ledger
		relay.Away(t, r.name, r.group) // so that everybody is known from the start
	}
	l.fences = &sender{name: "fence", method: "http", ledger: l.ledger, via: l.probe}
	l.bursts = &sender{name: "burst", method: "http", ledger: l.ledger, via: l.probe}
	return l
}

// senders makes those of the load.
func (l *lane) senders() (all []*sender) {
	for i := range 8 {
		s := &sender{name: fmt.Sprintf("sender%d", i), method: "http", ledger: l.ledger}
		s.rand = rand.New(rand.NewPCG(l.rand.Uint64(), l.rand.Uint64()))
		if i < 6 {
			s.via = newHTTP(l.relay.Address(l.t, "http"), l.relay.Token, i%2 == 0)
		} else {
			s.method, s.via = "websocket", &overWebsocket{address: l.sockets, token: l.relay.Token, name: s.name}
		}
		all = append(all, s)
	}
	return all
}

// run makes the rounds, each of load, faults, drain and balance, then stops the
// relay and looks into its store.
func (l *lane) run(rounds int) {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for _, r := range l.receivers {
		clients.Go(func() { r.run(ctx) })
	}
	var targets []target
	for _, r := range l.receivers {
		targets = append(targets, target{"personal", r.name})
	}
	for _, group := range slices.Sorted(maps.Keys(l.ledger.groups)) {
		targets = append(targets, target{"group", group})
	}
	for _, s := range l.senders() {
		clients.Go(func() { s.run(ctx, l.open.RLocker(), targets) })
	}
	for round := range rounds {
		l.faults = nil
		back := l.load(ctx)
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
	l.ledger.audit(l.t, l.relay.Dir)
	l.failed(rounds)
}

// load lets the load go on, with one or two faults in it. Receivers may be away
// at the end; back has them return.
func (l *lane) load(ctx context.Context) (back func()) {
	l.t.Helper()
	back = l.sendAway()
	l.progress(10 + l.rand.IntN(80))
	if l.rand.IntN(3) == 0 {
		// A long queue is on its way when the fault comes.
		l.burst(ctx, 50+l.rand.IntN(250))
		back()
		time.Sleep(time.Duration(l.rand.Int64N(int64(60 * time.Millisecond))))
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
	l.ledger.balance()
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

// serving waits until both channels serve.
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
		for _, died := range l.dying[channel] {
			died(time.Now())
		}
		delete(l.dying, channel)
	}
}

// servesHTTP and servesSockets tell whether a channel takes part in the relay at
// this moment.
func servesHTTP(ctx context.Context, client *overHTTP) bool {
	status, _, err := client.post(ctx, harness.Object{"cmd": "TEST_HTTP"})
	return err == nil && status == http.StatusOK
}

func servesSockets(ctx context.Context, address, token string) bool {
	s, err := dial(ctx, address, token, "probe", "")
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
	back()
	var last []*send
	for _, r := range l.receivers {
		last = append(last, l.fences.next("personal", r.name))
	}
	var sending sync.WaitGroup
	for _, m := range last {
		sending.Go(func() { l.fences.send(ctx, m, 30*time.Second) })
	}
	sending.Wait()
	for _, m := range last {
		box := l.ledger.inboxes[m.target]
		l.ledger.mu.Lock()
		arrived := m.mid != 0 && box.copies[m.mid] != nil && !box.copies[m.mid].ok.IsZero()
		l.ledger.mu.Unlock()
		if !arrived {
			l.ledger.wrong(m.target, "its last message %q, with mid %d, did not arrive", m.text, m.mid)
		}
	}
	for _, r := range l.receivers {
		r.setHurry(false)
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
