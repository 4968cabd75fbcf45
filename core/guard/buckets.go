package guard

import (
	"container/heap"
	"time"
)

// rate is a bucket's size and how fast it fills, both at least 1.
type rate struct {
	every time.Duration // one is filled in
	burst int
}

// longest bounds the time in which an empty bucket is full.
const longest = 30 * 24 * time.Hour

// newRate fills n in a period.
func newRate(period time.Duration, n, burst int) rate {
	every := max(period/time.Duration(max(n, 1)), 1)
	return rate{every: every, burst: min(max(burst, 1), int(longest/every))}
}

// buckets remembers, for each key, how much it has taken of what it may. A key
// that is not remembered has a full bucket.
//
// A bucket that is full again is forgotten without loss. When there are too
// many, the one that would be full first is given up: who wants to be forgotten
// early must make maxRemembered others take more than he did, which gains him
// less than he had from those.
//
// The zero value is ready.
type buckets[K comparable] struct {
	rate  rate
	byKey map[K]*bucket[K]
	queue queue[K]
}

// bucket is one key's. Times are since the Guard's start.
type bucket[K comparable] struct {
	key  K
	full time.Duration // when it is full again; it only ever grows, but for change
	rank time.Duration // its place in the queue: full, or what that was
}

// change makes buckets fill at another rate. What was taken of each stays taken, all
// of it at most, and is filled at the new rate: who has emptied one that was slow
// does not wait for that.
func (b *buckets[K]) change(to rate, now time.Duration) {
	old := b.rate
	b.rate = to
	if to == old {
		return
	}
	for _, one := range b.queue {
		if left := one.full - now; left > 0 {
			if to.every != old.every {
				// In a float, since it may be more than a Duration holds.
				gone := float64(left) / float64(old.every)
				left = time.Duration(min(gone*float64(to.every), float64(longest)))
			}
			one.full = now + min(left, to.every*time.Duration(to.burst))
		}
		one.rank = one.full
	}
	heap.Init(&b.queue)
}

// check returns a key's bucket, nil for a full one, and how long it is until
// one may be taken: 0 for now.
func (b *buckets[K]) check(key K, now time.Duration) (*bucket[K], time.Duration) {
	found := b.byKey[key]
	if found == nil {
		return nil, 0
	}
	wait := max(found.full, now) + b.rate.every - now - b.rate.every*time.Duration(b.rate.burst)
	return found, max(wait, 0)
}

// take takes one of what check has returned for the key, and returns how many
// are gone with it.
func (b *buckets[K]) take(found *bucket[K], key K, now time.Duration) int {
	if found == nil {
		found = b.add(key, now)
	}
	found.full = max(found.full, now) + b.rate.every
	return int((found.full - now + b.rate.every - 1) / b.rate.every)
}

// add remembers a key. For each that comes up to two that need not be
// remembered go.
func (b *buckets[K]) add(key K, now time.Duration) *bucket[K] {
	for range 2 {
		if first := b.first(1); first != nil && first.full <= now {
			b.forget()
		}
	}
	if len(b.queue) >= maxRemembered {
		b.first(len(b.queue))
		b.forget()
	}
	if b.byKey == nil {
		b.byKey = make(map[K]*bucket[K])
	}
	added := &bucket[K]{key: key, full: now, rank: now}
	b.byKey[key] = added
	heap.Push(&b.queue, added)
	return added
}

// first brings the bucket that will be full first to the front of the queue and
// returns it, or nil if that is not done in so many steps, or there is none.
//
// Taking does not move a bucket, so that it costs nothing. Ranks are therefore
// at most too low, and each is mended once for all that was taken since.
func (b *buckets[K]) first(steps int) *bucket[K] {
	for ; len(b.queue) > 0; steps-- {
		front := b.queue[0]
		if front.rank == front.full {
			return front
		}
		if steps == 0 {
			break
		}
		front.rank = front.full
		heap.Fix(&b.queue, 0)
	}
	return nil
}

// forget drops the front of the queue.
func (b *buckets[K]) forget() {
	dropped := heap.Pop(&b.queue).(*bucket[K])
	delete(b.byKey, dropped.key)
}

// queue is a heap by rank; of equal ranks the order is that of container/heap.
type queue[K comparable] []*bucket[K]

func (q queue[K]) Len() int           { return len(q) }
func (q queue[K]) Less(i, j int) bool { return q[i].rank < q[j].rank }
func (q queue[K]) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue[K]) Push(x any) { *q = append(*q, x.(*bucket[K])) }

// Pop implements heap.Interface.
func (q *queue[K]) Pop() any {
	last := len(*q) - 1
	popped := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return popped
}
