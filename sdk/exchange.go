package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
)

// exchange is the one stream between a plugin and its core. It reads what the
// core sends, in order and without ever waiting for the plugin's work, and it
// is the plugin's Host.
type exchange struct {
	plugin    Plugin
	channel   string
	log       *slog.Logger
	ctx       context.Context // ends when the plugin must
	outbox    *outbox
	calls     calls
	sequencer *sequencer
	// cutOff ends all Deliver calls.
	cutOff context.CancelFunc
	// tasks are Declare and the running commands.
	tasks    sync.WaitGroup
	commands chan struct{} // one token per running command
	lines    lines         // commands in the order of their receivers
	waiting  atomic.Int64  // commands that run or wait for their turn

	declared   chan struct{} // closed when Declare has ended
	declareErr error         // to be read after that
	undeclared chan struct{} // closed when it has failed

	reading sync.Mutex // held while the envelopes of a frame are received
	deaf    bool       // receive no more
}

func newExchange(ctx context.Context, plugin Plugin, channel string) *exchange {
	deliver, cutOff := context.WithCancel(ctx)
	x := &exchange{
		plugin:   plugin,
		channel:  channel,
		log:      slog.With("channel", channel),
		ctx:      ctx,
		outbox:   newOutbox(),
		cutOff:   cutOff,
		commands: make(chan struct{}, maxCommands),
		declared: make(chan struct{}),

		undeclared: make(chan struct{}),
	}
	x.sequencer = newSequencer(deliver, plugin, x.log, x.outbox.post)
	return x
}

// run serves the stream until it breaks, all is said after Stop, or Declare has
// failed, whose error it returns. Then no request gets an answer any more.
func (x *exchange) run(stream grpc.BidiStreamingServer[pluginpb.CoreFrame, pluginpb.PluginFrame], drained <-chan struct{}) error {
	ctx, cancel := context.WithCancel(stream.Context())
	written, broken := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		// When sending fails the stream is broken and reading ends as well.
		_ = x.outbox.run(ctx, stream.Send)
	}()
	go func() { // ends with the stream, at the latest when Exchange has returned
		defer close(broken)
		x.read(stream)
	}()
	x.tasks.Go(x.declare)
	var err error
	select {
	case <-broken:
	case <-drained:
	case <-x.undeclared:
		err = x.declareErr
	}
	x.reading.Lock()
	x.deaf = true
	x.reading.Unlock()
	cancel()
	<-written
	x.calls.close()
	return err
}

func (x *exchange) read(stream grpc.BidiStreamingServer[pluginpb.CoreFrame, pluginpb.PluginFrame]) {
	for {
		frame, err := stream.Recv()
		if err != nil {
			return
		}
		x.reading.Lock()
		if x.deaf {
			x.reading.Unlock()
			return
		}
		x.sequencer.hold()
		for _, e := range frame.GetEnvelopes() {
			x.receive(e)
		}
		x.sequencer.release()
		x.reading.Unlock()
	}
}

// receive acts on one envelope. A body that it does not know is skipped.
func (x *exchange) receive(e *pluginpb.CoreEnvelope) {
	switch body := e.GetBody().(type) {
	case *pluginpb.CoreEnvelope_Deliver:
		x.sequencer.deliver(body.Deliver)
	case *pluginpb.CoreEnvelope_Recall:
		x.sequencer.recall(body.Recall.GetReceiver(), body.Recall.GetGeneration(), body.Recall.GetMid())
	case *pluginpb.CoreEnvelope_Evict:
		x.sequencer.evict(body.Evict.GetReceiver(), body.Evict.GetGeneration())
		if d, ok := x.plugin.(Dispatcher); ok {
			d.Evict(body.Evict.GetReceiver(), body.Evict.GetGeneration(), Eviction{body.Evict.GetCause(), body.Evict.GetReason()})
		}
	case *pluginpb.CoreEnvelope_Command:
		x.command(body.Command)
	case *pluginpb.CoreEnvelope_Done:
		x.answer(body.Done.GetRequestId(), e)
	case *pluginpb.CoreEnvelope_Published:
		x.answer(body.Published.GetRequestId(), e)
	case *pluginpb.CoreEnvelope_Session:
		x.answer(body.Session.GetRequestId(), e)
	case *pluginpb.CoreEnvelope_CommandResult:
		x.answer(body.CommandResult.GetRequestId(), e)
	case *pluginpb.CoreEnvelope_State:
		x.answer(body.State.GetRequestId(), e)
	}
}

func (x *exchange) answer(id uint64, e *pluginpb.CoreEnvelope) {
	c := x.calls.take(id)
	if c == nil {
		return // the caller has given up
	}
	if result := e.GetSession(); c.attach != nil && result != nil && refusal(result.GetError()) == nil {
		if c.abandoned {
			x.Detach(c.attach.Name, result.GetGeneration())
			return
		}
		x.sequencer.attach(c.attach.Name, result.GetGeneration(), c.attach.Policy)
		if c.attach.Ready != nil {
			c.attach.Ready(newSession(result))
		}
	}
	c.answer <- e
}

