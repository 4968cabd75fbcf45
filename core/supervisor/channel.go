package supervisor

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// channel is one channel through all its lives. run is its goroutine; the
// other methods may be called from any.
type channel struct {
	spec    Spec
	opts    *Options
	launch  launchFunc
	first   *gate // which those that are not bundled wait for
	barrier *gate
	log     *slog.Logger

	// asked ends when the channel shall stop, hard when it must.
	asked context.Context
	ask   context.CancelFunc
	hard  context.Context
	abort context.CancelFunc

	arrive    func()        // at the gates; the first call counts
	attempted chan struct{} // closed when the first attempt has ended
	attempt   error         // how; nil is running. Valid then
	done      chan struct{} // closed when run has returned

	mu     sync.Mutex
	status Status
	drain  time.Duration // for Stop, set before asked ends
	doomed chan string   // of the connected life, else nil
}

func newChannel(spec Spec, opts *Options, launch launchFunc, first, barrier *gate) *channel {
	if spec.Reattach != "" {
		patient := *opts
		patient.Timeouts = opts.Timeouts.patient()
		opts = &patient
	}
	c := &channel{
		spec:    spec,
		opts:    opts,
		launch:  launch,
		first:   first,
		barrier: barrier,
		log:     opts.Logger.With("channel", spec.Channel),
		arrive: sync.OnceFunc(func() {
			if spec.Bundled {
				first.arrive()
			}
			barrier.arrive()
		}),
		attempted: make(chan struct{}),
		done:      make(chan struct{}),
		status:    Status{Channel: spec.Channel, State: Starting, Since: time.Now()},
	}
	c.asked, c.ask = context.WithCancel(context.Background())
	c.hard, c.abort = context.WithCancel(context.Background())
	return c
}

// run lives one life after another until the channel is stopped.
func (c *channel) run() {
	defer close(c.done)
	defer c.abort()
	defer c.ask()
	deaths := 0
	for life := 0; ; life++ {
		c.change(func(s *Status) {
			s.State, s.Restarts = Starting, life
		})
		ready, err := c.live()
		if c.asked.Err() != nil {
			break
		}
		state, pause := endsIn(err), time.Duration(0)
		if state == "" {
			state = Waiting
			pause, deaths = c.opts.Backoff.delay(ready, deaths)
		}
		c.change(func(s *Status) {
			s.State, s.LastError = state, c.opts.clip(err.Error())
			s.PID, s.Endpoints, s.Unhealthy = 0, nil, ""
		})
		// After the change, so that Status tells why when Await returns.
		c.arrive()
		c.report(err)
		if state != Waiting {
			c.log.Error("channel is out of service", "state", string(state), "err", c.opts.clip(err.Error()))
			<-c.asked.Done()
			break
		}
		c.log.Warn("channel failed", "err", c.opts.clip(err.Error()), "restart_in", pause)
		c.sleep(pause)
		if c.asked.Err() != nil {
			break
		}
	}
	c.change(func(s *Status) {
		s.State, s.PID, s.Endpoints, s.Unhealthy = Stopped, 0, nil, ""
	})
	c.arrive()
	c.report(errStopping)
	c.log.Info("channel stopped")
}

// report tells Await how the first attempt ended; later ones say nothing. Only run
// calls it.
func (c *channel) report(err error) {
	select {
	case <-c.attempted:
	default:
		c.attempt = err
		close(c.attempted)
	}
}

func (c *channel) sleep(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.asked.Done():
	}
}

// stop asks the channel to drain for so long and end.
func (c *channel) stop(drain time.Duration) {
	c.mu.Lock()
	if c.asked.Err() == nil {
		c.drain = drain
	}
	c.mu.Unlock()
	c.ask()
}

func (c *channel) drainTime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drain
}

// change edits the status and tells the owner.
func (c *channel) change(edit func(*Status)) {
	c.mu.Lock()
	before := c.status.State
	edit(&c.status)
	if c.status.State != before {
		c.status.Since = time.Now()
	}
	now := c.status
	c.mu.Unlock()
	if c.opts.OnChange != nil {
		c.opts.OnChange(now)
	}
}

func (c *channel) snapshot() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// expectDoom makes doom reach the given channel; nil ends that.
func (c *channel) expectDoom(doomed chan string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doomed = doomed
}

// doom ends the connected life, for a reason.
func (c *channel) doom(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.doomed <- reason:
	default: // nobody is there, or has been told already
	}
}

// accuse notes what the plugin has done wrong.
func (c *channel) accuse(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Misconduct = c.opts.Redact(what)
}
