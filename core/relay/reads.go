package relay

import (
	"cmp"
	"context"
	"slices"

	"mpush/core/engine"
)

func (c *committer) report(ctx context.Context, jobs []job, err error) {
	var unread error // a read must not miss what could not be written yet
	if len(c.kept) > 0 {
		unread = err
	}
	var events []engine.Event
	for i := range jobs { // before what the reads bring
		switch j := &jobs[i]; {
		case j.token != 0:
			events = append(events, &engine.Written{Token: j.token, Err: err})
		case j.written != nil:
			j.written(cmp.Or(j.refused, err))
		}
	}
	c.tell(events)
	events = nil
	for i := range jobs {
		switch j := &jobs[i]; {
		case j.read != nil:
			j.read(ctx)
		case j.load != nil:
			c.loads = append(c.loads, j.load)
		case j.find != nil:
			found := &engine.Found{Token: j.find.Token, Err: unread}
			if unread == nil {
				found.Item, _, found.Err = c.store.Find(ctx, j.find.Receiver, j.find.MID)
			}
			events = append(events, found)
		case j.trace != nil && unread != nil:
			events = append(events, &engine.Traced{Token: j.trace.Token, Err: unread})
		case j.trace != nil:
			c.traces <- j.trace
		case j.lookUp != nil:
			sent := &engine.Sent{Token: j.lookUp.Token, Err: unread}
			if unread == nil {
				sent.Key, sent.Found, sent.Err = c.store.Sent(ctx, j.lookUp.Sender, j.lookUp.Name)
			}
			events = append(events, sent)
		}
	}
	c.tell(append(events, c.load(ctx, unread)...))
}

// load reads queues whose turn it is.
func (c *committer) load(ctx context.Context, unread error) (events []engine.Event) {
	n := min(len(c.loads), maxLoads)
	if unread != nil {
		n = len(c.loads)
	}
	if n == 0 {
		return nil
	}
	for _, load := range c.loads[:n] {
		loaded := &engine.Loaded{Token: load.Token, Err: unread}
		if unread == nil {
			loaded.Items, loaded.More, loaded.Err = c.store.Next(ctx, load.Receiver, load.After, load.N, load.MaxBytes)
		}
		if loaded.Err != nil && unread == nil { // else it has been said
			c.log.Error("a queue could not be read", "receiver", load.Receiver, "err", loaded.Err)
		}
		events = append(events, loaded)
	}
	c.loads = slices.Delete(c.loads, 0, n)
	c.finished(n * jobBytes)
	return events
}

// tell hands the engine what the store answered.
func (c *committer) tell(events []engine.Event) {
	if len(events) == 0 {
		return
	}
	c.mu.Lock()
	c.events = append(c.events, events...)
	c.mu.Unlock()
	notify(c.results)
}

// trace reads messages with all their items, which may be many, while others commit.
// It sees what was written before it was asked for, and perhaps more.
func (c *committer) trace(ctx context.Context) {
	for {
		select {
		case trace := <-c.traces:
			traced := &engine.Traced{Token: trace.Token}
			traced.Message, traced.Items, traced.Err = c.store.Trace(ctx, trace.MID)
			c.tell([]engine.Event{traced})
		case <-ctx.Done():
			return
		}
	}
}
