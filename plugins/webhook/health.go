package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// status is how a client is. It is safe for concurrent use.
type status struct {
	mu       sync.Mutex
	disabled bool
	since    time.Time // of the first failure in a row; zero: the last try was good
	reason   string    // of the last one
}

// fail reports whether this failure is the first of a row.
func (s *status) fail(now time.Time, reason string) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.since.IsZero()
	if first {
		s.since = now
	}
	s.reason = reason
	return first
}

// succeed reports whether there were failures before, and since when.
func (s *status) succeed() (since time.Time, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since = s.since
	s.since, s.reason = time.Time{}, ""
	return since, !since.IsZero()
}

func (s *status) disable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled = true
}

func (s *status) isDisabled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disabled
}

// complaint is "" for a client that works, or was not tried yet.
func (s *status) complaint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.disabled:
		return "disabled, since it answered 410"
	case !s.since.IsZero():
		return fmt.Sprintf("failing since %s: %s", s.since.UTC().Format(time.RFC3339), s.reason)
	default:
		return ""
	}
}

// maxComplaints is how many clients Health names.
const maxComplaints = 5

// Health tells which clients do not get their messages. Its text changes only
// when a reason does, not with each attempt.
func (p *plugin) Health(context.Context) error {
	var bad []string
	for _, c := range p.order {
		if complaint := c.status.complaint(); complaint != "" {
			bad = append(bad, fmt.Sprintf("%q is %s", c.name, complaint))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	if more := len(bad) - maxComplaints; more > 0 {
		bad = append(bad[:maxComplaints], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(bad, "; "))
}
