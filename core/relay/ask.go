package relay

import (
	"context"
	"sync"

	"mpush/core/engine"
)

// Desk asks the engine for those who are no channel, such as the operator. Its
// methods may be called from any goroutine.
type Desk struct {
	relay *Relay
	link  engine.LinkID

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan engine.AnswerBody
}

// Desk opens a desk. It lasts as long as the relay.
func (r *Relay) Desk(ctx context.Context) (*Desk, error) {
	d := &Desk{relay: r, waiting: make(map[uint64]chan engine.AnswerBody)}
	var err error
	d.link, err = r.Open(ctx, "", 0, d)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Ask submits the event that make returns for a link and a request, and waits for
// its answer. A refusal is an *engine.Refusal.
func (d *Desk) Ask(ctx context.Context, make func(engine.LinkID, engine.RequestID) engine.Event) (engine.AnswerBody, error) {
	d.mu.Lock()
	d.last++
	number := d.last
	answer := newAnswer()
	d.waiting[number] = answer
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.waiting, number)
		d.mu.Unlock()
	}()
	if err := d.relay.Submit(ctx, make(d.link, engine.RequestID{Number: number})); err != nil {
		return nil, err
	}
	select {
	case body := <-answer:
		if refusal, refused := body.(*engine.Refusal); refused {
			return nil, refusal
		}
		return body, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.relay.done:
		return nil, errStopped
	}
}

// newAnswer has room for the answer, so that nobody waits for who has left.
func newAnswer() chan engine.AnswerBody { return make(chan engine.AnswerBody, 1) }

// Send implements Sink.
func (d *Desk) Send(effects []engine.Effect) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, effect := range effects {
		if a, ok := effect.(*engine.Answer); ok {
			if answer := d.waiting[a.Request.Number]; answer != nil {
				answer <- a.Body
				delete(d.waiting, a.Request.Number)
			}
		}
	}
}
