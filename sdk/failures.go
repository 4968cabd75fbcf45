package sdk

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Failures remembers what does not get through, under names of the plugin's
// choice: a receiver, a server. Err is what [HealthReporter] returns. The zero
// value is empty; safe for concurrent use.
type Failures struct {
	mu   sync.Mutex
	last map[string]error
}

// Note remembers why something failed, in the place of an earlier reason.
func (f *Failures) Note(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		f.last = make(map[string]error)
	}
	f.last[what] = err
}

// Clear forgets it: it went well.
func (f *Failures) Clear(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.last, what)
}

// Err is nil while nothing fails, else the first by name, its reason, which it
// wraps, and how many more there are.
func (f *Failures) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.last) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(f.last)))
	err := fmt.Errorf("%s: %w", first, f.last[first])
	if more := len(f.last) - 1; more > 0 {
		err = fmt.Errorf("%w, and %d more", err, more)
	}
	return err
}
