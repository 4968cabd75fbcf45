package sdk

import (
	"sync"

	"mpush/sdk/pluginpb"
)

// calls are the requests that the core has not answered.
type calls struct {
	mu      sync.Mutex
	last    uint64
	pending map[uint64]*call
	closed  bool
}

type call struct {
	// answer gets the one answer; it is closed when there will be none.
	answer chan *pluginpb.CoreEnvelope
	// attach is set for Attach: its answer takes effect when it is read, not
	// when the caller comes around to it.
	attach *Attach
	// abandoned: the caller has given up, but the answer has still an effect.
	abandoned bool
}

// open registers a request and returns its id, 0 if the stream has ended.
func (c *calls) open(attach *Attach) (uint64, *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, nil
	}
	if c.pending == nil {
		c.pending = map[uint64]*call{}
	}
	c.last++
	made := &call{answer: make(chan *pluginpb.CoreEnvelope, 1), attach: attach}
	c.pending[c.last] = made
	return c.last, made
}

// take removes the request that an answer is for, nil if there is none.
func (c *calls) take(id uint64) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.pending[id]
	delete(c.pending, id)
	return taken
}

// abandon gives up waiting. It reports false if the answer has been taken
// already, and so arrives in a moment.
func (c *calls) abandon(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	abandoned, ok := c.pending[id]
	if !ok {
		return c.closed
	}
	abandoned.abandoned = true
	if abandoned.attach == nil {
		delete(c.pending, id)
	}
	return true
}

// close ends all requests without an answer.
func (c *calls) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, left := range c.pending {
		close(left.answer)
	}
	c.pending = nil
}
