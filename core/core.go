// Package core composes the relay: configuration, data directory, store,
// engine, loop, links and supervisor. It knows no channel by name; which ones
// are bundled with the program is told by its caller, cmd/mpush.
package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mpush/core/auth"
	"mpush/core/config"
	"mpush/core/control"
	"mpush/core/engine"
	"mpush/core/link"
	"mpush/core/ops"
	"mpush/core/relay"
	"mpush/core/store"
	"mpush/core/supervisor"
	"mpush/sdk/pluginpb"
)

// Bundled says how to run a channel that belongs to the program.
type Bundled struct {
	Command string
	Args    []string
	// Env is added to what every plugin gets, unless the operator has set the
	// variable.
	Env    []string
	Rights []pluginpb.Right // granted without the operator's asking
}

// Options are what a Core is made of.
type Options struct {
	Version string // of the program, for its metrics and the operator
	Config  *config.Config
	// DataDir holds everything durable. It is created if missing, and used by
	// one core at a time.
	DataDir string
	// Bundled has an entry for each bundled channel of Config.
	Bundled map[string]Bundled
	// Environ is the environment from which plugins get what they may see.
	Environ []string
	Log     *slog.Logger
}

// Core is a relay that may run once.
type Core struct {
	options    Options
	log        *slog.Logger
	dir        *dataDir
	store      *store.SQLite
	auth       *auth.Authority
	relay      *relay.Relay
	board      *link.Switchboard
	supervisor *supervisor.Supervisor
	metrics    *ops.Metrics
	endpoint   *ops.Endpoint // while Run serves
	diskLow    atomic.Bool

	reloading sync.Mutex // one change of the configuration at a time, after the start
	applying  sync.Mutex // while the tokens in force and the engine's are not the same

	hidden secrets // of the channels' sections

	mu     sync.Mutex
	config *config.Config  // that is in force
	plans  map[string]plan // and what it makes of each channel; nil before the start
	links  map[string]*link.Link
	guards guards
	// conduct is what each channel has done wrong so far.
	conduct map[string]*link.Conduct
	faults  map[string][]error // that a channel has with its section
}

// drainTime is what an orderly end may take altogether.
const drainTime = 8 * time.Second

// New opens the data directory and everything in it; nothing runs yet. Close
// releases it. Errors are made for the operator: what is wrong and where.
func New(ctx context.Context, options Options) (core *Core, err error) {
	c := &Core{
		options: options, log: options.Log, board: link.NewSwitchboard(), config: options.Config,
		links: make(map[string]*link.Link), conduct: make(map[string]*link.Conduct), faults: make(map[string][]error),
	}
	c.log = c.hidden.logger(options.Log)
	c.metrics = ops.NewMetrics(options.Version)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if c.dir, err = openDataDir(options.DataDir); err != nil {
		return nil, err
	}
	cfg := options.Config
	if c.auth, err = auth.Open(options.DataDir, cfg.Token.Reveal(), cfg.AuthTTL, time.Now, tokensOf(cfg)...); err != nil {
		return nil, err
	}
	if c.store, err = store.OpenSQLite(ctx, filepath.Join(options.DataDir, "mpush.db")); err != nil {
		return nil, err
	}
	c.changeGuards(guardLimits(cfg))
	registry, err := c.store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the data directory: %w", err)
	}
	e := engine.New(engineConfig(cfg), registry, enabled(cfg))
	c.relay = relay.New(e, c.store, time.Now, c.log)
	c.relay.Observe(c.metrics, c.metrics.Committed)
	c.supervisor = supervisor.New(supervisor.Options{
		RuntimeDir: c.dir.runtime,
		Logger:     c.log,
		Redact:     c.hidden.hide,
		Handler:    (*handler)(c),
		Features:   features(),
		OnChange:   c.channelChanged,
		Timeouts:   supervisor.Timeouts{Drain: drainTime / 2},
	})
	return c, nil
}

// features are what the core offers plugins beyond the base of the protocol's
// version. There are none yet.
func features() []string { return nil }

// engineConfig is the engine's share of the configuration, at the start and at a
// reload.
func engineConfig(cfg *config.Config) engine.Config {
	return engine.Config{
		QueueLength:  int64(cfg.Limits.QueueLength),
		QueueBytes:   cfg.Limits.QueueBytes,
		Receivers:    cfg.Limits.Receivers,
		GroupMembers: cfg.Limits.GroupMembers,
		TTL:          cfg.Limits.TTL.Milliseconds(),
		Seed:         rand.Uint64(),
	}
}

// Close releases what New opened. Call it after Run, or instead.
func (c *Core) Close() error {
	var errs []error
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	if c.dir != nil {
		errs = append(errs, c.dir.close())
	}
	return errors.Join(errs...)
}

