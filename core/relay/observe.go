package relay

import (
	"context"
	"time"

	"mpush/core/engine"
	"mpush/core/record"
)

// Commit is a transaction that the store was asked for.
type Commit struct {
	Took     time.Duration
	Messages int // that it was to accept
	Err      error
}

// Observe has an observer told what becomes of messages, and another of each
// transaction. They are called from the relay's goroutines and must not block. Call
// it before Run.
func (r *Relay) Observe(messages engine.Observer, commits func(Commit)) {
	r.engine.Observe(messages)
	r.committer.observe = commits
}

// transact has the store commit, and tells of it.
func (c *committer) transact(ctx context.Context, ops []record.Op) error {
	if c.observe == nil {
		return c.store.Commit(ctx, ops)
	}
	messages := 0
	for _, op := range ops {
		if _, is := op.(*record.Put); is {
			messages++
		}
	}
	before := time.Now()
	err := c.store.Commit(ctx, ops)
	c.observe(Commit{Took: time.Since(before), Messages: messages, Err: err})
	return err
}
