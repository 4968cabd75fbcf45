package link

import (
	"runtime"
	"sync"

	"google.golang.org/protobuf/proto"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/sdk/pluginpb"
)

// maxControlBytes is how much control may wait before nothing more is read from
// the plugin: it asks faster than it reads the answers.
const maxControlBytes = 4 << 20

// Bounds of one frame. The last envelope may go over maxFrameBytes, and so may
// the routes of the message in it, which are bounded by as much again. No message
// is larger than message.MaxSize, so that a frame stays under 3 MiB.
const (
	maxFrameEnvelopes = 256
	maxFrameBytes     = 256 << 10
)

// outbox is what waits to be sent to the plugin. Answers and other control go
// first and in order. Deliveries wait outside of them, each receiver's in a
// queue of its own, and are taken in turn, so that one long queue delays nobody
// and what is recalled before it was sent is never sent.
//
// It is bounded by what feeds it: the engine leases at most a prefetch per
// route, and requests are read while there is room for answers.
type outbox struct {
	mu      sync.Mutex
	control []sized
	bytes   int               // of control
	room    chan struct{}     // closed when there is room again; nil if nobody waits
	queues  map[string]*queue // by receiver
	turns   []*queue          // queues with something in them
	spare   []*queue
	closed  bool
	wake    chan struct{}
}

// sized is an envelope with its size in a frame.
type sized struct {
	*pluginpb.CoreEnvelope
	size int
}

// queue is a receiver's deliveries, none of them sent yet.
type queue struct {
	receiver string
	waiting  []*engine.Deliver
}

func newOutbox() *outbox {
	return &outbox{queues: make(map[string]*queue), wake: make(chan struct{}, 1)}
}

// close makes the outbox drop everything, now and later.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.control, o.turns, o.queues = nil, nil, nil
	o.release()
}

// release lets those go on who wait for room. Call with mu held.
func (o *outbox) release() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// waitForRoom returns when more may be asked for, or done is closed.
func (o *outbox) waitForRoom(done <-chan struct{}) {
	for {
		o.mu.Lock()
		if o.closed || o.bytes < maxControlBytes {
			o.mu.Unlock()
			return
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-done:
			return
		}
	}
}

// add appends control. Call with mu held.
func (o *outbox) add(env *pluginpb.CoreEnvelope) {
	size := proto.Size(env) + 64 // what a small one takes in memory is more
	o.control = append(o.control, sized{env, size})
	o.bytes += size
}

// post appends one control envelope.
func (o *outbox) post(env *pluginpb.CoreEnvelope) {
	o.mu.Lock()
	if !o.closed {
		o.add(env)
	}
	o.mu.Unlock()
	o.notify()
}

func (o *outbox) notify() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// deliver queues a delivery. Call with mu held.
func (o *outbox) deliver(d *engine.Deliver) {
	q := o.queues[d.Receiver]
	if q == nil {
		if n := len(o.spare); n > 0 {
			q, o.spare = o.spare[n-1], o.spare[:n-1]
			q.receiver = d.Receiver
		} else {
			q = &queue{receiver: d.Receiver}
		}
		o.queues[d.Receiver] = q
		o.turns = append(o.turns, q)
	}
	for i, waiting := range q.waiting {
		if waiting.Message == d.Message && waiting.Generation == d.Generation {
			// It was not sent yet: one is enough.
			again := *d
			again.Attempt = waiting.Attempt
			q.waiting[i] = &again
			return
		}
	}
	q.waiting = append(q.waiting, d)
}

// withdraw removes unsent deliveries that match and tells whether with them the
// plugin never hears of the lease: one that is only to be sent again is known
// there. Call with mu held.
func (o *outbox) withdraw(receiver string, match func(*engine.Deliver) bool) bool {
	q := o.queues[receiver]
	if q == nil {
		return false
	}
	kept, unheard := q.waiting[:0], false
	for _, d := range q.waiting {
		if match(d) {
			unheard = unheard || d.Attempt == 0
		} else {
			kept = append(kept, d)
		}
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept // an empty queue leaves when its turn comes
	return unheard
}

// take fills a frame, or reports false if nothing waits.
func (o *outbox) take(frame *pluginpb.CoreFrame) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	bytes := 0
	for len(frame.Envelopes) < maxFrameEnvelopes && bytes < maxFrameBytes && len(o.control) > 0 {
		env := o.control[0]
		o.control[0] = sized{}
		o.control = o.control[1:]
		frame.Envelopes = append(frame.Envelopes, env.CoreEnvelope)
		bytes += env.size
		o.bytes -= env.size
	}
	if len(o.control) == 0 {
		o.control = nil
	}
	if o.bytes < maxControlBytes {
		o.release()
	}
	var last *message.Message
	var batch *pluginpb.Deliver
	turn, routes := 0, 0
	for turn < len(o.turns) {
		q := o.turns[turn]
		if len(q.waiting) > 0 {
			d := q.waiting[0]
			if d.Message != last {
				if len(frame.Envelopes) >= maxFrameEnvelopes || bytes+routes >= maxFrameBytes {
					break
				}
				last = d.Message
				batch = &pluginpb.Deliver{Message: encodeMessage(last)}
				frame.Envelopes = append(frame.Envelopes, &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: batch}})
				bytes += last.Size() + 64
			} else if routes >= maxFrameBytes {
				break // not at bytes: in another frame the whole message is sent again
			}
			q.waiting[0] = nil
			q.waiting = q.waiting[1:]
			batch.Routes = append(batch.Routes, &pluginpb.DeliverRoute{
				Receiver: d.Receiver, Generation: d.Generation, Address: d.Address,
				Attempt: uint32(d.Attempt), IntervalMs: uint32(d.Interval),
			})
			routes += len(d.Receiver) + len(d.Address) + 24
		}
		turn++
		if len(q.waiting) > 0 {
			o.turns = append(o.turns, q)
		} else {
			delete(o.queues, q.receiver)
			q.waiting = nil
			if len(o.spare) < 1024 {
				o.spare = append(o.spare, q)
			}
		}
	}
	o.turns = append(o.turns[:0], o.turns[turn:]...)
	return len(frame.Envelopes) > 0
}

// pump sends frames until done is closed or send fails. It yields before each:
// without that, batches hardly form and each envelope costs a system call.
func (o *outbox) pump(done <-chan struct{}, send func(*pluginpb.CoreFrame) error) error {
	for {
		select {
		case <-o.wake:
		case <-done:
			return nil
		}
		for {
			runtime.Gosched()
			frame := &pluginpb.CoreFrame{}
			if !o.take(frame) {
				break
			}
			if err := send(frame); err != nil {
				return err
			}
		}
	}
}

func encodeMessage(m *message.Message) *pluginpb.Message {
	return &pluginpb.Message{
		Mid: int64(m.MID), SendType: pluginpb.SendType(m.SendType), Target: m.Target,
		FromMethod: m.FromMethod, FromName: m.FromName, Text: m.Text, Desp: m.Desp, Extra: m.Extra,
	}
}
