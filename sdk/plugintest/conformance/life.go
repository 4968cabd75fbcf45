package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

// Limits of the core.
const (
	callLimit   = 10 * time.Second // Describe, Configure, Declare
	startLimit  = 30 * time.Second
	healthLimit = 5 * time.Second
	drainLimit  = 5 * time.Second
)

// life is one life of the plugin with its core: the calls in their order, the
// stream, and what is known of its routes.
type life struct {
	kit       *Kit
	inst      instance
	ctx       context.Context // ends with the life
	cancel    context.CancelFunc
	manifest  *pluginpb.DescribeResponse
	endpoints []string
	before    usage // of Start, on Linux

	hangUp    context.CancelFunc // of the stream
	streaming sync.WaitGroup
	populated bool

	mu       sync.Mutex
	news     chan struct{} // closed and replaced when something has arrived
	ended    bool          // the stream
	endedBy  error
	out      []*pluginpb.CoreFrame
	wake     chan struct{}
	declared []*pluginpb.PluginEnvelope // one, unless the plugin errs
	replies  map[uint64]*pluginpb.CommandReply
	ledger   ledger
}

func newLife(k *Kit, inst instance) *life {
	l := &life{
		kit: k, inst: inst, news: make(chan struct{}), wake: make(chan struct{}, 1),
		replies: map[uint64]*pluginpb.CommandReply{}, ledger: newLedger(),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// close ends the life, however far it has come.
func (l *life) close() {
	l.cancel()
	if l.hangUp != nil {
		l.hangUp()
	}
	l.inst.close()
	l.streaming.Wait()
}

// limit is the core's, or the target's patience if that is longer.
func (l *life) limit(core time.Duration) time.Duration { return max(core, l.kit.target.Patience) }

// callError says of a failed call what its author can use.
func callError(call string, limit time.Duration, err error) error {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return fmt.Errorf("%s: no answer within %v", call, limit)
	case codes.Unavailable:
		return fmt.Errorf("%s: the connection broke, the plugin may have ended (%w)", call, err)
	case codes.Unimplemented:
		return fmt.Errorf("%s: the plugin does not serve this call of mpush.plugin.v1.Plugin (%w)", call, err)
	case codes.Internal:
		return fmt.Errorf("%s: the answer cannot be read; is every string valid UTF-8? (%w)", call, err)
	}
	return fmt.Errorf("%s: %w", call, err)
}

func (l *life) describe(ctx context.Context) (*pluginpb.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, l.limit(callLimit))
	defer cancel()
	manifest, err := l.inst.rpc().Describe(ctx, &pluginpb.DescribeRequest{Protocol: pluginpb.ProtocolVersion})
	if err != nil {
		return nil, callError("Describe", l.limit(callLimit), err)
	}
	return manifest, nil
}

func (l *life) channel() string {
	if l.kit.target.Channel != "" {
		return l.kit.target.Channel
	}
	return l.manifest.GetName()
}

func (l *life) granted(right pluginpb.Right) bool {
	for _, r := range l.manifest.GetRights() {
		if r == right {
			return true
		}
	}
	return false
}

func (l *life) configure(ctx context.Context, section string) ([]*pluginpb.Diagnostic, error) {
	ctx, cancel := context.WithTimeout(ctx, l.limit(callLimit))
	defer cancel()
	request := &pluginpb.ConfigureRequest{
		Channel: l.channel(), Config: []byte(section), WeakToken: true,
		Rights: l.manifest.GetRights(), TrustedProxies: []string{"127.0.0.0/8", "::1/128"},
	}
	if l.granted(pluginpb.Right_RIGHT_MASTER_TOKEN) {
		request.MasterToken = Token
	}
	response, err := l.inst.rpc().Configure(ctx, request)
	if err != nil {
		return nil, callError("Configure", l.limit(callLimit), err)
	}
	return response.GetDiagnostics(), nil
}

// exchange opens the stream.
func (l *life) exchange() error {
	ctx, cancel := context.WithCancel(l.ctx)
	l.hangUp = cancel
	stream, err := l.inst.rpc().Exchange(ctx)
	if err != nil {
		return callError("Exchange", 0, err)
	}
	l.streaming.Go(func() { l.write(ctx, stream) })
	l.streaming.Go(func() {
		for {
			frame, err := stream.Recv()
			if err != nil {
				l.endStream(err)
				return
			}
			l.receive(frame)
		}
	})
	return nil
}

