package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

// exitLimit is how long a plugin may take to end when its core is gone.
const exitLimit = 10 * time.Second

// ending are the checks of how the plugin ends.
func ending() []Check {
	return []Check{
		{
			Name:  "drain",
			Shows: "Stop is answered within its deadline while messages are under way; then the process ends by itself and leaves nothing running.",
			needs: []string{"declare"},
			wants: []string{"commands", "outcomes"},
			run:   drains,
		},
		{
			Name:  "stop-listening",
			Shows: "When Stop is answered the plugin listens no more.",
			needs: []string{"drain"},
			run:   stopsListening,
		},
		{
			Name:    "exit-stdin",
			Shows:   "When its stdin ends, because the core has, the plugin ends with everything that it has started.",
			needs:   []string{"declare"},
			wants:   []string{"commands", "outcomes"},
			process: true,
			run:     ends("its stdin was closed", "read stdin in a thread of its own, and exit when it ends", func(l *life) { l.inst.hangUp() }),
		},
		{
			Name:    "exit-stream",
			Shows:   "When the stream breaks the plugin ends with everything that it has started.",
			needs:   []string{"declare"},
			wants:   []string{"commands", "outcomes"},
			process: true,
			run:     ends("the stream broke", "exit when Exchange is cancelled or its frames end", func(l *life) { l.hangUp() }),
		},
		{
			Name:    "exit-core",
			Shows:   "When the core is killed, so that the connection and all pipes break at once, the plugin ends with everything that it has started.",
			needs:   []string{"exit-stdin", "exit-stream"},
			process: true,
			run:     ends("the core was killed", "exit when stdin ends or Exchange breaks, even if nobody reads stdout and stderr any more (SIGPIPE)", func(l *life) { l.inst.vanish() }),
		},
		{
			Name:    "crash",
			Shows:   "Killed under load and started again, the plugin declares the same receivers and works on.",
			needs:   []string{"declare"},
			wants:   []string{"commands", "outcomes", "health"},
			process: true,
			run:     resumes,
		},
		{
			Name:  "requests",
			Shows: "Whatever the plugin asked of the core in all of this was well-formed.",
			needs: []string{"declare"},
			run:   asksWell,
		},
	}
}

// flood puts messages under way and returns when it is seen that they are, or
// soon.
func (l *life) flood(ctx context.Context) error {
	const many = 1 << 20
	if len(l.receivers()) == 0 {
		return nil
	}
	l.mu.Lock()
	before := l.ledger.last
	l.mu.Unlock()
	l.offer(many)
	err := l.await(ctx, time.Second, func() bool { return l.ledger.last.After(before) })
	if errors.Is(err, errTimeout) {
		return nil // it is slow, and busy all the same
	}
	return err
}

// leave waits for the process and looks at what it leaves behind.
func (l *life) leave() error {
	if err := awaitEnd(l.inst, l.limit(exitLimit)); err != nil {
		return err
	}
	if _, left := l.inst.farewell(); len(left) > 0 {
		return fmt.Errorf("the process has ended and left %v of its group running: end and wait for what it starts", left)
	}
	return nil
}

func drains(ctx context.Context, k *Kit) error {
	l, err := k.live(ctx)
	if err != nil {
		return err
	}
	defer k.drop()
	if err := l.flood(ctx); err != nil {
		return err
	}
	if err := l.stop(ctx); err != nil {
		return fmt.Errorf("%w: give up what is not done at the deadline", err)
	}
	l.inst.goodbye()
	if !k.target.isProcess() {
		return nil
	}
	if err := l.leave(); err != nil {
		return fmt.Errorf("after Stop was answered and stdin closed: %w", err)
	}
	return nil
}

func stopsListening(ctx context.Context, k *Kit) error {
	l, err := k.open(ctx)
	if err != nil {
		return err
	}
	defer k.drop()
	during, onLinux := usageOf(l.inst.pid())
	opened := beyond(during.listening, l.before.listening)
	for _, endpoint := range l.endpoints {
		if !onLinux && dialable(ctx, endpoint) {
			opened = append(opened, endpoint)
		}
	}
	if len(opened) == 0 {
		return skip("it listens on nothing")
	}
	if err := l.stop(ctx); err != nil {
		return err
	}
	after, alive := usageOf(l.inst.pid())
	still := slices.DeleteFunc(opened, func(address string) bool {
		if onLinux {
			return !alive || !slices.Contains(after.listening, address)
		}
		return !dialable(ctx, address)
	})
	if len(still) > 0 {
		return fmt.Errorf("it listens on %s after Stop was answered: close listeners first, an upgrade of the plugin needs them", listed(still))
	}
	return nil
}

func dialable(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// ends is a check that the plugin ends after something, while messages are
// under way.
func ends(after, advice string, do func(*life)) func(context.Context, *Kit) error {
	return func(ctx context.Context, k *Kit) error {
		l, err := k.live(ctx)
		if err != nil {
			return err
		}
		defer k.drop()
		if err := l.flood(ctx); err != nil {
			return err
		}
		do(l)
		if err := l.leave(); err != nil {
			return fmt.Errorf("after %s: %w: %s", after, err, advice)
		}
		return nil
	}
}

func resumes(ctx context.Context, k *Kit) error {
	l, err := k.live(ctx)
	if err != nil {
		return err
	}
	first := l.declaredRoutes()
	if err := l.flood(ctx); err != nil {
		return err
	}
	l.inst.kill()
	if err := awaitEnd(l.inst, l.limit(exitLimit)); err != nil {
		return fmt.Errorf("after kill -9: %w", err)
	}
	again, err := k.live(ctx)
	if err != nil {
		return fmt.Errorf("started again after kill -9: %w", err)
	}
	if second := again.declaredRoutes(); !slices.EqualFunc(first, second, func(a, b *pluginpb.DeclaredRoute) bool { return proto.Equal(a, b) }) {
		return fmt.Errorf("started again after kill -9 it declares other routes, %s instead of %s: what a receiver is must not depend on the run", namesOf(second), namesOf(first))
	}
	if len(again.receivers()) > 0 {
		if _, err := again.run(ctx, k.target.Messages/4); err != nil {
			return fmt.Errorf("started again after kill -9: %w", err)
		}
	}
	if err := again.answersHealth(ctx); err != nil {
		return fmt.Errorf("started again after kill -9: %w", err)
	}
	return nil
}

// declaredRoutes are the declared ones, by name.
func (l *life) declaredRoutes() []*pluginpb.DeclaredRoute {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.declared) == 0 {
		return nil
	}
	return slices.SortedFunc(slices.Values(l.declared[0].GetDeclare().GetRoutes()), func(a, b *pluginpb.DeclaredRoute) int {
		return strings.Compare(a.GetReceiver(), b.GetReceiver())
	})
}

func namesOf(routes []*pluginpb.DeclaredRoute) string {
	var all []string
	for _, r := range routes {
		all = append(all, fmt.Sprintf("%q in %q", r.GetReceiver(), r.GetGroup()))
	}
	if len(all) == 0 {
		return "none"
	}
	return listed(all)
}

func asksWell(_ context.Context, k *Kit) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory.published > 0 {
		k.note("it published %d messages", k.memory.published)
	}
	if wrong := k.memory.misformed; len(wrong) > 0 {
		return errors.New(listed(wrong))
	}
	return nil
}
