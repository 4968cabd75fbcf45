package sdk

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/sdk/pluginpb"
)

// Register serves p on a gRPC server of the caller's, for one life of the
// plugin. It is what Serve does without the process around it: for tests (see
// plugintest) and for hosts other than go-plugin. When the stream ends without
// Stop, the plugin's Stop is called, with two seconds to go. It panics if p's
// interfaces contradict one another.
func Register(registrar grpc.ServiceRegistrar, p Plugin) {
	if err := contradiction(p); err != nil {
		panic("sdk: " + err.Error())
	}
	pluginpb.RegisterPluginServer(registrar, newServer(p))
}

const (
	// defaultDrain is for a core that names no deadline.
	defaultDrain = 5 * time.Second
	// lastDrain is what a plugin gets when its core is gone.
	lastDrain = 2 * time.Second
)

// server is one life of a plugin: the calls of the core, in their order.
type server struct {
	pluginpb.UnimplementedPluginServer
	plugin Plugin
	schema func() ([]byte, error) // of the section, made once; nil without one
	speaks pluginpb.Versions
	uses   []string        // features of the core
	ctx    context.Context // ends when the plugin must
	cancel context.CancelFunc

	mu       sync.Mutex
	config   *Config
	exchange *exchange
	started  bool
	draining bool
	asked    bool          // by the core
	opened   chan struct{} // closed when exchange is set
	drained  chan struct{} // closed when draining has ended
	ended    chan struct{} // closed when nothing is left to do
	end      sync.Once
}

func newServer(p Plugin) *server {
	s := &server{
		plugin: p, speaks: pluginpb.Spoken(pluginpb.ProtocolVersion), uses: features(),
		opened: make(chan struct{}), drained: make(chan struct{}), ended: make(chan struct{}),
	}
	s.schema = sync.OnceValues(func() ([]byte, error) { return schemaOf(p) })
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *server) Describe(_ context.Context, req *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	protocol := s.speaks.Choose(req.GetProtocol())
	if protocol == 0 {
		return nil, status.Errorf(codes.FailedPrecondition,
			"the core asks for protocol version %d, this plugin speaks %s: upgrade mpush, or take an older release of the plugin", req.GetProtocol(), s.speaks)
	}
	schema, err := s.schema()
	if err != nil {
		return nil, status.Error(codes.Internal, clip(err.Error(), maxErrorBytes))
	}
	manifest := describe(s.plugin, schema)
	manifest.Protocol, manifest.Features = protocol, pluginpb.Common(s.uses, req.GetFeatures())
	return manifest, nil
}

func (s *server) Configure(ctx context.Context, req *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	config := &Config{
		Channel:     req.GetChannel(),
		WeakToken:   req.GetWeakToken(),
		MasterToken: req.GetMasterToken(),
		section:     req.GetConfig(),
	}
	for _, text := range req.GetTrustedProxies() {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "trusted proxy %q: %v", text, err)
		}
		config.TrustedProxies = append(config.TrustedProxies, prefix)
	}
	s.mu.Lock()
	again := s.config != nil
	if !again {
		s.config = config
	}
	s.mu.Unlock()
	if again {
		return nil, status.Error(codes.FailedPrecondition, "configured before")
	}
	err := s.configure(ctx, config)
	return &pluginpb.ConfigureResponse{Diagnostics: append(diagnostics(err), config.remarks()...)}, nil
}

func (s *server) configure(ctx context.Context, config *Config) error {
	_, _ = s.schema() // while the struct holds the defaults
	var err error
	switch p := s.plugin.(type) {
	case Configurer:
		err = p.Configure(ctx, config)
	case Configurable:
		err = config.Decode(p.Config())
	default:
		err = config.Decode(&struct{}{})
	}
	if v, ok := s.plugin.(Validator); ok && err == nil {
		err = v.Validate(config)
	}
	return err
}