// Run starts the channels and serves until ctx ends; then it drains. It calls
// serving once the bundled channels run: from then on Reload works. When the
// others run or have failed, too, it calls started. It returns early with an error
// if a bundled channel can not be started as configured, or if the store fails.
func (c *Core) Run(ctx context.Context, serving func(), started func([]supervisor.Status)) error {
	relaying := make(chan error, 1)
	relayContext, stopRelay := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRelay()
	go func() { relaying <- c.relay.Run(relayContext) }()

	// A store that fails ends everything, also while channels start.
	running, failed := context.WithCancel(ctx)
	defer failed()
	relayed := make(chan error, 1)
	go func() {
		err := <-relaying
		if err != nil {
			c.log.Error("the data directory failed, stopping", "err", err)
		}
		failed()
		relayed <- err
	}()
	hangUp, beside, err := c.operate(running)
	if err == nil {
		defer beside()
		defer failed() // it ends before that is waited for
		err = c.start(running)
	}
	if err == nil {
		serving()
		err = c.await(running, enabled(c.options.Config))
	}
	if running.Err() != nil {
		err = nil // that is the reason, not what it broke
	}
	if err == nil && running.Err() == nil {
		started(c.supervisor.Status())
		<-running.Done()
	}
	_ = c.relay.Submit(relayContext, &engine.Stopping{})
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime-control.Patience)
	defer cancel()
	c.supervisor.Stop(drain)
	if hangUp != nil {
		hangUp() // the relay answers the last requests
	}
	stopRelay()
	if storeErr := <-relayed; storeErr != nil {
		return fmt.Errorf("the data directory failed: %w", storeErr)
	}
	return err
}

// start starts all channels, and waits for the bundled ones: a third party's may
// hang. What is wrong with a bundled one at the first start ends the program; a
// third party's is down while the rest runs.
func (c *Core) start(ctx context.Context) error {
	c.reloading.Lock()
	defer c.reloading.Unlock()
	plans, err := makePlans(c.options.Config, &c.options)
	if err != nil {
		return err
	}
	c.adopt(c.options.Config, plans)
	var bundled []string
	for _, p := range plans {
		if p.spec.Bundled {
			bundled = append(bundled, p.spec.Channel)
		}
	}
	if err := c.supervisor.Begin(specsOf(plans)); err != nil {
		return err
	}
	err = c.supervisor.Await(ctx, bundled...)
	if listen, ok := errors.AsType[*supervisor.ListenError](err); ok {
		failure := listen.Failures[0]
		return fmt.Errorf("channel %s: %s", failure.Channel, failure.Reason)
	}
	if err != nil {
		return err
	}
	for _, status := range c.supervisor.Status() {
		// One that has only died is started again.
		if slices.Contains(bundled, status.Channel) && status.State != supervisor.Running && status.State != supervisor.Waiting {
			c.mu.Lock()
			fault := errors.Join(c.faults[status.Channel]...)
			c.mu.Unlock()
			if fault != nil {
				return fault
			}
			return fmt.Errorf("channel %s: %s", status.Channel, status.LastError)
		}
	}
	return nil
}

// adopt makes a configuration the one in force.
func (c *Core) adopt(cfg *config.Config, plans []plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config, c.plans = cfg, make(map[string]plan)
	for _, p := range plans {
		c.plans[p.spec.Channel] = p
	}
}

// inForce is the configuration of now.
func (c *Core) inForce() *config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config == nil {
		return c.options.Config
	}
	return c.config
}

// plan is that of a channel which is switched on.
func (c *Core) plan(channel string) plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plans[channel]
}

// Check describes and configures every channel without starting it, logs what
// they say, and returns what is wrong.
func Check(ctx context.Context, options Options) error {
	c := &Core{
		options: options, log: options.Log, board: link.NewSwitchboard(),
		faults: make(map[string][]error),
	}
	c.log = c.hidden.logger(options.Log)
	plans, err := makePlans(options.Config, &options)
	if err != nil {
		return err
	}
	c.adopt(options.Config, plans)
	s := supervisor.New(supervisor.Options{Logger: c.log, Redact: c.hidden.hide, Handler: (*handler)(c), Features: features()})
	results, err := s.Check(ctx, specsOf(plans), (*handler)(c))
	if err != nil {
		return err
	}
	for _, result := range results {
		if faults := c.faults[result.Channel]; len(faults) > 0 {
			err = errors.Join(err, errors.Join(faults...))
		} else if result.Err != nil {
			err = errors.Join(err, fmt.Errorf("channel %s: %w", result.Channel, result.Err))
		}
	}
	return err
}
