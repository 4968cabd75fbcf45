package guard

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// takeOne is what the Guard does for one request.
func (b *buckets[K]) takeOne(key K, now time.Duration) bool {
	found, wait := b.check(key, now)
	if wait > 0 {
		return false
	}
	b.take(found, key, now)
	return true
}

func (b *buckets[K]) consistent(t *testing.T) {
	t.Helper()
	if len(b.queue) != len(b.byKey) || len(b.queue) > maxRemembered {
		t.Fatalf("%d in the queue, %d by key", len(b.queue), len(b.byKey))
	}
	for i, one := range b.queue {
		if b.byKey[one.key] != one || one.rank > one.full || b.queue[(i-1+i%2)/2].rank > one.rank {
			t.Fatalf("%+v at %d", one, i)
		}
	}
}

// As long as nothing is given up, buckets are what they are by definition.
func TestBucketsAgreeWithTheirModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := buckets[int]{rate: newRate(time.Second, 3, 7)}
	type model struct{ left, at float64 }
	models := make(map[int]*model)
	now := time.Duration(0)
	for step := range 50_000 {
		now += time.Duration(random.Int64N(int64(100 * time.Millisecond)))
		key := random.IntN(100)
		m := models[key]
		if m == nil {
			m = &model{left: 7}
			models[key] = m
		}
		m.left = min(7, m.left+(now.Seconds()-m.at)*3)
		m.at = now.Seconds()
		took := b.takeOne(key, now)
		if took != (m.left >= 1) && (m.left < 0.999 || m.left > 1.001) {
			t.Fatalf("step %d: took %v with %v left", step, took, m.left)
		}
		if took {
			m.left--
		}
	}
	b.consistent(t)
}

// A change of the rate leaves each what it has taken, and who is forgotten first.
func TestChangedRateLeavesWhatWasTaken(t *testing.T) {
	b := buckets[int]{rate: newRate(time.Second, 1, 20)}
	for key := range 1000 {
		for range 1 + key%20 {
			b.takeOne(key, 0)
		}
	}
	const now = 5500 * time.Millisecond
	b.change(newRate(time.Second, 4, 10), now)
	b.consistent(t)
	for key := range 1000 {
		left := time.Duration(1+key%20)*time.Second - now
		want := now + min(max(left/4, 0), 2500*time.Millisecond)
		if got := max(b.byKey[key].full, now); got != want {
			t.Fatalf("%d is full at %v, want %v", key, got, want)
		}
	}
	for last := time.Duration(0); len(b.queue) > 0; b.forget() {
		first := b.first(1)
		if first == nil || first.full < last {
			t.Fatalf("%+v after what is full at %v", first, last)
		}
		last = first.full
	}
}

func TestWhatIsFullAgainIsForgotten(t *testing.T) {
	b := buckets[int]{rate: newRate(time.Second, 1, 10)}
	for key := range 1000 {
		for range 1 + key%10 {
			b.takeOne(key, 0)
		}
	}
	// Each newcomer makes room for itself and one more.
	for key := range 2000 {
		b.takeOne(10_000+key, time.Minute)
	}
	b.consistent(t)
	for key := range 1000 {
		if b.byKey[key] != nil {
			t.Fatalf("%d is remembered", key)
		}
	}
	if len(b.queue) != 2000 {
		t.Errorf("%d remembered", len(b.queue))
	}
}

func TestMemoryIsBounded(t *testing.T) {
	b := buckets[int]{rate: newRate(time.Second, 1, 10)}
	for key := range 3 * maxRemembered {
		b.takeOne(key, time.Duration(key))
	}
	b.consistent(t)
	if len(b.queue) != maxRemembered {
		t.Errorf("%d remembered", len(b.queue))
	}
}

// A crowd that takes as little as it can does not make the table forget one who
// has taken much, however large it is.
func TestNobodyIsForgottenForACrowd(t *testing.T) {
	b := buckets[string]{rate: newRate(time.Second, 1, 10)}
	for range 10 {
		b.takeOne("greedy", 0)
	}
	for i := range 3 * maxRemembered {
		b.takeOne(fmt.Sprint(i), time.Duration(i))
		if b.takeOne("greedy", time.Duration(i)) {
			t.Fatalf("forgotten for %d others", i)
		}
	}
	// It is when all others have taken more, ten times as many.
	for i := range maxRemembered {
		for range 10 {
			b.takeOne(fmt.Sprint("greedier", i), 500*time.Millisecond)
		}
	}
	if !b.takeOne("greedy", 500*time.Millisecond) {
		t.Error("still remembered")
	}
	b.consistent(t)
}

// A newcomer is served while the table is full of others.
func TestCrowdLocksNobodyOut(t *testing.T) {
	b := buckets[int]{rate: newRate(time.Second, 1, 10)}
	for key := range 2 * maxRemembered {
		for range 10 {
			b.takeOne(key, 0)
		}
	}
	if !b.takeOne(-1, 0) {
		t.Error("refused")
	}
}
