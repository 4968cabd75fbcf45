package sdk

import "slices"

// maxRecent is as many messages as a plugin commonly holds per receiver.
const maxRecent = 32

// recentMIDs are the last messages of something, at most maxRecent. The zero
// value is empty.
type recentMIDs struct {
	ring []int64
	next int
}

func (r *recentMIDs) add(mid int64) {
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, mid)
		return
	}
	r.ring[r.next] = mid
	r.next = (r.next + 1) % maxRecent
}

func (r *recentMIDs) remove(mid int64) {
	if !r.has(mid) {
		return
	}
	// From the oldest on, so that add can lengthen it again.
	ring := slices.Concat(r.ring[r.next:], r.ring[:r.next])
	r.ring, r.next = slices.DeleteFunc(ring, func(m int64) bool { return m == mid }), 0
}

func (r *recentMIDs) has(mid int64) bool { return slices.Contains(r.ring, mid) }

func (r *recentMIDs) empty() bool { return len(r.ring) == 0 }
