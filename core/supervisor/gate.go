package supervisor

import (
	"sync"
	"time"
)

// gate makes channels that start together wait for one another: it opens when
// each has arrived (declared its routes, or failed), or when the time is up,
// and stays open.
type gate struct {
	open  chan struct{}
	timer *time.Timer

	mu      sync.Mutex
	missing int
}

func newGate(channels int, limit time.Duration) *gate {
	g := &gate{open: make(chan struct{}), missing: channels}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer = time.AfterFunc(limit, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.openNow()
	})
	if channels == 0 {
		g.openNow()
	}
	return g
}

// join has the gate wait for more channels, if it is not open yet.
func (g *gate) join(channels int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		return false
	default:
		g.missing += channels
		return true
	}
}

// arrive counts one channel. Each calls it once.
func (g *gate) arrive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.missing--; g.missing == 0 {
		g.openNow()
	}
}

func (g *gate) openNow() {
	select {
	case <-g.open:
	default:
		g.timer.Stop()
		close(g.open)
	}
}
