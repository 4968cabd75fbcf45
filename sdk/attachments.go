package sdk

// maxDetachments bounds what is remembered of connections that ended. Leases
// that were under way to a forgotten one reach the plugin, which has no
// connection for them.
const maxDetachments = 4096

// detachments are the latest generations that the plugin or the core ended,
// oldest first.
// The zero value is empty.
type detachments struct {
	generations map[string]uint64 // by receiver, the newest
	order       []detachment      // a ring
	next        int
}

type detachment struct {
	receiver   string
	generation uint64
}

// add reports whether this is news.
func (d *detachments) add(receiver string, generation uint64) bool {
	if generation <= d.generations[receiver] {
		return false
	}
	if d.generations == nil {
		d.generations = map[string]uint64{}
	}
	d.generations[receiver] = generation
	entry := detachment{receiver, generation}
	if len(d.order) < maxDetachments {
		d.order = append(d.order, entry)
		return true
	}
	oldest := d.order[d.next]
	if d.generations[oldest.receiver] == oldest.generation {
		delete(d.generations, oldest.receiver)
	}
	d.order[d.next] = entry
	d.next = (d.next + 1) % maxDetachments
	return true
}

// covers tells whether a delivery of this generation comes too late.
func (d *detachments) covers(receiver string, generation uint64) bool {
	latest, ok := d.generations[receiver]
	return ok && generation <= latest
}

// attach begins a generation that the core has granted.
func (s *sequencer) attach(receiver string, generation uint64, policy Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.routes[receiver]
	if r == nil {
		r = &route{receiver: receiver}
		s.routes[receiver] = r
	} else {
		r.begin(generation)
	}
	r.generation = generation
	r.attached = true
	r.resends = policy.Prefetch > 1 && policy.Resend > 0
}

// detach ends a generation from the plugin's side. What the core has leased for
// it meanwhile is skipped when it arrives. It reports whether the core must
// hear of it.
func (s *sequencer) detach(receiver string, generation uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.detached.add(receiver, generation) {
		return false
	}
	s.end(receiver, generation)
	return true
}

// evict ends a generation from the core's side: nothing comes for it any more.
func (s *sequencer) evict(receiver string, generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detached.add(receiver, generation)
	s.end(receiver, generation)
}

func (s *sequencer) end(receiver string, generation uint64) {
	r := s.routes[receiver]
	if r == nil || r.generation > generation {
		return
	}
	r.end()
	s.tidy(r)
}
