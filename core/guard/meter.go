package guard

import (
	"sync"
	"time"
)

// Meter bounds how fast one plugin sends, whoever has it do so. Safe for
// concurrent use. A nil Meter lets everything pass.
type Meter struct {
	limit string
	now   func() time.Time
	start time.Time

	mu     sync.Mutex
	open   bool // no limit
	bucket buckets[struct{}]
}

// NewMeter makes one that has counted nothing and lets everything pass until
// Change says otherwise. limit is the key in the configuration. Time is now's
// alone, as that of New.
func NewMeter(limit string, now func() time.Time) *Meter {
	return &Meter{limit: limit, now: now, start: now(), open: true}
}

// Change sets how many messages a second may pass for long, 0 for any number, and
// how many at once. What has passed before it stays counted.
func (m *Meter) Change(perSecond, burst int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = perSecond == 0
	if !m.open {
		m.bucket.change(newRate(time.Second, perSecond, burst), m.elapsed())
	}
}

// Take counts a message, or refuses it.
func (m *Meter) Take() *Refusal {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open {
		return nil
	}
	now := m.elapsed()
	found, wait := m.bucket.check(struct{}{}, now)
	if wait > 0 {
		return &Refusal{Limit: m.limit, What: "too many messages from", Whose: "this channel", After: wait}
	}
	m.bucket.take(found, struct{}{}, now)
	return nil
}

func (m *Meter) elapsed() time.Duration { return m.now().Sub(m.start) }
