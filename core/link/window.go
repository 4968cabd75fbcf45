package link

import (
	"context"
	"sync"
	"time"
)

// maxWaiting is how much of one plugin may wait for the relay and its disk, in
// bytes: beyond it nothing more is read from that plugin, so that one that floods
// waits for its own flood, and others for a small part of it.
const maxWaiting = 2 << 20

// eventCost is what an event costs in memory besides what it carries, in bytes.
const eventCost = 256

// Who was kept waiting for patienceWithFloods of the last floodSpan is flooding.
const (
	patienceWithFloods = time.Second
	floodSpan          = 10 * time.Second
)

// window counts what waits. One goroutine enters, another leaves.
type window struct {
	mu   sync.Mutex
	used int
	room chan struct{} // closed when something has left; nil if nobody waits
}

// enter waits until there is room. What is larger than all of it enters alone.
func (w *window) enter(ctx context.Context, bytes int) error {
	for {
		w.mu.Lock()
		if w.used == 0 || w.used+bytes <= maxWaiting {
			w.used += bytes
			w.mu.Unlock()
			return nil
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave makes room. It does not block.
func (w *window) leave(bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= bytes
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// waits adds up how long a reader was kept waiting.
type waits struct {
	since time.Time
	total time.Duration
}

// add tells whether so much waiting is a flood.
func (w *waits) add(now time.Time, waited time.Duration) bool {
	if now.Sub(w.since) > floodSpan {
		w.since, w.total = now, 0
	}
	w.total += waited
	if w.total < patienceWithFloods {
		return false
	}
	w.since, w.total = now, 0
	return true
}
