package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/sdk/pluginpb"
)

// life is a channel from one start of its process to its end.
type life struct {
	*channel
	inst instance

	doomed chan string

	declared   chan struct{}
	disconnect context.CancelFunc
	connected  chan struct{} // closed when Connect has returned; nil before it
	connectErr error         // valid then
}

// live runs one life and returns how long it was running and why it ended; the
// error is never nil. When it returns, the process is gone and the Handler is
// not in a call.
func (c *channel) live() (ready time.Duration, err error) {
	inst, err := c.launch(c.asked, c.spec)
	if err != nil {
		return 0, err
	}
	l := &life{channel: c, inst: inst, doomed: make(chan string, 1), declared: make(chan struct{})}
	c.change(func(s *Status) { s.PID = inst.pid() })
	defer l.end()

	if !c.spec.Bundled {
		if err := l.until(c.first.open, 0, ""); err != nil {
			return 0, err
		}
	}
	if err := l.prepare(); err != nil {
		return 0, err
	}
	l.connect()
	if err := l.until(l.declared, c.opts.Timeouts.Declare, "declare"); err != nil {
		return 0, err
	}
	c.arrive()
	if err := l.until(c.barrier.open, 0, ""); err != nil {
		return 0, err
	}
	if err := l.start(); err != nil {
		return 0, err
	}
	since := time.Now()
	c.report(nil)
	err = l.serve()
	return time.Since(since), err
}

// prepare makes the calls without side effects.
func (l *life) prepare() error {
	manifest, configuration, err := introduce(l.asked, l.inst, l.spec.Channel, l.opts.Handler, l.opts)
	if manifest != nil {
		l.change(func(s *Status) {
			s.Name, s.Version = l.opts.clip(manifest.GetName()), l.opts.clip(manifest.GetVersion())
		})
	}
	if status.Code(err) == codes.Unavailable {
		return l.explain(err)
	}
	if err != nil {
		return err
	}
	if len(configuration) > 0 {
		l.opts.Handler.Diagnosed(l.spec.Channel, bounded(configuration))
	}
	return misconfiguration(configuration)
}

// connect lets the owner open the stream, in a goroutine that end waits for.
func (l *life) connect() {
	ctx, cancel := context.WithCancel(l.hard)
	l.disconnect = cancel
	l.connected = make(chan struct{})
	l.expectDoom(l.doomed)
	go func() {
		defer close(l.connected)
		once := make(chan struct{}, 1)
		l.connectErr = l.opts.Handler.Connect(ctx, l.spec.Channel, l.inst.rpc(), func() {
			select {
			case once <- struct{}{}:
				close(l.declared)
			default:
			}
		})
	}()
}

// start makes the Start call.
func (l *life) start() error {
	ctx, cancel := context.WithTimeout(l.asked, l.opts.Timeouts.Start)
	defer cancel()
	response, err := l.inst.rpc().Start(ctx, &pluginpb.StartRequest{})
	switch {
	case status.Code(err) == codes.Unavailable:
		return l.explain(err)
	case err != nil:
		return callError("start", l.opts.Timeouts.Start, err)
	case response.GetCannotListen():
		reason := l.opts.clip(response.GetError())
		if reason == "" {
			reason = "no reason given"
		}
		return &ListenFailure{Channel: l.spec.Channel, Reason: reason}
	case response.GetError() != "":
		return fmt.Errorf("start: %s", l.opts.clip(response.GetError()))
	}
	l.change(func(s *Status) {
		s.State, s.Endpoints = Running, l.opts.clipAll(response.GetEndpoints())
	})
	now := l.snapshot()
	l.log.Info("channel running", "plugin", now.Name, "version", now.Version, "pid", now.PID, "endpoints", now.Endpoints)
	return nil
}

// serve watches a running plugin until something ends it, and drains it if that
// is the channel's stop.
func (l *life) serve() error {
	ctx, cancel := context.WithCancel(l.asked)
	var watching sync.WaitGroup
	watching.Go(func() { l.watchHealth(ctx) })
	if l.inst.pid() != 0 && (!l.spec.Bundled || l.spec.MaxMemory > 0) {
		watching.Go(func() { l.watchGroup(ctx) })
	}
	err := l.until(nil, 0, "")
	cancel()
	watching.Wait()
	if errors.Is(err, errStopping) {
		l.drainPlugin()
	}
	return err
}

// drainPlugin makes the Stop call and lets the stream end by itself.
func (l *life) drainPlugin() {
	drain := l.drainTime()
	if drain <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(l.hard, drain+drainMargin)
	defer cancel()
	_, err := l.inst.rpc().Stop(ctx, &pluginpb.StopRequest{DeadlineMs: uint32(max(1, drain.Milliseconds()))})
	if err != nil {
		l.log.Warn("channel did not drain", "err", callError("stop", drain, err))
		return
	}
	// The last outcomes may still be on their way.
	_ = l.await(ctx, l.connected, l.opts.Timeouts.Exit)
}

// end ends the process and waits for the owner to be done with it. A plugin
// that was asked to stop gets the time to exit by itself.
func (l *life) end() {
	l.expectDoom(nil)
	var grace time.Duration
	if l.asked.Err() != nil && l.hard.Err() == nil && l.drainTime() > 0 {
		grace = l.opts.Timeouts.Exit
	}
	l.inst.close(l.hard, grace)
	if l.connected != nil {
		l.disconnect()
		<-l.connected
	}
}

// until waits for the event and returns nil, or for what ends the life before.
// A nil event never comes; a limit of 0 is none.
func (l *life) until(event <-chan struct{}, limit time.Duration, what string) error {
	var timeout <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-event:
		return nil
	case <-l.asked.Done():
		return errStopping
	case <-l.inst.exited():
		if l.connected != nil && l.await(l.asked, l.connected, l.opts.Timeouts.Grace) && isVerdict(l.connectErr) {
			return l.connectErr // it has heard it, too, and has gone
		}
		return l.inst.exitError()
	case <-l.connected:
		if l.connectErr == nil {
			return l.explain(errors.New("the stream ended"))
		}
		return l.explain(fmt.Errorf("the stream ended: %w", l.connectErr))
	case reason := <-l.doomed:
		return errors.New(clip(reason))
	case <-timeout:
		return fmt.Errorf("%s: not done within %v", what, limit)
	}
}

// isVerdict tells whether an error of Connect has a method Verdict: then the plugin
// ends for that reason, whatever else shows of its end.
func isVerdict(err error) bool {
	_, is := errors.AsType[interface {
		error
		Verdict()
	}](err)
	return is
}

// explain prefers the death of the process to the broken connection that it
// caused.
func (l *life) explain(err error) error {
	if isVerdict(err) {
		return err
	}
	if l.await(l.asked, l.inst.exited(), l.opts.Timeouts.Grace) {
		return l.inst.exitError()
	}
	return err
}

// await waits for the event, at most for limit or until ctx ends, and tells
// whether it came.
func (l *life) await(ctx context.Context, event <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-event:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// callError says of a failed call what an operator can use.
func callError(call string, limit time.Duration, err error) error {
	if status.Code(err) == codes.DeadlineExceeded {
		return fmt.Errorf("%s: no answer within %v", call, limit)
	}
	return fmt.Errorf("%s: %w", call, err)
}
