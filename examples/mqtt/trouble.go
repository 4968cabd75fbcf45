package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// trouble remembers what does not get through. Safe for concurrent use.
type trouble struct {
	mu     sync.Mutex
	failed map[string]error
}

func (t *trouble) note(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = make(map[string]error)
	}
	t.failed[what] = err
}

func (t *trouble) clear(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, what)
}

// health is nil while all goes well, else what does not get through, the first
// of it, and why.
func (t *trouble) health() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failed) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(t.failed)))
	err := fmt.Errorf("%s: %w", first, t.failed[first])
	if more := len(t.failed) - 1; more > 0 {
		err = fmt.Errorf("%w, and %d more", err, more)
	}
	return err
}
