package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"mpush/sdk/pluginpb"
)

// Spec says how to run one plugin.
type Spec struct {
	// Channel is the channel's name, unique within a Supervisor.
	Channel string
	// Command is the executable's path. "/proc/self/exe" is this process's own
	// executable, even after its file was replaced.
	Command string
	// Args follow the command's name.
	Args []string
	// Env is the complete environment ("KEY=value") but for what the handshake
	// needs; nothing of this process's own environment is passed besides.
	Env []string
	// SHA256 is the hex digest that the executable must have; "" pins nothing.
	SHA256 string
	// DisableMTLS leaves the socket without encryption and authentication, for
	// plugins whose runtime cannot do it.
	DisableMTLS bool
	// Bundled marks a channel that belongs to this program: while it starts, those
	// that are begun with it or after it wait, so that no other takes a name or a
	// command of its.
	Bundled bool
	// MaxMemory is how many bytes of memory the plugin and what it has started
	// (its process group) may have resident, before it is killed and restarted.
	// 0 is no limit. It is watched on Linux.
	MaxMemory int64
	// Reattach, if set, is the Unix socket of a plugin that somebody has started
	// by hand: it is connected to instead of Command being run, given all the
	// time that a debugger needs, and left running.
	Reattach string
}

// Configurer answers for a channel's configuration. Calls for one channel never
// overlap; calls for different channels do.
type Configurer interface {
	// Described is called with the plugin's manifest and returns what to send
	// with Configure. An error is the channel's misconfiguration: it is not
	// tried again.
	Described(ctx context.Context, channel string, manifest *pluginpb.DescribeResponse) (*pluginpb.ConfigureRequest, error)

	// Diagnosed gets what Configure had to say, if anything, to be printed with
	// its positions. With an error among them the channel is misconfigured.
	Diagnosed(channel string, diagnostics []*pluginpb.Diagnostic)
}

// Handler owns what the channels are for. Calls for one channel never overlap.
type Handler interface {
	Configurer

	// Connect opens the stream (client.Exchange) with ctx, serves it until it
	// ends and returns why. It calls declared once the plugin's Declare was
	// answered. When ctx ends it must return soon: a channel's restart and Stop
	// wait for it. Returning while the plugin runs restarts the plugin.
	Connect(ctx context.Context, channel string, client pluginpb.PluginClient, declared func()) error
}

// Options say how a Supervisor works. RuntimeDir, Logger and Handler are
// required; zero elsewhere stands for the default.
type Options struct {
	// RuntimeDir holds the sockets. It is made if it is missing, must be
	// accessible to this user alone, belongs to one Supervisor at a time and is
	// cleared of an earlier one's sockets by the first Begin. It is made again if
	// it was removed meanwhile. Its absolute path has at most 69 bytes (65 but on
	// Linux).
	RuntimeDir string
	// Logger gets the channels' lives and what the plugins write: lines of JSON
	// as log/slog writes them with their level and fields, other lines as text
	// at level info. Of a line 8 KiB are kept; of a flood, 64 KiB/s.
	Logger *slog.Logger
	// Handler owns the channels.
	Handler Handler
	// Protocol is the newest version of the protocol that the core speaks; it
	// serves the one before, too. 0 is pluginpb.ProtocolVersion.
	Protocol uint32
	// Features are offered with Describe.
	Features []string
	// OnChange, if set, is called with each change of a channel's Status, in
	// order per channel. It must not block and not call the Supervisor.
	OnChange func(Status)
	// Redact, if set, hides secrets in texts that come from plugins and go into
	// statuses and errors. What Logger gets is its own affair. It may be called
	// from any goroutine.
	Redact func(text string) string
	// Timeouts bound each step of a channel's life.
	Timeouts Timeouts
	// Backoff is the pause before a restart.
	Backoff Backoff
}

// Supervisor runs channels. Its methods may be called from any goroutine.
type Supervisor struct {
	opts   Options
	launch launchFunc

	mu       sync.Mutex
	channels map[string]*channel
	dir      *runDir // nil until the first Begin
	first    *gate   // of the channels that were begun last
	stopped  bool
}

// New returns a Supervisor that runs nothing yet and has touched nothing.
func New(opts Options) *Supervisor {
	opts.Timeouts = opts.Timeouts.withDefaults()
	opts.Backoff = opts.Backoff.withDefaults()
	if opts.Protocol == 0 {
		opts.Protocol = pluginpb.ProtocolVersion
	}
	if opts.Redact == nil {
		opts.Redact = func(text string) string { return text }
	}
	s := &Supervisor{opts: opts, channels: make(map[string]*channel)}
	s.launch = func(ctx context.Context, spec Spec) (instance, error) {
		if spec.Reattach != "" {
			return reattach(ctx, spec, opts.Timeouts.Handshake)
		}
		if err := s.dir.keep(); err != nil {
			return nil, err
		}
		return launch(ctx, spec, s.dir.path, &s.opts)
	}
	return s
}

