package webpush

import (
	"fmt"
	"slices"
	"sync"
)

// failuresToTell is how many pushes must fail in a row before health says so.
const failuresToTell = 3

// pulse tells whether pushes fail for everybody, which points at this server
// (its keys, its subject, its proxy, its network), or for one receiver, which is
// that receiver's own affair. The zero value is ready.
type pulse struct {
	mu       sync.Mutex
	tried    few // since the start
	failing  few // since the last push that a service took
	failures int // in a row
	last     error
}

// few holds the names of two at most: more need not be told apart.
type few []string

func (f few) with(name string) few {
	if len(f) < 2 && !slices.Contains(f, name) {
		f = append(f, name)
	}
	return f
}

// beat notes how a push ended.
func (p *pulse) beat(receiver string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried = p.tried.with(receiver)
	if err == nil {
		p.failing, p.failures, p.last = nil, 0, nil
		return
	}
	p.failing = p.failing.with(receiver)
	p.failures++
	p.last = err
}

// health returns nil or that nothing gets through, with the last reason.
func (p *pulse) health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failures < failuresToTell || len(p.failing) < len(p.tried) {
		return nil
	}
	return fmt.Errorf("the last %d pushes have failed: %w", p.failures, p.last)
}