func (s *server) Exchange(stream grpc.BidiStreamingServer[pluginpb.CoreFrame, pluginpb.PluginFrame]) error {
	s.mu.Lock()
	if s.config == nil || s.exchange != nil || s.draining {
		s.mu.Unlock()
		return status.Error(codes.FailedPrecondition, "one stream, after Configure")
	}
	x := newExchange(s.ctx, s.plugin, s.config.Channel)
	s.exchange = x
	close(s.opened)
	s.mu.Unlock()

	err := x.run(stream, s.drained)
	s.coreGone()
	x.tasks.Wait()
	x.sequencer.running.Wait()
	if err != nil {
		return status.Error(codes.FailedPrecondition, clip("declare: "+err.Error(), maxErrorBytes))
	}
	return nil
}

func (s *server) Start(ctx context.Context, _ *pluginpb.StartRequest) (*pluginpb.StartResponse, error) {
	select {
	case <-s.opened:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	s.mu.Lock()
	x := s.exchange
	s.mu.Unlock()
	select {
	case <-x.declared:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if x.declareErr != nil {
		return startResponse(nil, x.declareErr), nil
	}
	s.mu.Lock()
	refused := s.started || s.draining
	s.started = s.started || !refused
	s.mu.Unlock()
	if refused {
		return nil, status.Error(codes.FailedPrecondition, "started once, before Stop")
	}
	starter, ok := s.plugin.(Starter)
	if !ok {
		return &pluginpb.StartResponse{}, nil
	}
	return startResponse(starter.Start(s.ctx, x)), nil
}

func startResponse(endpoints []string, err error) *pluginpb.StartResponse {
	if err == nil {
		return &pluginpb.StartResponse{Endpoints: endpoints}
	}
	op, ok := errors.AsType[*net.OpError](err)
	cannotListen := ok && op.Op == "listen" &&
		(errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EADDRNOTAVAIL))
	return &pluginpb.StartResponse{Error: clip(err.Error(), maxErrorBytes), CannotListen: cannotListen}
}

func (s *server) Health(ctx context.Context, _ *pluginpb.HealthRequest) (*pluginpb.HealthResponse, error) {
	err := s.health(ctx)
	if err != nil {
		return &pluginpb.HealthResponse{Reason: clip(err.Error(), maxErrorBytes)}, nil
	}
	return &pluginpb.HealthResponse{Healthy: true}, nil
}

func (s *server) health(ctx context.Context) error {
	s.mu.Lock()
	x := s.exchange
	s.mu.Unlock()
	if x != nil {
		select {
		case <-x.declared:
			if x.declareErr != nil {
				return x.declareErr
			}
		default:
		}
	}
	if h, ok := s.plugin.(HealthReporter); ok {
		return h.Health(ctx)
	}
	return nil
}

func (s *server) Stop(ctx context.Context, req *pluginpb.StopRequest) (*pluginpb.StopResponse, error) {
	deadline := time.Duration(req.GetDeadlineMs()) * time.Millisecond
	if deadline == 0 {
		deadline = defaultDrain
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
	s.stop(ctx)
	return &pluginpb.StopResponse{}, nil
}

func (s *server) wasAsked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// coreGone ends the plugin in a hurry: there is nobody left to report to. It
// returns within lastDrain. Once the core has had its Stop it changes nothing.
func (s *server) coreGone() {
	s.end.Do(func() {
		s.mu.Lock()
		x := s.exchange
		s.mu.Unlock()
		if x != nil {
			x.cutOff()
		}
		ctx, cancel := context.WithTimeout(context.Background(), lastDrain)
		defer cancel()
		s.stop(ctx)
		s.cancel()
		close(s.ended)
	})
}

// stop drains once, whoever asks first, and returns when that is done or ctx
// ends.
func (s *server) stop(ctx context.Context) {
	s.mu.Lock()
	first := !s.draining
	s.draining = true
	s.mu.Unlock()
	if first {
		go s.drain(ctx)
	}
	select {
	case <-s.drained:
	case <-ctx.Done():
	}
}

func (s *server) drain(ctx context.Context) {
	defer close(s.drained)
	s.mu.Lock()
	x := s.exchange
	s.mu.Unlock()
	if x != nil {
		x.drain(ctx)
	}
	if stopper, ok := s.plugin.(Stopper); ok {
		if err := stopper.Stop(ctx); err != nil {
			slog.Warn("stop failed", "err", err)
		}
	}
	s.cancel()
	if x != nil {
		x.outbox.flush(ctx)
	}
}

// remaining is the time until ctx ends. All contexts of draining have a
// deadline.
func remaining(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline)
}
