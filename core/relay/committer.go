package relay

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mpush/core/engine"
	"mpush/core/record"
	"mpush/core/store"
)

var errStopped = errors.New("the relay has stopped")

// maxWaitingBytes is how much may wait for the disk before nothing more is taken
// from the plugins.
const maxWaitingBytes = 16 << 20

// fullLogEvery is how often a disk that stays full is complained about.
const fullLogEvery = 10 * time.Second

// lazyDelay is how long writes that nobody waits for may wait for company.
const lazyDelay = 5 * time.Millisecond

// fullRetry is the pause before what could not be written is tried again.
const fullRetry = time.Second

// job is something for the store: writes or one read.
type job struct {
	refused error // found out before the commit; ops are empty then
	ops     []record.Op
	token   uint64      // the engine's, 0 for none
	written func(error) // somebody else's
	urgent  bool        // do not wait for company
	done    func()      // called when it and all before it were dealt with; or nil

	load   *engine.Load
	find   *engine.Find
	trace  *engine.Trace
	lookUp *engine.LookUp
	read   func(context.Context)
}

// maxLoads is how many queues are read between two commits. When a channel with many
// receivers comes, each asks for its queue at once.
const maxLoads = 32

// committer carries jobs to the store: all writes that wait, in order, in one
// transaction; then the reads, which so see every write asked for before them.
type committer struct {
	store store.Store
	log   *slog.Logger

	staged []job // the loop's own, until release

	mu     sync.Mutex
	jobs   []job
	urgent bool
	bytes  int           // of jobs, and of those that are being done
	room   chan struct{} // closed when there is room again; nil if nobody waits
	events []engine.Event
	err    error

	wake    chan struct{} // jobs came
	results chan struct{} // events came
	fatal   chan struct{} // closed with err set

	observe func(Commit) // or nil

	loads  []*engine.Load     // that wait for their turn
	traces chan *engine.Trace // that wait for the tracer; it has room for all

	kept       []record.Op // writes that nobody waits for and the disk had no room for
	complained time.Time   // of a full disk
	states     stateSizes
}

func (c *committer) init(s store.Store, log *slog.Logger) {
	c.store, c.log = s, log
	c.traces = make(chan *engine.Trace, engine.MaxTraces)
	c.wake, c.results, c.fatal = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
}

// stage collects a round's jobs without a lock; release hands them over.
func (c *committer) stage(j job) { c.staged = append(c.staged, j) }

func (c *committer) release() {
	if len(c.staged) == 0 {
		return
	}
	c.add(c.staged...)
	clear(c.staged)
	c.staged = c.staged[:0]
}

func (c *committer) add(jobs ...job) {
	c.mu.Lock()
	c.jobs = append(c.jobs, jobs...)
	for i := range jobs {
		c.urgent = c.urgent || jobs[i].urgent
		c.bytes += jobs[i].size()
	}
	c.mu.Unlock()
	notify(c.wake)
}

// jobBytes is about what a job takes besides its writes.
const jobBytes = 256

// size is about what a job holds in memory.
func (j *job) size() int {
	bytes := jobBytes
	for _, op := range j.ops {
		switch op := op.(type) {
		case *record.Put:
			bytes += 128 + op.Message.Size() + 64*len(op.Receivers)
		case *record.PutState:
			bytes += 128 + len(op.Value)
		default:
			bytes += 256
		}
	}
	return bytes
}

// behind tells whether the disk does not keep up.
func (c *committer) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes >= maxWaitingBytes
}

// waitForRoom returns when the disk keeps up, or done is closed.
func (c *committer) waitForRoom(done <-chan struct{}) {
	for {
		c.mu.Lock()
		if c.bytes < maxWaitingBytes {
			c.mu.Unlock()
			return
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-done:
			return
		}
	}
}

// finished takes done jobs off.
func (c *committer) finished(bytes int) {
	c.mu.Lock()
	c.bytes -= bytes
	if c.room != nil && c.bytes < maxWaitingBytes {
		close(c.room)
		c.room = nil
	}
	c.mu.Unlock()
	notify(c.results) // the loop may wait for room
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// takeEvents returns what the store answered.
func (c *committer) takeEvents() []engine.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.events
	c.events = nil
	return events
}

