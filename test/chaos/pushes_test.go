//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"mpush/test/fakepush"
	"mpush/test/harness"
)

// pushes are receivers with web push subscriptions, and the services that those
// are at.
type pushes struct {
	services []*fakepush.Server // one for each, for the reason that endpoints has
	ledger   *ledger
	// gaveUp tells whether the relay has logged that it waited for the answer to
	// a push in vain: on a busy machine it may be given after that.
	gaveUp func(mid int64, receiver string) bool

	mu     sync.Mutex
	rand   *rand.Rand
	owners map[*fakepush.Subscription]*subscriber
	ways   []way // for the next pushes
	mended chan struct{}
}

// subscriber is one receiver of pushes. It subscribes anew when the service has
// told the relay that its subscription is gone.
type subscriber struct {
	name, group, inbox string
	service            *fakepush.Server

	current *fakepush.Subscription // under the lock of pushes; nil: gone
	lost    chan struct{}          // has room for one
	known   chan struct{}          // closed when it has subscribed
}

const gone way = "gone"

func newPushes(t *testing.T, random *rand.Rand) *pushes {
	p := &pushes{rand: random, owners: make(map[*fakepush.Subscription]*subscriber), mended: make(chan struct{})}
	for range 2 {
		p.services = append(p.services, fakepush.New(t, fakepush.Options{Answer: p.answer}))
	}
	return p
}

func (p *pushes) origins() (all []string) {
	for _, service := range p.services {
		all = append(all, service.Origin())
	}
	return all
}

func (p *pushes) trouble(ways ...way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways = append(p.ways, ways...)
}

// mend ends all trouble.
func (p *pushes) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways = nil
	close(p.mended)
	p.mended = make(chan struct{})
}

// answer decides what a push is answered.
func (p *pushes) answer(push *fakepush.Push) fakepush.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	owner := p.owners[push.Subscription]
	if owner.current != push.Subscription {
		return fakepush.Answer{Status: http.StatusGone} // as before
	}
	m, err := parsePacket(push.Payload)
	if err != nil {
		p.ledger.wrong(owner.inbox, "was pushed %q: %v", push.Payload, err)
		return fakepush.Answer{}
	}
	if p.ledger.had(owner.inbox, m.mid) && p.gaveUp(m.mid, owner.name) {
		p.ledger.doubts(owner.inbox, m.mid)
	}
	now := time.Now()
	p.ledger.delivered(now, &connection{inbox: owner.inbox, opened: now}, m)
	does := way("")
	if len(p.ways) > 0 {
		does, p.ways = p.ways[0], p.ways[1:]
	}
	switch does {
	case fails:
		return fakepush.Answer{Status: http.StatusInternalServerError}
	case busy:
		return fakepush.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "1"}}
	case hangs:
		return fakepush.Answer{Status: http.StatusBadGateway, Until: p.mended}
	case resets:
		return fakepush.Answer{Reset: true}
	case gone:
		p.ledger.remark(owner.name, "has a subscription no more")
		owner.current = nil
		select {
		case owner.lost <- struct{}{}:
		default: // known already
		}
		return fakepush.Answer{Status: http.StatusGone}
	}
	p.ledger.confirms(now, owner.inbox, m.mid, " by the push service", false)
	return fakepush.Answer{}
}

// run subscribes, and does so again after each loss, until ctx ends.
func (p *pushes) run(ctx context.Context, s *subscriber, via *overHTTP) {
	defer via.close()
	known := sync.OnceFunc(func() { close(s.known) })
	for {
		for !p.subscribe(ctx, s, via) {
			if !pause(ctx, 50*time.Millisecond) {
				return
			}
		}
		p.ledger.remark(s.name, "has a subscription")
		known()
		select {
		case <-s.lost:
		case <-ctx.Done():
			return
		}
	}
}

// subscribe makes a subscription and registers it, as a client without a socket
// does. It reports false if it is to be tried again.
func (p *pushes) subscribe(ctx context.Context, s *subscriber, via *overHTTP) bool {
	var reply struct {
		Cmd  string
		Data json.RawMessage
	}
	var session struct{ Auth, WebpushServerKey string }
	_, body, err := via.post(ctx, harness.Object{"cmd": "AUTH", "data": harness.Object{"token": via.token, "name": s.name, "group": s.group}})
	if err != nil || json.Unmarshal(body, &reply) != nil || reply.Cmd != "AUTH" ||
		json.Unmarshal(reply.Data, &session) != nil || session.WebpushServerKey == "" {
		return false // the relay, or the channel, is away
	}
	subscription := s.service.Subscribe(session.WebpushServerKey)
	p.mu.Lock()
	p.owners[subscription], s.current = s, subscription
	p.mu.Unlock()
	status, body, err := via.post(ctx, harness.Object{
		"cmd": "REGISTER_WEBPUSH", "auth": session.Auth, "data": json.RawMessage(subscription.JSON()),
	})
	return err == nil && status == http.StatusOK && string(body) == `{"cmd":"INFO","data":"ok"}`
}
