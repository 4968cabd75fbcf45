package relay

import (
	"context"
	"log/slog"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

// History is what the keeper needs of the store.
type History interface {
	Overdue(ctx context.Context, from, to int64, n int) ([]record.Overdue, int64, error)
	Away(ctx context.Context, before int64, after string, n int) ([]string, error)
	Prune(ctx context.Context, before, keys int64, after message.MID, n int) (message.MID, error)
}

// Keeping says for how long things are kept. 0 is for ever.
type Keeping struct {
	History     time.Duration // of what has ended
	ForgetAfter time.Duration // of receivers that are away
}

// The keeper's rhythm and steps. A step is small enough that no sender notices
// it, and the pauses between steps leave the disk to them.
const (
	expireEvery = 5 * time.Second
	pruneEvery  = 10 * time.Minute
	forgetEvery = time.Hour
	overdueStep = 256 // items
	pruneStep   = 500
	awayStep    = 100
	stepPause   = 20 * time.Millisecond
)

// Keep ends what is over, forgets who is away and prunes the history, in small
// steps beside the traffic, until ctx ends. keeping is asked each time.
func (r *Relay) Keep(ctx context.Context, history History, keeping func() Keeping) {
	k := keeper{relay: r, history: history, keeping: keeping, log: r.log}
	expire, prune, forget := time.NewTicker(expireEvery), time.NewTicker(pruneEvery), time.NewTicker(forgetEvery)
	defer expire.Stop()
	defer prune.Stop()
	defer forget.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-expire.C:
			err = k.expire(ctx)
		case <-prune.C:
			err = k.prune(ctx)
		case <-forget.C:
			err = k.forget(ctx)
		}
		if err != nil && ctx.Err() == nil {
			k.log.Warn("the history could not be tidied", "err", err)
		}
	}
}

type keeper struct {
	relay   *Relay
	history History
	keeping func() Keeping
	log     *slog.Logger
	expired int64 // everything that expired up to here was seen to
}

// pause is the time between two steps.
func (k *keeper) pause(ctx context.Context) error {
	select {
	case <-time.After(stepPause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keeper) expire(ctx context.Context) error {
	to := k.relay.now().UnixMilli()
	// What is being written right now may expire before it is seen.
	to -= time.Second.Milliseconds()
	k.expired = min(k.expired, to) // a clock that was set back
	for k.expired < to {
		overdue, next, err := k.history.Overdue(ctx, k.expired, to, overdueStep)
		if err != nil {
			return err
		}
		for _, o := range overdue {
			if err := k.relay.Submit(ctx, &engine.Overdue{Overdue: o}); err != nil {
				return err
			}
		}
		k.expired = next
		if err := k.pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) prune(ctx context.Context) error {
	now := k.relay.now().UnixMilli()
	before := int64(0) // nothing
	if keep := k.keeping().History; keep > 0 {
		before = now - keep.Milliseconds()
	}
	for after := message.MID(0); ; {
		next, err := k.history.Prune(ctx, before, now-engine.KeyTime, after, pruneStep)
		if err != nil || next == 0 {
			return err
		}
		after = next
		if err := k.pause(ctx); err != nil {
			return err
		}
	}
}

func (k *keeper) forget(ctx context.Context) error {
	limit := k.keeping().ForgetAfter
	if limit <= 0 {
		return nil
	}
	now := k.relay.now().UnixMilli()
	before := now - limit.Milliseconds()
	// Who has been here for half of that is written down as seen, so that a crash
	// does not take all of it for absence.
	half := now - limit.Milliseconds()/2
	for after := ""; ; {
		names, err := k.history.Away(ctx, half, after, awayStep)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, name := range names {
			if err := k.relay.Submit(ctx, &engine.Away{Receiver: name, Before: before}); err != nil {
				return err
			}
		}
		after = names[len(names)-1]
		if err := k.pause(ctx); err != nil {
			return err
		}
	}
}
