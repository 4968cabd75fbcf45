package conformance

import (
	"context"
	"errors"
	"fmt"

	"mpush/sdk/pluginpb"
)

// taking are the checks of what the core says of a message that it has given:
// again, no more, never was.
func taking() []Check {
	return []Check{
		{
			Name:  "redelivery",
			Shows: "A message that is delivered again before its outcome is answered, once for each delivery at most.",
			needs: []string{"outcomes"},
			wants: []string{"health"},
			run:   answersRedelivery,
		},
		{
			Name:  "stale-generation",
			Shows: "What comes under a generation that an Evict has ended is skipped.",
			needs: []string{"outcomes"},
			wants: []string{"health"},
			run:   skipsStale,
		},
		{
			Name:  "recall",
			Shows: "A message that is recalled has no outcome once that has arrived, those after it are answered, and a recall of what was never given changes nothing.",
			needs: []string{"outcomes"},
			wants: []string{"health"},
			run:   obeysRecall,
		},
		{
			Name:  "evict",
			Shows: "An evicted route's messages have no outcome once that has arrived, and its next generation works.",
			needs: []string{"outcomes"},
			wants: []string{"health"},
			run:   obeysEvict,
		},
	}
}

// scene is one route of a living plugin, without leases.
type scene struct {
	*life
	kit   *Kit
	route *route
}

// scene finds a route that a check can use.
func (k *Kit) scene(ctx context.Context) (*scene, error) {
	l, err := k.egress(ctx)
	if err != nil {
		return nil, err
	}
	names := l.receivers()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ledger.source = nil
	l.ledger.takeWrong()
	r := l.ledger.routes[names[0]]
	if r == nil {
		return nil, errors.New("the receiver has just gone")
	}
	return &scene{l, k, r}, nil
}

// offer makes a message for the route.
func (s *scene) offer(text string) *offer {
	return &offer{message: s.kit.message(s.route.GetReceiver(), text)}
}

// verdict waits for what must come, listens for what must not, and says what of
// it was wrong, by the names of checks.
func (s *scene) verdict(ctx context.Context, after string, over []*lease, checks ...string) error {
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("%s: %w", after, err)
	}
	s.mu.Lock()
	for _, given := range over {
		given.over = true
	}
	s.mu.Unlock()
	if err := s.quiet(ctx); err != nil {
		return fmt.Errorf("%s: %w", after, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong := s.ledger.takeWrong()
	var all []string
	for _, check := range checks {
		all = append(all, wrong[check]...)
	}
	if len(all) > 0 {
		return fmt.Errorf("%s: %s", after, listed(all))
	}
	return nil
}

func answersRedelivery(ctx context.Context, k *Kit) error {
	s, err := k.scene(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	first := s.lease(s.route, s.offer("delivered twice"))
	s.send(first, s.again(s.route))
	s.mu.Unlock()
	if err := s.verdict(ctx, "after a message was delivered twice", nil, "outcomes"); err != nil {
		return err
	}
	if err := s.works(ctx); err != nil {
		return fmt.Errorf("after a message was delivered twice: %w", err)
	}
	return nil
}

func skipsStale(ctx context.Context, k *Kit) error {
	s, err := k.scene(ctx)
	if err != nil {
		return err
	}
	const after = "after a delivery under an ended generation"
	s.mu.Lock()
	old := s.route
	message := s.offer("stale").message
	given := &lease{leaseKey: leaseKey{old.GetReceiver(), old.generation, message.GetMid()}, offer: offer{message: message}, deliveries: 1, state: stale}
	s.ledger.given[given.leaseKey] = given
	s.lower(old)
	s.send(evict(old.GetReceiver(), old.generation, "conformance"), deliver(message, given.to(old)))
	s.renew(old)
	s.mu.Unlock()
	defer s.afterEviction()
	return s.verdict(ctx, after, nil, "stale-generation")
}

// renew brings an evicted route up again, as far as the core can: behind an
// attached one is a client, who has to come back by itself. Called with mu held.
func (s *scene) renew(old *route) {
	if old.attached {
		return
	}
	s.route = s.raise(old.DeclaredRoute)
	s.route.waiting = []*offer{s.offer("a new generation")}
	s.pump(s.route)
}

// afterEviction ends a life whose clients the kit has thrown out.
func (s *scene) afterEviction() {
	if s.route.attached {
		s.kit.drop()
	}
}

func obeysRecall(ctx context.Context, k *Kit) error {
	s, err := k.scene(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	r := s.route
	var frame []*pluginpb.CoreEnvelope
	// Of as many as the plugin may hold the last is recalled: before it is sent
	// if there are several, while it is being sent if there is one. That lease
	// ended by no outcome of the plugin's.
	frame = append(frame, recall(r, k.nextMID()))
	for range r.credit() {
		frame = append(frame, s.lease(r, s.offer("maybe recalled")))
	}
	last := r.leases[len(r.leases)-1]
	frame = append(frame, recall(r, last.mid))
	last.state = recalled
	r.leases = r.leases[:len(r.leases)-1]
	s.send(frame...)
	r.waiting = append(r.waiting, s.offer("after the recall"))
	s.pump(r)
	s.mu.Unlock()
	if err := s.verdict(ctx, "after a recall", []*lease{last}, "recall", "outcomes"); err != nil {
		return err
	}
	if err := s.works(ctx); err != nil {
		return fmt.Errorf("after a recall: %w", err)
	}
	return nil
}

func obeysEvict(ctx context.Context, k *Kit) error {
	s, err := k.scene(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.route
	var frame []*pluginpb.CoreEnvelope
	for range old.credit() {
		frame = append(frame, s.lease(old, s.offer("maybe evicted")))
	}
	leases := old.leases
	s.lower(old)
	s.send(append(frame, evict(old.GetReceiver(), old.generation, "conformance"))...)
	s.renew(old)
	s.mu.Unlock()
	defer s.afterEviction()
	return s.verdict(ctx, "after an eviction", leases, "evict", "outcomes")
}
