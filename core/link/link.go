package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/core/auth"
	"mpush/core/engine"
	"mpush/core/guard"
	"mpush/core/relay"
	"mpush/sdk/pluginpb"
)

// sendPatience is how long a plugin may leave a frame unread before it counts as
// hung.
const sendPatience = 10 * time.Second

// refusalGrace is how long a plugin whose configured receivers were refused may
// go on.
const refusalGrace = time.Second

// Options are what a link works with.
type Options struct {
	Channel     string
	Rights      []pluginpb.Right // as granted
	Bounds      Bounds
	Relay       *relay.Relay
	Auth        *auth.Authority
	Switchboard *Switchboard
	Guard       *guard.Guard
	Conduct     *Conduct // the channel's; nil: nobody wants to know
	// Refused is told why each message was refused that the engine does not
	// see, one of its RefusalReasons; nil: nobody wants to know.
	Refused func(reason string)
	// Declared is called once the plugin's first Declare was answered with
	// success.
	Declared func()
}

// Link is one plugin's stream.
type Link struct {
	Options
	id   engine.LinkID
	open atomic.Uint64 // id, once the relay knows it
	out  *outbox

	window window
	waits  waits           // what follows belongs to the reader
	over   <-chan struct{} // closed when the stream is to end

	pause    time.Duration // before what is being decoded is answered
	paused   atomic.Int32  // answers that wait
	declared bool          // a Declare was seen
	refused  chan string   // why Declare was refused
	started  chan struct{} // the channel's Start was answered

	// What it has not answered, under the Switchboard's mu.
	calls     int                 // commands
	callBytes int                 // and their data
	overdue   int                 // commands whose askers do not wait any more
	serving   map[string][]uint64 // the ids of both by receiver
}

// refusedRoutes says why the plugin's configured routes can not be had.
type refusedRoutes string

func (r refusedRoutes) Error() string { return "configured receivers: " + string(r) }

// Verdict marks the reason of the plugin's end: it is told, and ends by itself.
func (refusedRoutes) Verdict() {}

// New prepares a link; Run does the work.
func New(options Options) *Link {
	return &Link{Options: options, out: newOutbox(), serving: make(map[string][]uint64), refused: make(chan string, 1), started: make(chan struct{}, 1)}
}

// Ready tells that the channel has started: its durable routes go live. It does
// not block.
func (l *Link) Ready() {
	select {
	case l.started <- struct{}{}:
	default:
	}
}

// Drain tells that the channel is about to stop: its senders are answered with
// the statuses of the moment instead of waiting on.
func (l *Link) Drain(ctx context.Context) {
	if id := engine.LinkID(l.open.Load()); id != 0 {
		_ = l.Relay.Submit(ctx, &engine.LinkStopping{Link: id}) // the end of either ends the waits, too
	}
}

// Run opens the stream and serves it until it ends; the error says why.
func (l *Link) Run(ctx context.Context, client pluginpb.PluginClient) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	codec := newFrameCodec()
	stream, err := client.Exchange(ctx, grpc.ForceCodecV2(codec))
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	if l.id, err = l.Relay.Open(ctx, l.Channel, l.Bounds.InFlight, l); err != nil {
		return err
	}
	l.open.Store(uint64(l.id))
	defer l.Relay.Close(l.id)
	defer l.out.close()
	l.Switchboard.connect(l)
	defer l.Switchboard.disconnect(l)
	defer l.Conduct.flush()

	l.over = ctx.Done()
	writing := make(chan error, 1)
	go func() {
		patience := time.AfterFunc(sendPatience, func() {
			cancel(fmt.Errorf("the plugin did not read for %v", sendPatience))
		})
		patience.Stop()
		writing <- l.out.pump(ctx.Done(), func(frame *pluginpb.CoreFrame) error {
			patience.Reset(sendPatience)
			defer patience.Stop()
			return stream.Send(frame)
		})
	}()
	reading := make(chan error, 1)
	go func() { reading <- l.read(ctx, stream, codec) }()
	for over := false; !over; {
		over = true
		select {
		case err = <-reading:
			select {
			case reason := <-l.refused: // that is why the plugin has ended it
				err = refusedRoutes(reason)
			default:
			}
		case reason := <-l.refused:
			err = refusedRoutes(reason)
			select { // the plugin hears it too, and ends by itself
			case <-reading:
			case <-time.After(refusalGrace):
				cancel(err)
				<-reading
			}
		case <-l.started:
			if err = l.Relay.Submit(ctx, &engine.LinkReady{Link: l.id}); err != nil {
				cancel(err)
				<-reading
			} else {
				over = false
			}
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	<-writing
	return err
}

// read decodes frames until the stream ends. A full relay blocks it, as do
// answers that the plugin does not read, and so slows the plugin down.
func (l *Link) read(ctx context.Context, stream pluginpb.Plugin_ExchangeClient, codec *frameCodec) error {
	for {
		l.out.waitForRoom(ctx.Done())
		frame, err := stream.Recv()
		if err != nil {
			return streamError(err)
		}
		events := make([]engine.Event, 0, len(frame.Envelopes))
		for _, env := range frame.Envelopes {
			if event := l.decode(env); event != nil {
				events = append(events, event)
			}
		}
		if len(events) > 0 {
			cost := eventCost*len(events) + codec.size
			before := time.Now()
			if err := l.window.enter(ctx, cost); err != nil {
				return err
			}
			if err := l.Relay.SubmitThen(ctx, func() { l.window.leave(cost) }, events...); err != nil {
				return err
			}
			l.waited(before)
		}
	}
}

// waited takes note of how long the reader was kept waiting.
func (l *Link) waited(before time.Time) {
	if now := time.Now(); l.waits.add(now, now.Sub(before)) {
		l.Conduct.note(Flooding)
	}
}

func streamError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the plugin closed the stream")
	}
	if s, ok := status.FromError(err); ok && s.Code() == codes.Unavailable {
		return errors.New("the plugin's connection broke")
	}
	return err
}

// Send takes a round's effects. It implements relay.Sink and never blocks.
func (l *Link) Send(effects []engine.Effect) {
	answers := make([]*pluginpb.CoreEnvelope, 0, len(effects)) // made without the lock
	for _, effect := range effects {
		switch ef := effect.(type) {
		case *engine.Answer:
			answers = append(answers, l.encodeAnswer(ef))
		case *engine.Misdeed:
			l.Conduct.note(viceOf(ef.Kind))
		}
	}
	o := l.out
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	for _, effect := range effects {
		switch ef := effect.(type) {
		case *engine.Deliver:
			o.deliver(ef)
		case *engine.Answer:
			o.add(answers[0])
			answers = answers[1:]
		case *engine.Recall:
			same := func(d *engine.Deliver) bool { return d.Generation == ef.Generation && d.Message.MID == ef.MID }
			if !o.withdraw(ef.Receiver, same) {
				o.add(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Recall{
					Recall: &pluginpb.Recall{Receiver: ef.Receiver, Generation: ef.Generation, Mid: int64(ef.MID)},
				}})
			}
		case *engine.Evict:
			o.withdraw(ef.Receiver, func(d *engine.Deliver) bool { return d.Generation == ef.Generation })
			o.add(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Evict{
				Evict: &pluginpb.Evict{Receiver: ef.Receiver, Generation: ef.Generation, Reason: ef.Cause.String(), Cause: evictCause(ef.Cause)},
			}})
		}
	}
	o.mu.Unlock()
	o.notify()
}
