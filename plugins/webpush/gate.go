package webpush

import (
	"context"
	"sync"
)

// maxAtOnce bounds the requests to one push service at once. It is per service,
// so that one that hangs delays its own subscribers alone.
const maxAtOnce = 64

// gates let a bounded number in per origin; the others wait outside. The zero
// value is ready. There is an entry for each origin that is in use and no other.
type gates struct {
	mu     sync.Mutex
	places map[string]*gate
}

type gate struct {
	inside chan struct{}
	users  int // inside and waiting
}

// enter waits for a place. The caller calls leave once if err is nil.
func (g *gates) enter(ctx context.Context, origin string) (leave func(), err error) {
	g.mu.Lock()
	if g.places == nil {
		g.places = make(map[string]*gate)
	}
	at := g.places[origin]
	if at == nil {
		at = &gate{inside: make(chan struct{}, maxAtOnce)}
		g.places[origin] = at
	}
	at.users++
	g.mu.Unlock()
	select {
	case at.inside <- struct{}{}:
		return func() {
			<-at.inside
			g.release(origin)
		}, nil
	case <-ctx.Done():
		g.release(origin)
		return nil, ctx.Err()
	}
}

func (g *gates) release(origin string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.places[origin]; at.users == 1 {
		delete(g.places, origin)
	} else {
		at.users--
	}
}
