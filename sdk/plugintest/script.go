package plugintest

import (
	"time"

	"google.golang.org/protobuf/proto"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// Send sends envelopes as one frame. It may be called from any goroutine; what
// cannot be sent any more is dropped.
func (c *Core) Send(envelopes ...*pluginpb.CoreEnvelope) {
	c.sending.Lock()
	defer c.sending.Unlock()
	_ = c.stream.Send(&pluginpb.CoreFrame{Envelopes: envelopes})
}

// Deliver leases a message to one receiver that the plugin has a route to, and
// returns its mid. Missing are filled in: the mid, the send type and target
// (personal, the receiver) and the method ("http").
func (c *Core) Deliver(receiver string, m *pluginpb.Message) (mid int64) {
	c.t.Helper()
	return c.DeliverTo([]string{receiver}, m)
}

// DeliverTo leases one message to several receivers, in one envelope.
func (c *Core) DeliverTo(receivers []string, m *pluginpb.Message) (mid int64) {
	c.t.Helper()
	c.mu.Lock()
	m = proto.CloneOf(m)
	if m.GetMid() == 0 {
		m.Mid = c.book.nextMID()
	}
	if m.GetTarget() == "" {
		m.SendType, m.Target = sdk.Personal, receivers[0]
	}
	if m.GetFromMethod() == "" {
		m.FromMethod = "http"
	}
	deliver := &pluginpb.Deliver{Message: m}
	var missing string
	for _, receiver := range receivers {
		r := c.book.routes[receiver]
		if r == nil {
			missing = receiver
			continue
		}
		r.sent[m.GetMid()] = m
		deliver.Routes = append(deliver.Routes, r.lease(receiver, m.GetMid()))
	}
	c.mu.Unlock()
	if missing != "" {
		c.t.Fatalf("deliver: the plugin has no route to %q", missing)
	}
	c.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: deliver}})
	return m.GetMid()
}

func (r *route) lease(receiver string, mid int64) *pluginpb.DeliverRoute {
	lease := &pluginpb.DeliverRoute{
		Receiver: receiver, Generation: r.generation, Address: r.address,
		Attempt: r.attempts[mid], IntervalMs: max(r.policy.GetResendMs(), r.policy.GetRetryMs()),
	}
	if lease.IntervalMs == 0 {
		lease.IntervalMs = 3000
	}
	r.attempts[mid]++
	return lease
}

// Resend delivers a message of this receiver's route once more.
func (c *Core) Resend(receiver string, mid int64) {
	c.t.Helper()
	c.mu.Lock()
	var deliver *pluginpb.Deliver
	if r := c.book.routes[receiver]; r != nil && r.sent[mid] != nil {
		deliver = &pluginpb.Deliver{Message: r.sent[mid], Routes: []*pluginpb.DeliverRoute{r.lease(receiver, mid)}}
	}
	c.mu.Unlock()
	if deliver == nil {
		c.t.Fatalf("resend: %d was not delivered to %q", mid, receiver)
	}
	c.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: deliver}})
}

// Recall takes a delivered message back.
func (c *Core) Recall(receiver string, mid int64) {
	c.t.Helper()
	c.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Recall{Recall: &pluginpb.Recall{
		Receiver: receiver, Generation: c.Generation(receiver), Mid: mid,
	}}})
}

// Evict ends the receiver's route.
func (c *Core) Evict(receiver string, why sdk.Eviction) {
	c.t.Helper()
	generation := c.Generation(receiver)
	c.mu.Lock()
	delete(c.book.routes, receiver)
	c.mu.Unlock()
	c.Send(evict(receiver, generation, why))
}

// Generation returns the current generation of the receiver's route.
func (c *Core) Generation(receiver string) uint64 {
	c.t.Helper()
	c.mu.Lock()
	r := c.book.routes[receiver]
	c.mu.Unlock()
	if r == nil {
		c.t.Fatalf("the plugin has no route to %q", receiver)
	}
	return r.generation
}

// Command sends a claimed command of an authenticated receiver and waits for
// the reply.
func (c *Core) Command(name, receiver, group, data string) *pluginpb.CommandReply {
	c.t.Helper()
	c.mu.Lock()
	id := uint64(c.book.nextMID())
	c.mu.Unlock()
	c.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{
		Id: id, Command: name, Data: []byte(data), Receiver: receiver, Group: group,
	}}})
	return c.Await(func(e *pluginpb.PluginEnvelope) bool {
		return e.GetCommandReply() != nil && e.GetCommandReply().GetId() == id
	}).GetCommandReply()
}

// Outcome waits for the next outcome.
func (c *Core) Outcome() *pluginpb.Outcome {
	c.t.Helper()
	return Next[*pluginpb.PluginEnvelope_Outcome](c).Outcome
}

// Next waits for the next envelope with a body of type B, such as
// *pluginpb.PluginEnvelope_Publish. Each envelope is returned once.
func Next[B any](c *Core) B {
	c.t.Helper()
	e := c.Await(func(e *pluginpb.PluginEnvelope) bool {
		_, ok := any(e.GetBody()).(B)
		return ok
	})
	return any(e.GetBody()).(B)
}

// Await waits for the next envelope that match accepts. Each envelope is
// returned once. The test fails if there is none within Patience.
func (c *Core) Await(match func(*pluginpb.PluginEnvelope) bool) *pluginpb.PluginEnvelope {
	c.t.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	for {
		found, news := c.find(match)
		if found != nil {
			return found
		}
		select {
		case <-news:
		case <-timeout.C:
			c.t.Fatalf("the plugin did not send what was awaited within %v", Patience)
		}
	}
}

// Seen returns, without waiting, what has arrived and was not returned by Next
// or Await, oldest first.
func (c *Core) Seen() []*pluginpb.PluginEnvelope {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append([]*pluginpb.PluginEnvelope(nil), c.seen...)
	if c.current != nil {
		all = append(all, c.current)
	}
	return all
}

func (c *Core) find(match func(*pluginpb.PluginEnvelope) bool) (*pluginpb.PluginEnvelope, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.seen {
		if match(e) {
			c.seen = append(c.seen[:i:i], c.seen[i+1:]...)
			return e, nil
		}
	}
	return nil, c.news
}

// arrived comes before the answer: who has that finds the envelope in Seen.
func (c *Core) arrived(e *pluginpb.PluginEnvelope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = e
}

// note comes after the answer: who has awaited the envelope sends what follows that.
func (c *Core) note(e *pluginpb.PluginEnvelope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	c.seen = append(c.seen, e)
	close(c.news)
	c.news = make(chan struct{})
}
