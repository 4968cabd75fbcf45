package engine

import "container/heap"

// timer is embedded in what has a deadline, so that setting one allocates
// nothing. The zero value is not set.
type timer struct {
	at    int64
	order uint64 // breaks ties, so that equal deadlines fire as they were set
	index int    // place in the heap + 1; 0 is not set
	owner interface{ fire(*Engine) }
}

type timers struct {
	heap  timerHeap
	order uint64
}

// set moves t to a deadline, whether it was set or not.
func (ts *timers) set(t *timer, at int64) {
	ts.order++
	t.at, t.order = at, ts.order
	if t.index > 0 {
		heap.Fix(&ts.heap, t.index-1)
		return
	}
	heap.Push(&ts.heap, t)
}

// clear does nothing to a timer that is not set.
func (ts *timers) clear(t *timer) {
	if t.index > 0 {
		heap.Remove(&ts.heap, t.index-1)
	}
}

// due removes and returns the next timer that is due, or nil.
func (ts *timers) due(now int64) *timer {
	if len(ts.heap) == 0 || ts.heap[0].at > now {
		return nil
	}
	return heap.Pop(&ts.heap).(*timer)
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.index = len(*h)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = 0
	return t
}