// declare tells the core the configured routes, an empty set without a
// Declarer.
func (x *exchange) declare() {
	defer close(x.declared)
	if x.declareErr = x.tryDeclare(); x.declareErr != nil {
		x.log.Error("declare failed", "err", x.declareErr)
		close(x.undeclared)
	}
}

func (x *exchange) tryDeclare() error {
	var routes []Route
	if d, ok := x.plugin.(Declarer); ok {
		var err error
		if routes, err = d.Declare(x.ctx, x); err != nil {
			return err
		}
	}
	declared := make([]*pluginpb.DeclaredRoute, 0, len(routes))
	for _, r := range routes {
		if !allUTF8(r.Receiver, r.Group) {
			return errNotUTF8()
		}
		declared = append(declared, &pluginpb.DeclaredRoute{
			Receiver: r.Receiver, Group: r.Group, Address: r.Address, Policy: r.Policy.proto(),
		})
	}
	err := x.do(x.ctx, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Declare{Declare: &pluginpb.Declare{Routes: declared}}})
	if err != nil {
		return fmt.Errorf("declared routes: %w", err)
	}
	return nil
}

// maxCommands bounds the commands that are answered at once, maxWaiting those that
// wait for their turn besides. The core bounds their bytes.
const (
	maxCommands = 64
	maxWaiting  = 4096
)

// maxInfoBytes bounds what a command says to its client.
const maxInfoBytes = 64 << 10

func (x *exchange) command(c *pluginpb.ClaimedCommand) {
	commander, ok := x.plugin.(Commander)
	if !ok {
		x.reply(c.GetId(), "", &Error{Code: CodeUnknownCommand, Message: "the plugin answers no commands"})
		return
	}
	if x.waiting.Add(1) > maxCommands+maxWaiting {
		x.waiting.Add(-1)
		x.reply(c.GetId(), "", &Error{Code: CodeUnavailable, Message: "too many commands at once"})
		return
	}
	if !x.lines.join(c) {
		return // whoever serves its receiver comes to it
	}
	x.tasks.Go(func() {
		for c := c; c != nil; c = x.lines.next(c.GetReceiver()) {
			x.serve(commander, c)
		}
	})
}

func (x *exchange) serve(commander Commander, c *pluginpb.ClaimedCommand) {
	defer x.waiting.Add(-1)
	x.commands <- struct{}{}
	defer func() { <-x.commands }()
	info, err := x.handle(commander, &Command{
		Name:     c.GetCommand(),
		Data:     c.GetData(),
		Receiver: c.GetReceiver(),
		Group:    c.GetGroup(),
	})
	x.reply(c.GetId(), info, err)
}

// lines are the commands of each receiver in the order in which they came: they
// are answered one after the other, so that a later one is not overtaken, and one
// receiver takes one place. The zero value is ready.
type lines struct {
	mu    sync.Mutex
	queue map[string][]*pluginpb.ClaimedCommand // the first is being served
}

// join reports whether c is the first in its line: then the caller serves it.
func (l *lines) join(c *pluginpb.ClaimedCommand) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue == nil {
		l.queue = make(map[string][]*pluginpb.ClaimedCommand)
	}
	waiting := l.queue[c.GetReceiver()]
	l.queue[c.GetReceiver()] = append(waiting, c)
	return len(waiting) == 0
}

// next ends the first in a line and returns the one after it, or nil.
func (l *lines) next(receiver string) *pluginpb.ClaimedCommand {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.queue[receiver][1:]
	if len(waiting) == 0 {
		delete(l.queue, receiver)
		return nil
	}
	l.queue[receiver] = waiting
	return waiting[0]
}

func (x *exchange) handle(commander Commander, c *Command) (info string, err error) {
	defer func() {
		if v := recover(); v != nil {
			x.log.Error("command panicked", "receiver", c.Receiver, "command", c.Name, "err", v)
			info, err = "", &Error{Code: CodeUnavailable, Message: "internal error"}
		}
	}()
	return commander.Command(x.ctx, c)
}

func (x *exchange) reply(id uint64, info string, err error) {
	reply := &pluginpb.CommandReply{Id: id, Info: clip(info, maxInfoBytes)}
	if err != nil {
		reply.Error = &pluginpb.Error{Code: CodeOf(err), Message: err.Error()}
		if e, ok := errors.AsType[*Error](err); ok {
			reply.Error.Message, reply.Error.RetryAfterMs = e.Message, milliseconds(e.RetryAfter)
		}
		reply.Error.Message = clip(reply.Error.Message, maxErrorBytes)
	}
	x.outbox.post(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: reply}})
}

// drain hands out nothing more and waits for Deliver calls, some of which it
// cuts off as the end of ctx comes nearer.
func (x *exchange) drain(ctx context.Context) {
	x.sequencer.stop()
	whole := remaining(ctx)
	finish, cancel := context.WithTimeout(ctx, whole/2)
	x.sequencer.wait(finish)
	cancel()
	x.cutOff()
	giveUp, cancel := context.WithTimeout(ctx, whole/4)
	defer cancel()
	x.sequencer.wait(giveUp)
}
