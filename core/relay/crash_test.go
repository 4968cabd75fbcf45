package relay

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

var crashSeeds = flag.Int("relay.seeds", 12, "how many random lives of a relay with crashes to try")

var errCrash = errors.New("crashed")

// crashingStore dies at a random commit, before or after it took effect, and is
// dead from then on: what a kill of the process looks like from its inside.
type crashingStore struct {
	store.Store
	mu    sync.Mutex
	left  int // commits until the crash
	late  bool
	dead  bool
	calls int
}

func (c *crashingStore) Commit(ctx context.Context, ops []record.Op) error {
	c.mu.Lock()
	c.calls++
	c.left--
	crash := c.left == 0
	dead := c.dead
	c.dead = c.dead || crash
	c.mu.Unlock()
	if dead || crash && !c.late {
		return fmt.Errorf("%w: %w", store.ErrFatal, errCrash)
	}
	err := c.Store.Commit(ctx, ops)
	if crash {
		return fmt.Errorf("%w: %w", store.ErrFatal, errCrash)
	}
	return err
}

// ledger is kept outside: what senders were told and receivers got.
type ledger struct {
	mu        sync.Mutex
	t         *testing.T
	sent      map[string]int  // per receiver: numbers given to messages
	accepted  map[string]bool // texts that a sender was told are stored
	arrived   map[string]int  // texts that came, and how often
	newest    map[string]int  // per receiver: highest number that came
	mids      map[message.MID]string
	seenAcked map[string]bool // acked in this life of the relay
}

// receive notes an arrival. First arrivals must come in the order of sending.
func (l *ledger) receive(d *engine.Deliver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := d.Message.Text
	if other, known := l.mids[d.Message.MID]; known && other != text {
		l.t.Errorf("mid %d names %q and %q", d.Message.MID, other, text)
	}
	l.mids[d.Message.MID] = text
	if l.seenAcked[text] {
		l.t.Errorf("%q came after its ack", text)
	}
	l.arrived[text]++
	if l.arrived[text] > 1 {
		return
	}
	number, _ := strconv.Atoi(text[len(d.Receiver)+1:])
	if number < l.newest[d.Receiver] {
		l.t.Errorf("%q came first after number %d", text, l.newest[d.Receiver])
	}
	l.newest[d.Receiver] = number
}

// channel plays a plugin with one route a receiver: it acks most messages, now
// and then late, asks for a retry or loses the connection.
type channel struct {
	*ledger
	link   engine.LinkID
	random *rand.Rand
	calm   bool // acks everything at once
	events chan []engine.Event
}

func (c *channel) Send(effects []engine.Effect) {
	var answers []engine.Event
	for _, effect := range effects {
		switch ef := effect.(type) {
		case *engine.Deliver:
			c.receive(ef)
			answers = append(answers, c.react(ef)...)
		case *engine.Answer:
			if body, ok := ef.Body.(engine.Published); ok && body.MID != 0 {
				c.mu.Lock()
				c.accepted[textOf(ef.Request)] = true
				c.mu.Unlock()
			}
		}
	}
	if len(answers) > 0 {
		c.events <- answers
	}
}

func (c *channel) react(d *engine.Deliver) []engine.Event {
	o := &engine.Outcome{Link: c.link, Receiver: d.Receiver, Generation: d.Generation, MID: d.Message.MID, Kind: engine.Acked}
	if !c.calm {
		switch c.random.IntN(10) {
		case 0:
			return nil // the resend comes
		case 1:
			o.Kind = engine.Retry
			return []engine.Event{o}
		case 2:
			return []engine.Event{&engine.Detach{Link: c.link, Receiver: d.Receiver, Generation: d.Generation}, c.attach(d.Receiver)}
		}
	}
	c.mu.Lock()
	c.seenAcked[d.Message.Text] = true
	c.mu.Unlock()
	return []engine.Event{o}
}

func (c *channel) attach(name string) *engine.Attach {
	return &engine.Attach{Link: c.link, Request: engine.RequestID{Number: 1}, Name: name, Group: "all",
		Policy: record.Policy{Exclusive: true, Acks: true, Resend: 200, Retry: 100}}
}

// Requests of sends carry the text's parts, so that the answer names it.
func requestOf(receiver, number int) engine.RequestID {
	return engine.RequestID{Number: uint64(receiver+1)<<32 | uint64(number), Kind: 1}
}

func textOf(r engine.RequestID) string {
	return fmt.Sprintf("r%d-%d", r.Number>>32-1, uint32(r.Number))
}

func TestNothingIsLostOrReorderedWhenTheRelayDies(t *testing.T) {
	for seed := range *crashSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { liveAndDie(t, uint64(seed)) })
		})
	}
}

func liveAndDie(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	path := filepath.Join(t.TempDir(), "mpush.db")
	l := &ledger{
		t: t, sent: map[string]int{}, accepted: map[string]bool{}, arrived: map[string]int{},
		newest: map[string]int{}, mids: map[message.MID]string{},
	}
	for life := range 4 {
		l.seenAcked = map[string]bool{}
		oneLife(t, l, path, random, life == 3)
	}
	for text := range l.accepted {
		if l.arrived[text] == 0 {
			t.Errorf("%q was accepted and never came", text)
		}
	}
	if len(l.accepted) == 0 {
		t.Error("nothing was accepted: the test shows nothing")
	}
}

// oneLife runs a relay on the file until it crashes, or, in the last life, until
// every queue is empty.
func oneLife(t *testing.T, l *ledger, path string, random *rand.Rand, last bool) {
	const receivers = 3
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := store.OpenSQLite(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	crashing := &crashingStore{Store: db, left: 5 + random.IntN(40), late: random.IntN(2) == 0}
	if last {
		crashing.left = -1
	}
	registry, err := crashing.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	relay := New(engine.New(engine.Config{Seed: random.Uint64()}, registry, nil), crashing, time.Now, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()

	c := &channel{ledger: l, random: rand.New(rand.NewPCG(random.Uint64(), 2)), calm: last, events: make(chan []engine.Event, 10_000)}
	if c.link, err = relay.Open(ctx, "sock", 0, c); err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	working.Go(func() { // what the channel answers
		for events := range c.events {
			_ = relay.Submit(ctx, events...)
		}
	})
	for r := range receivers {
		_ = relay.Submit(ctx, c.attach(fmt.Sprintf("r%d", r)))
	}
	synctest.Wait()
	for range 60 {
		if last || relayEnded(ended) {
			break
		}
		r := random.IntN(receivers)
		name := fmt.Sprintf("r%d", r)
		number := l.sent[name] + 1
		l.sent[name] = number
		request := requestOf(r, number)
		_ = relay.Submit(ctx, &engine.Publish{
			Link: c.link, Request: request, SendType: message.Personal, Target: name, Text: textOf(request),
		})
		if random.IntN(3) == 0 {
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
			synctest.Wait()
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	cancel()
	err = <-ended
	if last && err != nil || err != nil && !errors.Is(err, errCrash) {
		t.Errorf("the relay ended with %v", err)
	}
	synctest.Wait()
	close(c.events)
	working.Wait()
	if last {
		checkEmpty(t, db, l)
	}
}

func relayEnded(ended chan error) bool {
	select {
	case err := <-ended:
		ended <- err
		return true
	default:
		return false
	}
}

// checkEmpty makes sure that the store agrees: nothing is open any more.
func checkEmpty(t *testing.T, db store.Store, l *ledger) {
	t.Helper()
	for name := range l.sent {
		items, _, err := db.Next(context.Background(), name, 0, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			t.Errorf("%s is still open: %+v", item.Message.Text, item.Item)
		}
	}
}
