package supervisor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
)

// patience is how long a test waits for another process.
const patience = 30 * time.Second

// owner is the Handler of these tests. It notes what happens as
// "channel event".
type owner struct {
	mu          sync.Mutex
	events      []string
	manifests   map[string]*pluginpb.DescribeResponse
	diagnostics map[string][]*pluginpb.Diagnostic
	busy        map[string]bool
	overlaps    int
}

func newOwner() *owner {
	return &owner{
		manifests:   make(map[string]*pluginpb.DescribeResponse),
		diagnostics: make(map[string][]*pluginpb.Diagnostic),
		busy:        make(map[string]bool),
	}
}

// enter notes a call and, by what it returns, its end.
func (o *owner) enter(channel, event string) (leave func()) {
	o.note(channel, event)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy[channel] {
		o.overlaps++
	}
	o.busy[channel] = true
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.busy[channel] = false
	}
}

func (o *owner) note(channel, event string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, channel+" "+event)
}

func (o *owner) noted() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events)
}

func (o *owner) Described(_ context.Context, channel string, manifest *pluginpb.DescribeResponse) (*pluginpb.ConfigureRequest, error) {
	defer o.enter(channel, "described")()
	o.mu.Lock()
	o.manifests[channel] = manifest
	o.mu.Unlock()
	if channel == "refused" {
		return nil, errors.New("a right is missing")
	}
	return &pluginpb.ConfigureRequest{Channel: channel}, nil
}

func (o *owner) Diagnosed(channel string, diagnostics []*pluginpb.Diagnostic) {
	defer o.enter(channel, "diagnosed")()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.diagnostics[channel] = diagnostics
}

func (o *owner) Connect(ctx context.Context, channel string, client pluginpb.PluginClient, declared func()) error {
	defer o.enter(channel, "connect")()
	stream, err := client.Exchange(ctx)
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if err == io.EOF {
			o.note(channel, "eof")
			return nil
		}
		if err != nil {
			return err
		}
		for _, envelope := range frame.GetEnvelopes() {
			if envelope.GetDeclare() != nil {
				o.note(channel, "declared")
				declared()
			}
			for field := range envelope.GetAnnounce().GetFields() {
				o.note(channel, field)
			}
		}
	}
}

// bench is a Supervisor under test with everything to observe it.
type bench struct {
	*Supervisor
	t        *testing.T
	owner    *owner
	log      *journal
	statuses chan Status
	dir      string
}

// newBench makes a Supervisor whose Stop the test's end sees to. Timeouts are
// the defaults but for those that the edit shortens.
func newBench(t *testing.T, edit func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, owner: newOwner(), log: newJournal(), statuses: make(chan Status, 10_000), dir: shortDir(t)}
	opts := Options{
		RuntimeDir: b.dir,
		Logger:     slog.New(b.log),
		Handler:    b.owner,
		OnChange:   func(s Status) { b.statuses <- s },
		Backoff:    Backoff{Min: 10 * time.Millisecond, Max: 20 * time.Millisecond},
	}
	if edit != nil {
		edit(&opts)
	}
	b.Supervisor = New(opts)
	t.Cleanup(func() {
		b.stop(patience)
		if n := b.owner.overlaps; n > 0 {
			t.Errorf("%d calls of the handler overlapped", n)
		}
		assertNoSockets(t, b.dir)
	})
	return b
}

func (b *bench) stop(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	b.Stop(ctx)
}

// start starts channels and fails the test if that is an error.
func (b *bench) start(specs ...Spec) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := b.Start(ctx, specs); err != nil {
		b.t.Fatalf("start: %v\n%s", err, b.log)
	}
}

// await returns the next status that is as wanted.
func (b *bench) await(what string, wanted func(Status) bool) Status {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case s := <-b.statuses:
			if wanted(s) {
				return s
			}
		case <-timeout:
			b.t.Fatalf("no status %q came, they are %+v\n%s", what, b.Status(), b.log)
		}
	}
}

func (b *bench) awaitState(state State) Status {
	b.t.Helper()
	return b.await(string(state), func(s Status) bool { return s.State == state })
}

// awaitError waits for the status that says why a life ended.
func (b *bench) awaitError(part string) Status {
	b.t.Helper()
	return b.await("with error "+part, func(s Status) bool {
		return s.State != Starting && s.State != Running && strings.Contains(s.LastError, part)
	})
}

// only is the status of the one channel.
func (b *bench) only() Status {
	b.t.Helper()
	all := b.Status()
	if len(all) != 1 {
		b.t.Fatalf("statuses %+v, want one", all)
	}
	return all[0]
}

// spec runs the test binary as a plugin with a vice.
func spec(t *testing.T, channel, vice string, env ...string) Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Spec{Channel: channel, Command: self, Env: append(pluginEnv(vice), env...)}
}

// pluginEnv makes the test binary a plugin with a vice. The race detector's
// pause at exit is left out.
func pluginEnv(vice string) []string {
	return []string{roleKey + "=plugin", viceKey + "=" + vice, "GORACE=atexit_sleep_ms=0"}
}

// shortDir is a directory whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func assertNoSockets(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "lock" {
			t.Errorf("%s was left in the runtime directory", entry.Name())
		}
	}
}
