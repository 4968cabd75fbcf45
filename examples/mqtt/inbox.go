package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/eclipse/paho.golang/paho"
)

// arrival is what has come from the broker by one of its connections.
type arrival struct {
	packet *paho.Publish
	client *paho.Client
}

// inbox holds what has come and was not taken yet, in order. Of what must be
// acknowledged the broker sends no more than maxUnacked; of what need not, as
// much as it likes: there one too many is lost. Safe for concurrent use.
type inbox struct {
	mu      sync.Mutex
	waiting []arrival
	news    chan struct{} // holds one when there may be something
}

func newInbox() *inbox { return &inbox{news: make(chan struct{}, 1)} }

// put never blocks: its caller is who reads the connection.
func (b *inbox) put(a arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.packet.QoS == 0 && len(b.waiting) >= maxUnacked {
		slog.Warn("a message of QoS 0 is lost: more come than can be taken", "topic", a.packet.Topic)
		return
	}
	b.waiting = append(b.waiting, a)
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// next waits for the oldest. ok is false when ctx has ended.
func (b *inbox) next(ctx context.Context) (a arrival, ok bool) {
	for ctx.Err() == nil {
		b.mu.Lock()
		if len(b.waiting) > 0 {
			a, b.waiting = b.waiting[0], b.waiting[1:]
			b.mu.Unlock()
			return a, true
		}
		b.mu.Unlock()
		select {
		case <-b.news:
		case <-ctx.Done():
		}
	}
	return arrival{}, false
}

// clear forgets what must be acknowledged: its connection is gone, and the
// broker sends it again by the next.
func (b *inbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.waiting[:0]
	for _, a := range b.waiting {
		if a.packet.QoS == 0 {
			kept = append(kept, a)
		}
	}
	clear(b.waiting[len(kept):])
	b.waiting = kept
}
