package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mpush/sdk/pluginpb"
)

const (
	// loadTime is for how long a load offers new messages: a plugin whose far
	// side is slow gets fewer.
	loadTime = 4 * time.Second
	// quietTime is how long the kit listens for what should not come.
	quietTime = 150 * time.Millisecond
	// healthEvery is the pause between questions during a load.
	healthEvery = 50 * time.Millisecond
)

// loadReport is what a load has shown.
type loadReport struct {
	missing  error // outcomes
	wrong    map[string][]string
	kinds    map[pluginpb.OutcomeKind]int
	messages int
	unwell   error // Health was not answered
	slowest  time.Duration
}

// loaded is the report of the one load that several checks look at.
func (k *Kit) loaded(ctx context.Context) (*loadReport, error) {
	if k.load != nil {
		return k.load, nil
	}
	l, err := k.egress(ctx)
	if err != nil {
		return nil, err
	}
	report := &loadReport{}
	over, asked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(asked)
		report.slowest, report.unwell = l.askHealth(ctx, over)
	}()
	report.messages, report.missing = l.run(ctx, k.target.Messages)
	if report.missing == nil {
		report.missing = l.quiet(ctx)
	}
	close(over)
	<-asked
	l.mu.Lock()
	report.wrong, report.kinds = l.ledger.takeWrong(), l.ledger.kinds
	l.mu.Unlock()
	k.load = report
	if report.missing != nil {
		for _, check := range slices.Sorted(maps.Keys(report.wrong)) { // it may be what explains it
			report.missing = fmt.Errorf("%w; besides, %s", report.missing, listed(report.wrong[check]))
		}
	}
	return report, nil
}

// takeWrong returns what is wrong, once.
func (g *ledger) takeWrong() map[string][]string {
	wrong := g.wrong
	g.wrong = map[string][]string{}
	return wrong
}

// askHealth asks until the load is over, and twice more, however short it was.
// Two questions in a row without an answer are an error, as they are to the core.
func (l *life) askHealth(ctx context.Context, over <-chan struct{}) (slowest time.Duration, err error) {
	misses := 0
	for more := 2; more > 0; {
		select {
		case <-over:
			more--
		default:
		}
		began := time.Now()
		_, err := l.health(ctx)
		slowest = max(slowest, time.Since(began))
		if err == nil {
			misses = 0
		} else if misses++; misses == 2 || ctx.Err() != nil {
			return slowest, err
		}
		select {
		case <-over:
		case <-time.After(healthEvery):
		}
	}
	return slowest, nil
}

// offer makes every route take messages as fast as it settles them: so many for
// each, while loadTime lasts. The first goes to all of them at once. It returns
// how many were offered.
func (l *life) offer(each int) (offered func() int) {
	names := l.receivers()
	l.mu.Lock()
	defer l.mu.Unlock()
	left, total := map[string]int{}, 0
	for _, name := range names {
		left[name] = each
	}
	until := time.Now().Add(loadTime)
	l.ledger.source = func(receiver string) *pluginpb.Message {
		if left[receiver] <= 0 || total > 0 && time.Now().After(until) {
			return nil
		}
		left[receiver]--
		total++
		return l.kit.message(receiver, fmt.Sprintf("conformance %d", total))
	}
	together := l.kit.message("conformance", "to all at once")
	together.SendType = pluginpb.SendType_SEND_TYPE_GROUP
	var routes []*pluginpb.DeliverRoute
	for _, name := range names {
		r := l.ledger.routes[name]
		if r == nil || len(r.leases) > 0 {
			continue
		}
		routes = append(routes, l.lease(r, &offer{message: together}).GetDeliver().GetRoutes()...)
		left[name]--
		total++
	}
	if len(routes) > 0 {
		l.send(deliver(together, routes...))
	}
	for _, name := range names {
		if r := l.ledger.routes[name]; r != nil {
			l.pump(r)
		}
	}
	return func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return total
	}
}

// run puts about so many messages through the plugin, over all its routes.
func (l *life) run(ctx context.Context, messages int) (offered int, err error) {
	count := l.offer(max(2, messages/max(1, len(l.receivers()))))
	err = l.settled(ctx)
	return count(), err
}

// settled waits until every message has its outcome. It goes on as long as
// outcomes come.
func (l *life) settled(ctx context.Context) error {
	began := time.Now()
	for {
		l.mu.Lock()
		next := l.resend()
		patience := l.kit.target.Patience
		for _, r := range l.ledger.routes {
			patience = max(patience, l.kit.target.Patience/2+r.interval())
		}
		last := l.ledger.last
		if last.Before(began) {
			last = began
		}
		left := time.Until(last.Add(patience))
		l.mu.Unlock()
		if left <= 0 {
			return l.missing(patience)
		}
		err := l.await(ctx, min(next, left), func() bool { return len(l.open()) == 0 })
		if !errors.Is(err, errTimeout) {
			return err
		}
	}
}

// open are the leases without outcome. Called with mu held.
func (l *life) open() []*lease {
	var found []*lease
	for _, r := range l.ledger.routes {
		found = append(found, r.leases...)
	}
	slices.SortFunc(found, func(a, b *lease) int { return int(a.mid - b.mid) })
	return found
}

func (l *life) missing(patience time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var which []string
	for _, lease := range l.open() {
		which = append(which, fmt.Sprintf("message %d for %q", lease.mid, lease.receiver))
	}
	return fmt.Errorf("no outcome within %v: %s; send one Outcome for each delivery, RETRY if it did not work", patience, listed(which))
}

// quiet listens for what should not come.
func (l *life) quiet(ctx context.Context) error {
	err := l.await(ctx, quietTime, func() bool { return false })
	if errors.Is(err, errTimeout) {
		return nil
	}
	return err
}

// works tells whether the plugin is there and takes messages as before.
func (l *life) works(ctx context.Context) error {
	if err := l.answersHealth(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	l.ledger.source = nil
	for i, name := range l.ledger.names {
		if r := l.ledger.routes[name]; r != nil && i < 3 {
			r.waiting = append(r.waiting, &offer{message: l.kit.message(name, "still there?")})
			l.pump(r)
		}
	}
	l.mu.Unlock()
	return l.settled(ctx)
}

// answersHealth asks as the core does, which counts two misses in a row.
func (l *life) answersHealth(ctx context.Context) error {
	if err := l.broken(); err != nil {
		return err
	}
	_, err := l.health(ctx)
	if err != nil {
		_, err = l.health(ctx)
	}
	return err
}