func (l *life) endStream(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.endedBy = true, err
	l.hangUp()
	l.tell()
}

func (l *life) write(ctx context.Context, stream grpc.BidiStreamingClient[pluginpb.CoreFrame, pluginpb.PluginFrame]) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		frames := l.out
		l.out = nil
		l.mu.Unlock()
		for _, frame := range frames {
			if stream.Send(frame) != nil {
				return // reading hears of it
			}
		}
	}
}

// send queues a frame. Call with mu held.
func (l *life) send(envelopes ...*pluginpb.CoreEnvelope) {
	l.sendFrame(&pluginpb.CoreFrame{Envelopes: envelopes})
}

func (l *life) sendFrame(frame *pluginpb.CoreFrame) {
	l.out = append(l.out, frame)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// tell wakes who awaits something. Call with mu held.
func (l *life) tell() {
	close(l.news)
	l.news = make(chan struct{})
}

// receive takes a frame of the plugin's.
func (l *life) receive(frame *pluginpb.PluginFrame) {
	const mostEnvelopes, mostBytes = 4096, 3 << 20
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(frame.GetEnvelopes()); n > mostEnvelopes {
		l.misformed("a frame of %d envelopes: send %d at most", n, mostEnvelopes)
	}
	if n := proto.Size(frame); n >= mostBytes {
		l.misformed("a frame of %d bytes: stay under %d", n, mostBytes)
	}
	for _, e := range frame.GetEnvelopes() {
		if o := e.GetOutcome(); o != nil {
			l.outcome(o)
		} else {
			l.answer(e)
		}
	}
	l.tell()
}

// broken says what has ended the plugin or its stream, nil if nothing has.
func (l *life) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.brokenNow()
}

func (l *life) brokenNow() error {
	select {
	case <-l.inst.ended():
		how, _ := l.inst.farewell()
		return fmt.Errorf("the plugin has ended (%s)", how)
	default:
	}
	if l.ended {
		return fmt.Errorf("the stream has ended: %w", l.endedBy)
	}
	return nil
}

var errTimeout = errors.New("out of time")

// await waits until is, called with mu held, is true. It fails with errTimeout,
// or when the plugin or the stream ends.
func (l *life) await(ctx context.Context, limit time.Duration, is func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		l.mu.Lock()
		done, news, broken := is(), l.news, l.brokenNow()
		l.mu.Unlock()
		switch {
		case done:
			return nil
		case broken != nil:
			// Its process may be about to end, which explains more.
			select {
			case <-l.inst.ended():
			case <-time.After(500 * time.Millisecond):
			}
			return l.broken()
		}
		select {
		case <-news:
		case <-l.inst.ended():
		case <-timer.C:
			return errTimeout
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// start awaits Declare and calls Start.
func (l *life) start(ctx context.Context) error {
	err := l.await(ctx, l.limit(callLimit), func() bool { return len(l.declared) > 0 })
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("no Declare on the stream within %v: send one, if only of no routes, as soon as Exchange is called", l.limit(callLimit))
	}
	if err != nil {
		return fmt.Errorf("before Declare: %w", err)
	}
	l.before, _ = usageOf(l.inst.pid())
	ctx, cancel := context.WithTimeout(ctx, l.limit(startLimit))
	defer cancel()
	response, err := l.inst.rpc().Start(ctx, &pluginpb.StartRequest{})
	switch {
	case err != nil:
		return callError("Start", l.limit(startLimit), err)
	case response.GetError() != "":
		return fmt.Errorf("Start: %s", response.GetError())
	}
	l.endpoints = response.GetEndpoints()
	return nil
}

// health asks once, as the core does.
func (l *life) health(ctx context.Context) (complaint string, err error) {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	response, err := l.inst.rpc().Health(ctx, &pluginpb.HealthRequest{})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return "", nil
	case err != nil:
		return "", callError("Health", healthLimit, err)
	case response.GetHealthy():
		return "", nil
	}
	return "unhealthy: " + response.GetReason(), nil
}

// stop drains the plugin.
func (l *life) stop(ctx context.Context) error {
	// A busy machine may be late by more than a core forgives.
	limit := drainLimit + max(time.Second, l.kit.target.Patience/10)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := l.inst.rpc().Stop(ctx, &pluginpb.StopRequest{DeadlineMs: uint32(drainLimit.Milliseconds())})
	if err != nil {
		return callError("Stop", drainLimit, err)
	}
	return nil
}
