package websocket

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"mpush/sdk"
)

// attachment is a receiver's route on this channel for one generation.
type attachment struct {
	receiver   string
	generation uint64
}

// hub knows all sockets and which attachment is on which.
//
// Its lock and those of the sockets are held for moments only, never while
// something is waited for: dispatch and evict are called by the goroutine that
// reads for the whole channel.
type hub struct {
	ctx      context.Context // ends when the channel must
	host     sdk.Host
	settings settings
	buffers  sync.Pool      // of *[]byte, for frames that are being read
	wg       sync.WaitGroup // the sockets' readers and the sweep

	sending  sync.WaitGroup // what sockets' clients have asked of the core
	awaiting atomic.Int64   // how many of these there are

	mu       sync.RWMutex
	conns    map[*conn]struct{}
	attached map[attachment]*conn
	draining bool
	closed   bool
	ended    chan struct{} // closed with the hub
}

func newHub(ctx context.Context, host sdk.Host, s settings) *hub {
	return &hub{
		ctx:      ctx,
		host:     host,
		settings: s,
		buffers:  sync.Pool{New: func() any { return new([]byte) }},
		conns:    map[*conn]struct{}{},
		attached: map[attachment]*conn{},
		ended:    make(chan struct{}),
	}
}

// add takes a socket in and begins to read it. It reports false if the channel
// stops.
func (h *hub) add(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.conns[c] = struct{}{}
	h.wg.Go(c.run)
	return true
}

// remove forgets a socket and what is attached on it.
func (h *hub) remove(c *conn) {
	h.mu.Lock()
	delete(h.conns, c)
	h.mu.Unlock()
}

func (h *hub) attach(a attachment, c *conn) {
	h.mu.Lock()
	h.attached[a] = c
	h.mu.Unlock()
}

// unattach forgets an attachment: nothing is dispatched to it any more, and its
// eviction closes nothing. It reports whether the attachment was known.
func (h *hub) unattach(a attachment) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, known := h.attached[a]
	delete(h.attached, a)
	return known
}

// dispatch writes a message to the socket of its attachment. Without one there
// is nothing to do: the core hears of the end of attachments elsewhere.
func (h *hub) dispatch(d *sdk.Delivery) {
	h.mu.RLock()
	c := h.attached[attachment{d.Receiver, d.Generation}]
	h.mu.RUnlock()
	if c != nil {
		c.deliver(d.Message)
	}
}

// evict ends an attachment. Its socket is closed, unless it has gone on to
// another attachment meanwhile.
func (h *hub) evict(a attachment, why sdk.Eviction) {
	h.mu.Lock()
	c := h.attached[a]
	delete(h.attached, a)
	h.mu.Unlock()
	if c != nil {
		c.evicted(a, why)
	}
}

// sweepUntilClosed looks after all sockets: one timer is cheaper than two for
// each of them.
func (h *hub) sweepUntilClosed() {
	period := min(min(h.settings.AuthTimeout, h.settings.PingInterval)/4, time.Second)
	ticker := time.NewTicker(max(period, 25*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			h.sweep(now)
		case <-h.ended:
			return
		}
	}
}

// sweep closes the sockets that did not authenticate in time and those of dead
// clients, and pings the silent ones.
func (h *hub) sweep(now time.Time) {
	h.mu.RLock()
	all := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.RUnlock()
	for _, c := range all {
		c.sweep(now)
	}
}

// take makes room for one request to the core on behalf of a client. It reports
// false if there are too many, or if the channel stops.
func (h *hub) take() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.draining || h.awaiting.Load() >= maxAwaiting {
		return false
	}
	h.awaiting.Add(1)
	h.sending.Add(1)
	return true
}

func (h *hub) give() {
	h.awaiting.Add(-1)
	h.sending.Done()
}

// finishSending lets no more requests begin and waits for those under way, or
// for the end of ctx.
func (h *hub) finishSending(ctx context.Context) {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	_ = waitFor(ctx, &h.sending)
}

// close closes all sockets and takes no more in.
func (h *hub) close(reason string) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed, h.draining = true, true
	close(h.ended)
	all := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.Unlock()
	for _, c := range all {
		c.close(codeGoingAway, reason)
	}
}

// wait waits for the sockets' ends, and for what their clients asked.
func (h *hub) wait(ctx context.Context) error {
	if err := waitFor(ctx, &h.wg); err != nil {
		return err
	}
	return waitFor(ctx, &h.sending)
}

func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
