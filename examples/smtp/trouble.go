package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// trouble remembers which receivers' last message did not get through. Safe for
// concurrent use.
type trouble struct {
	mu     sync.Mutex
	failed map[string]error
}

func (t *trouble) note(receiver string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = make(map[string]error)
	}
	t.failed[receiver] = err
}

func (t *trouble) clear(receiver string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, receiver)
}

// health is nil while all goes well, else how many receivers get nothing, and
// why the first of them does not.
func (t *trouble) health() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failed) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(t.failed)))
	return fmt.Errorf("%d receivers get nothing, such as %q: %w", len(t.failed), first, t.failed[first])
}