// Begin sets channels going besides those that run already, and waits for none:
// Await does. An error means that nothing was begun.
func (s *Supervisor) Begin(specs []Spec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("the supervisor has stopped")
	}
	seen := make(map[string]bool)
	for _, spec := range specs {
		if s.channels[spec.Channel] != nil || seen[spec.Channel] {
			return fmt.Errorf("channel %q is running already", spec.Channel)
		}
		seen[spec.Channel] = true
	}
	if s.dir == nil {
		dir, err := openRunDir(s.opts.RuntimeDir)
		if err != nil {
			return err
		}
		s.dir = dir
	}
	bundled := 0
	for _, spec := range specs {
		if spec.Bundled {
			bundled++
		}
	}
	if s.first == nil || !s.first.join(bundled) {
		s.first = newGate(bundled, s.opts.Timeouts.Together)
	}
	barrier := newGate(len(specs), s.opts.Timeouts.Together)
	for _, spec := range specs {
		c := newChannel(spec, &s.opts, s.launch, s.first, barrier)
		s.channels[spec.Channel] = c
		go c.run()
	}
	return nil
}

// Await returns once each of these channels is running or has failed its first
// attempt. A channel that fails is not an error of Await: Status tells, and it is
// tried again unless it is misconfigured or down. The exception is a listener that
// could not be opened: then the error is a *ListenError, which names all such
// channels. Names of channels that there are not are ignored.
//
// ctx bounds only the wait.
func (s *Supervisor) Await(ctx context.Context, channels ...string) error {
	s.mu.Lock()
	var awaited []*channel
	for _, name := range channels {
		if c := s.channels[name]; c != nil {
			awaited = append(awaited, c)
		}
	}
	s.mu.Unlock()
	var failures []ListenFailure
	for _, c := range awaited {
		select {
		case <-c.attempted:
			var failure *ListenFailure
			if errors.As(c.attempt, &failure) {
				failures = append(failures, *failure)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if len(failures) > 0 {
		return &ListenError{Failures: failures}
	}
	return nil
}

// Remove ends the named channels as Stop does and forgets them, so that they
// may be started anew. Names of channels that there are not are ignored.
func (s *Supervisor) Remove(ctx context.Context, channels ...string) {
	s.mu.Lock()
	var gone []*channel
	for _, name := range channels {
		if c := s.channels[name]; c != nil {
			gone = append(gone, c)
		}
	}
	s.mu.Unlock()

	s.end(ctx, gone)

	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range gone {
		if s.channels[c.spec.Channel] == c {
			delete(s.channels, c.spec.Channel)
		}
	}
}

// Stop drains all channels at once, each for at most Timeouts.Drain and not
// beyond ctx, then kills what is left. When it returns, no process, no
// goroutine and no call of the Handler is left. The Supervisor cannot be
// started again; Status still answers.
func (s *Supervisor) Stop(ctx context.Context) {
	s.mu.Lock()
	s.stopped = true
	all := slices.Collect(maps.Values(s.channels))
	s.mu.Unlock()

	s.end(ctx, all)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != nil {
		s.dir.close()
		s.dir = nil
	}
}

// end stops channels at once and waits for all of them.
func (s *Supervisor) end(ctx context.Context, channels []*channel) {
	drain := s.opts.Timeouts.Drain
	if deadline, ok := ctx.Deadline(); ok {
		// What comes after draining has to fit in as well.
		left := time.Until(deadline) - s.opts.Timeouts.Exit - drainMargin
		drain = max(0, min(drain, left))
	}
	for _, c := range channels {
		c.stop(drain)
	}
	for _, c := range channels {
		unhook := context.AfterFunc(ctx, c.abort)
		<-c.done
		unhook()
	}
}

// Status returns every channel's status, by name.
func (s *Supervisor) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, 0, len(s.channels))
	for _, c := range s.channels {
		all = append(all, c.snapshot())
	}
	slices.SortFunc(all, func(a, b Status) int {
		if a.Channel < b.Channel {
			return -1
		}
		return 1
	})
	return all
}

// Accuse notes in a channel's Status what its plugin has done wrong. It is no
// change that Options.OnChange hears of. It does not block.
func (s *Supervisor) Accuse(channel, what string) {
	s.mu.Lock()
	c := s.channels[channel]
	s.mu.Unlock()
	if c != nil {
		c.accuse(what)
	}
}

// Hung tells that the owner finds a channel's plugin hung: it is killed and
// restarted. A channel whose plugin is not connected is left alone. It does not
// block.
func (s *Supervisor) Hung(channel, reason string) {
	s.mu.Lock()
	c := s.channels[channel]
	s.mu.Unlock()
	if c != nil {
		c.doom("hung: " + reason)
	}
}
