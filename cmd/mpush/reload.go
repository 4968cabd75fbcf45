package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"mpush/core"
	"mpush/core/config"
)

// reloader has a running relay follow its configuration: when a file of it
// changes, and when SIGHUP asks for it.
type reloader struct {
	settings *settings
	log      *slog.Logger
	hangups  chan os.Signal
	watcher  *config.Watcher // nil if files can not be watched
}

// newReloader takes SIGHUP over. It watches what the settings load from now on.
func newReloader(s *settings) *reloader {
	r := &reloader{settings: s, log: s.log.logger(), hangups: make(chan os.Signal, 1)}
	signal.Notify(r.hangups, syscall.SIGHUP)
	watcher, err := config.NewWatcher()
	if err != nil {
		r.log.Warn("changes of the configuration are not noticed by themselves; SIGHUP reloads it", "err", err)
		return r
	}
	r.watcher, s.watcher = watcher, watcher
	return r
}

func (r *reloader) close() {
	signal.Stop(r.hangups)
	if r.watcher != nil {
		_ = r.watcher.Close() // nothing is lost with it
	}
}

// run reloads until ctx ends.
func (r *reloader) run(ctx context.Context, relay *core.Core) {
	var changes <-chan struct{}
	if r.watcher != nil {
		changes = r.watcher.Changes()
	}
	said := func() {}
	defer func() { said() }()
	for {
		select {
		case <-changes:
		case <-r.hangups:
		case <-ctx.Done():
			return
		}
		said()
		said = r.reload(ctx, relay)
	}
}

// reload takes over what is configured now, or says what is wrong with it. That it
// is taken over it says when the channels run that it has begun, or when said is
// called: a plugin that hangs must not hold up the next change.
func (r *reloader) reload(ctx context.Context, relay *core.Core) (said func()) {
	cfg, err := r.settings.load()
	var changes *core.Changes
	if err == nil {
		changes, err = relay.Reload(ctx, cfg)
	}
	switch {
	case ctx.Err() != nil: // the relay stops
	case err != nil:
		for _, fault := range faultsOf(err) {
			r.log.Error("the new configuration is refused, the one before stays in force", "err", fault)
		}
	case changes.None():
		r.log.Info("configuration reloaded: nothing has changed")
	default:
		if cfg.Log.Level < r.settings.log.level.Level() {
			r.settings.log.set(cfg.Log) // before the line that says so
		}
		r.settings.remark(r.log, cfg)
		waiting, hurry := context.WithCancel(ctx)
		var saying sync.WaitGroup
		saying.Go(func() {
			relay.Await(waiting, changes)
			if ctx.Err() == nil {
				r.log.Info("configuration reloaded", names(changes)...)
				r.settings.log.set(cfg.Log)
			}
		})
		return func() {
			hurry()
			saying.Wait()
		}
	}
	return func() {}
}

// faultsOf takes apart what was joined, so that each has its line.
func faultsOf(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// names are those of what has changed, for the log.
func names(c *core.Changes) []any {
	var attrs []any
	for _, group := range []struct {
		key   string
		names []string
	}{
		{"settings", c.Settings},
		{"added", c.Added},
		{"changed", c.Changed},
		{"removed", c.Removed},
		{"restarted", c.Restarted},
	} {
		if len(group.names) > 0 {
			attrs = append(attrs, group.key, group.names)
		}
	}
	return attrs
}
