//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// retryTimeout is the websocket channel's, short so that resends are common, and
// so long that not every message is resent.
var retryTimeout = map[bool]time.Duration{false: 400 * time.Millisecond, true: time.Second}[harness.Race]

// lane is one relay, with its senders and receivers, over its rounds.
type lane struct {
	t      *testing.T
	rand   *rand.Rand
	relay  *harness.Relay
	config harness.Object // as it is in force
	disk   *disk          // of the data directory; nil: the machine's
	ledger *ledger

	probe     *overHTTP
	sockets   string // address of the websocket channel
	receivers []*receiver
	endpoints *endpoints
	pushes    *pushes
	browsers  []*subscriber
	load      []*sender
	fences    map[string]*sender // by receiver, of the messages behind which nothing is
	bursts    *sender
	open      sync.RWMutex

	times  *restarts
	deaths map[string]int                   // of channels since the core's start
	killed map[string]int                   // the last process of a channel that was
	dying  map[string][]func(now time.Time) // to be called when the channel serves
	faults []string                         // of this round
	edits  int                              // of the configuration
}

const (
	everybody, pair = "everybody", "pair" // the groups
)

// newLane starts a relay. Its data directory is on a disk, if that is not nil.
func newLane(t *testing.T, random *rand.Rand, times *restarts, d *disk) *lane {
	l := &lane{
		t: t, rand: random, times: times, disk: d,
		deaths: make(map[string]int), killed: make(map[string]int), dying: make(map[string][]func(time.Time)),
	}
	l.pushes = newPushes(t, l.fork())
	l.endpoints = newEndpoints(t, l.fork())
	config := harness.FixedPorts(t)
	maps.Copy(config["http"].(harness.Object), harness.Object{"waitTimeout": 30_000})
	maps.Copy(config["websocket"].(harness.Object), harness.Object{"waitTimeout": 1000, "retryTimeout": retryTimeout.Milliseconds()})
	config["webhook"] = harness.Object{"retryTimeout": 100, "timeout": attemptTime.Milliseconds(), "clients": []any{
		l.endpoints.client("hook", everybody, "POST"), l.endpoints.client("query", pair, "GET"),
	}}
	config["webpush"] = harness.Object{"retryTimeout": 1500, "allowEndpoints": l.pushes.origins()}
	if d != nil {
		config["limits"] = harness.Object{"diskReserve": diskReserve}
	}
	l.relay = harness.New(t, config)
	l.pushes.gaveUp = func(mid int64, receiver string) bool {
		for line := range strings.Lines(l.relay.Log()) {
			if strings.Contains(line, "no answer in time") && strings.Contains(line, fmt.Sprintf("mid=%d receiver=%s", mid, receiver)) {
				return true
			}
		}
		return false
	}
	if d != nil {
		d.becomes(t, filepath.Join(l.relay.Dir, "data"))
	}
	l.endpoints.token = l.relay.Token
	text, err := os.ReadFile(filepath.Join(l.relay.Dir, "config.json"))
	if err == nil {
		err = json.Unmarshal(text, &l.config)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.relay.Start(t)
	l.sockets = l.relay.Address(t, "websocket")
	l.probe = l.newHTTP(false)
	t.Cleanup(l.probe.close)
	l.people()
	l.senders()
	return l
}

// fork is a source of randomness for somebody who runs at the same time.
func (l *lane) fork() *rand.Rand { return rand.New(rand.NewPCG(l.rand.Uint64(), l.rand.Uint64())) }

func (l *lane) newHTTP(get bool) *overHTTP {
	return newHTTP(l.relay.Address(l.t, "http"), l.relay.Token, get)
}

// people makes the receivers, and the ledger of what they get.
func (l *lane) people() {
	groups, boxes := make(map[string][]string), []*inbox{newAsked("hook", "webhook"), newAsked("query", "webhook")}
	groups[everybody], groups[pair] = []string{"hook"}, []string{"query"}
	for _, r := range []*receiver{
		{name: "prompt", group: everybody},
		{name: "slow", group: everybody, habits: habits{slow: 8 * time.Millisecond, dawdle: 40}},
		{name: "fickle", group: everybody, habits: habits{reopen: 25, ackLate: 25}},
		{name: "greedy", group: everybody, habits: habits{takeOver: 15, dawdle: 60}},
		{name: "caller", group: pair, habits: habits{overHTTP: 2, reopen: 50}},
		{name: "absent", group: pair, habits: habits{absent: true, ackLate: 50}},
		{name: "silent", habits: habits{silent: 10}},
		{name: "browser", group: everybody, habits: habits{slow: 30 * time.Millisecond, reopen: 50}},
	} {
		r.address, r.token, r.http, r.wires = l.sockets, l.relay.Token, l.newHTTP(false), newWires()
		r.rand = l.fork()
		r.hurry, r.moved, r.known = make(chan struct{}), make(chan struct{}), make(chan struct{})
		l.receivers = append(l.receivers, r)
		groups[r.group] = append(groups[r.group], r.name)
		boxes = append(boxes, newInbox(r.name))
	}
	besides, alone := newBeside("browser", "webpush"), newAsked("phone", "webpush")
	groups[everybody] = append(groups[everybody], alone.receiver)
	boxes = append(boxes, besides, alone)
	for i, box := range []*inbox{besides, alone} {
		l.browsers = append(l.browsers, &subscriber{
			name: box.receiver, group: everybody, inbox: box.name, service: l.pushes.services[i],
			known: make(chan struct{}), lost: make(chan struct{}, 1),
		})
	}
	delete(groups, "")
	l.ledger = newLedger(retryTimeout, groups, boxes)
	l.endpoints.ledger, l.pushes.ledger = l.ledger, l.ledger
	for _, r := range l.receivers {
		r.ledger = l.ledger
	}
}

// senders makes those of the load and of what is sent besides.
func (l *lane) senders() {
	l.fences = make(map[string]*sender)
	for _, name := range l.names() {
		l.fences[name] = &sender{name: "fence-" + name, method: "http", ledger: l.ledger, keyed: true, firm: true, via: l.probe}
	}
	l.bursts = &sender{name: "burst", method: "http", ledger: l.ledger, via: l.probe}
	for i := range 8 {
		s := &sender{name: fmt.Sprintf("sender%d", i), method: "http", ledger: l.ledger, rand: l.fork(), keyed: i%4 > 1}
		if i < 6 {
			s.via = l.newHTTP(i%2 == 0)
		} else {
			s.method, s.via = "websocket", newOverWebsocket(l.sockets, l.relay.Token, s.name)
			s.keyed = i%2 == 0
		}
		l.load = append(l.load, s)
	}
}

// names are those of all receivers.
func (l *lane) names() []string { return slices.Sorted(maps.Keys(l.ledger.boxes)) }

// targets are whom a message may go to.
func (l *lane) targets() (all []target) {
	for _, name := range l.names() {
		all = append(all, target{"personal", name})
	}
	for _, group := range slices.Sorted(maps.Keys(l.ledger.groups)) {
		all = append(all, target{"group", group})
	}
	return all
}