func (c *committer) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// run ends after a last commit when ctx ends, or when the store fails.
func (c *committer) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var later <-chan time.Time // set while something waits for company
	for c.failure() == nil {
		now := false
		select {
		case <-c.wake:
		case <-later:
			now = true
		case <-ctx.Done():
		}
		stopping := ctx.Err() != nil
		now = now || len(c.loads) > 0
		c.mu.Lock()
		now, waiting := now || c.urgent || stopping, len(c.jobs) > 0
		c.mu.Unlock()
		switch {
		case now:
			later = nil
			c.commit(context.WithoutCancel(ctx))
			if len(c.kept) > 0 {
				timer.Reset(fullRetry)
				later = timer.C
			}
			if len(c.loads) > 0 {
				notify(c.wake)
			}
		case waiting && later == nil:
			timer.Reset(lazyDelay)
			later = timer.C
		}
		if stopping {
			return
		}
	}
}

// commit writes all that waits, then reads.
func (c *committer) commit(ctx context.Context) {
	c.mu.Lock()
	jobs := c.jobs
	c.jobs, c.urgent = nil, false
	c.mu.Unlock()

	ops, bytes := c.kept, 0
	for i := range jobs {
		if jobs[i].load == nil { // else it is not done with this round
			bytes += jobs[i].size()
		}
		if put := jobs[i].state(); put != nil {
			if jobs[i].refused = c.states.admit(ctx, c.store, put); jobs[i].refused != nil {
				jobs[i].ops = nil
			}
		}
		ops = append(ops, jobs[i].ops...)
	}
	defer func() {
		c.finished(bytes)
		for i := range jobs {
			if jobs[i].done != nil {
				jobs[i].done()
			}
		}
	}()
	c.kept = nil
	var err error
	if len(ops) > 0 {
		err = c.transact(ctx, ops)
	}
	if err != nil && !errors.Is(err, store.ErrFatal) {
		c.states.forget()
		if now := time.Now(); now.Sub(c.complained) >= fullLogEvery {
			c.complained = now
			c.log.Error("messages can not be stored and are refused", "err", err)
		}
		if lazy := unawaited(jobs, ops); len(lazy) > 0 {
			if again := c.transact(ctx, lazy); errors.Is(again, store.ErrFatal) {
				err = again
			} else if again != nil {
				c.kept = latest(lazy)
			}
		}
	}
	if errors.Is(err, store.ErrFatal) {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		close(c.fatal)
		return
	}
	if errors.Is(err, store.ErrFull) {
		err = store.ErrFull // where the file is and what failed is in the log, not for senders
	}
	c.report(ctx, jobs, err)
}

// unawaited picks out of a failed batch what nobody waits for and so nobody
// would repeat: the ends of items. They are written alone, now or later.
func unawaited(jobs []job, failed []record.Op) []record.Op {
	awaited := make(map[record.Op]bool)
	for i := range jobs {
		if jobs[i].token != 0 || jobs[i].written != nil {
			for _, op := range jobs[i].ops {
				awaited[op] = true
			}
		}
	}
	return slices.DeleteFunc(failed, func(op record.Op) bool { return awaited[op] })
}

// latest keeps the last word on each item, and on each receiver.
func latest(ops []record.Op) []record.Op {
	type place struct {
		receiver string
		seq      record.Seq // of an item, which is never 0
	}
	seen := make(map[place]bool)
	var kept []record.Op
	for _, op := range slices.Backward(ops) {
		var p place
		switch op := op.(type) {
		case *record.Settle:
			p = place{op.Item.Receiver, op.Item.Seq}
		case *record.SaveReceiver:
			p = place{receiver: op.Receiver.Name}
		}
		if p.receiver != "" && seen[p] {
			continue
		}
		seen[p] = true
		kept = append(kept, op)
	}
	slices.Reverse(kept)
	return kept
}
