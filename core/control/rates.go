package control

import (
	"context"
	"sync"
	"time"
)

// Rates are taken over the last minute, or since the start if that is shorter.
const (
	sampleEvery = 5 * time.Second
	rateOver    = time.Minute
)

// sample is what was counted at a moment.
type sample struct {
	at              time.Time
	accepted, acked uint64
}

// rates remembers the samples of the last minute, the oldest first. The zero
// value has none.
type rates struct {
	mu      sync.Mutex
	began   time.Time
	samples []sample
}

// add takes a sample.
func (r *rates) add(at time.Time, accepted, acked uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = at
	}
	r.samples = append(r.samples, sample{at, accepted, acked})
	for len(r.samples) > 1 && at.Sub(r.samples[1].at) >= rateOver {
		r.samples = r.samples[1:]
	}
}

// start is when the first sample was taken.
func (r *rates) start() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began
}

// now tells the rates until a moment, at which so many were counted.
func (r *rates) now(at time.Time, accepted, acked uint64) Rates {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) == 0 {
		return Rates{}
	}
	first := r.samples[0]
	seconds := at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return Rates{}
	}
	return Rates{
		Accepted: float64(accepted-first.accepted) / seconds, Acked: float64(acked-first.acked) / seconds, Seconds: seconds,
	}
}

// sample takes samples until ctx ends.
func (s *Server) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		accepted, acked := s.Counts()
		s.rates.add(time.Now(), accepted, acked)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
