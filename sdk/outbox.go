package sdk

import (
	"context"
	"runtime"
	"sync"

	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

const (
	maxBatchEnvelopes = 256
	maxBatchBytes     = 256 << 10
	// maxFrameBytes bounds a frame and so an envelope, below what gRPC takes by
	// default in any language.
	maxFrameBytes = 3 << 20
	// maxOutboxBytes: while more than this is unsent, requests wait.
	maxOutboxBytes = 1 << 20
)

// outbox holds what is to be sent to the core, in order. Outcomes are appended
// at once: there are no more of them than leases. Whatever else a plugin sends
// waits in reserve while the outbox is full.
type outbox struct {
	mu     sync.Mutex
	queue  []*pluginpb.PluginEnvelope
	bytes  int           // in queue and in the batch being sent
	sizes  []int         // of queue
	room   chan struct{} // closed when there is room again; nil if nobody waits
	idle   chan struct{} // closed when all is sent; nil if nobody waits
	closed bool
	wake   chan struct{} // one token: there is something to send
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// post appends without waiting. After close it does nothing.
func (o *outbox) post(e *pluginpb.PluginEnvelope) {
	size := sizeOf(e)
	o.mu.Lock()
	o.append(e, size)
	o.mu.Unlock()
}

func (o *outbox) append(e *pluginpb.PluginEnvelope, size int) {
	if o.closed {
		return
	}
	o.queue = append(o.queue, e)
	o.sizes = append(o.sizes, size)
	o.bytes += size
	if len(o.queue) == 1 {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// put appends when there is room. It fails if ctx or the stream ends first, or
// if the envelope can never be sent.
func (o *outbox) put(ctx context.Context, e *pluginpb.PluginEnvelope) error {
	size := sizeOf(e)
	if size > maxFrameBytes-64 {
		return &Error{Code: CodeTooLarge, Message: "too large for one frame"}
	}
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return errCoreGone()
		}
		if o.bytes < maxOutboxBytes {
			o.append(e, size)
			o.mu.Unlock()
			return nil
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take returns the next envelopes, at least one unless nothing is there.
func (o *outbox) take(batch []*pluginpb.PluginEnvelope) (_ []*pluginpb.PluginEnvelope, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for n < len(o.queue) && n < maxBatchEnvelopes && (n == 0 || bytes+o.sizes[n] <= maxBatchBytes) {
		bytes += o.sizes[n]
		n++
	}
	batch = append(batch, o.queue[:n]...)
	if n == len(o.queue) {
		clear(o.queue)
		o.queue, o.sizes = o.queue[:0], o.sizes[:0]
	} else {
		o.queue, o.sizes = o.queue[n:], o.sizes[n:]
	}
	return batch, bytes
}

// sent takes a batch's bytes off and lets those go on who waited for it.
func (o *outbox) sent(bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= bytes
	if o.bytes < maxOutboxBytes {
		release(&o.room)
	}
	if o.bytes == 0 {
		release(&o.idle)
	}
}

func release(waiting *chan struct{}) {
	if *waiting != nil {
		close(*waiting)
		*waiting = nil
	}
}

// flush returns when everything is sent, or ctx or the stream has ended.
func (o *outbox) flush(ctx context.Context) {
	o.mu.Lock()
	if o.closed || o.bytes == 0 {
		o.mu.Unlock()
		return
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// close drops what is unsent and refuses more.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.queue, o.sizes = nil, nil
	release(&o.room)
	release(&o.idle)
}

// run sends until ctx ends or send fails, and closes the outbox.
func (o *outbox) run(ctx context.Context, send func(*pluginpb.PluginFrame) error) error {
	defer o.close()
	for {
		select {
		case <-o.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		for {
			// Let those append who are about to: without this, batches hardly
			// form and each envelope costs a system call.
			runtime.Gosched()
			batch, bytes := o.take(nil)
			if len(batch) == 0 {
				break
			}
			if err := send(&pluginpb.PluginFrame{Envelopes: batch}); err != nil {
				return err
			}
			o.sent(bytes)
		}
	}
}

// sizeOf is an envelope's share of a frame, in bytes; a little more than it is
// for outcomes, which are by far the most.
func sizeOf(e *pluginpb.PluginEnvelope) int {
	if body, ok := e.Body.(*pluginpb.PluginEnvelope_Outcome); ok {
		return 64 + len(body.Outcome.Receiver) + len(body.Outcome.Error)
	}
	return proto.Size(e) + 8
}
