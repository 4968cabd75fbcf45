package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"mpush/core/message"
	"mpush/core/record"
)

// Memory is the Store without a disk, for tests.
type Memory struct {
	// Fail, if set before the store is used, is asked at the start of each
	// call, by its name in lower case ("commit", "next" …). Its error is the
	// call's, and the call does nothing.
	Fail func(op string) error

	mu sync.Mutex
	memory
}

var _ Store = (*Memory)(nil)

// memory is what survives.
type memory struct {
	closed    bool
	lastMID   message.MID
	receivers map[string]*queue
	state     map[string]map[string][]byte // by channel and key
	sent      map[[2]string]record.Key     // by sender and name
	forgotten []*queue
}

// queue is a receiver with all that belongs to it.
type queue struct {
	record.Receiver
	routes map[string]*record.Route // by channel
	items  []*record.Queued         // items[seq-1]; nil where it was replayed or pruned
	sizes  []int64                  // of their messages, also of those
	bytes  int64
	gone   tally // what was pruned
	endAt  int64 // when it was forgotten
}

// first returns the place of the first item that matches, or -1.
func (q *queue) first(match func(*record.Queued) bool) int {
	return slices.IndexFunc(q.items, func(it *record.Queued) bool { return it != nil && match(it) })
}

func (q *queue) byMID(mid message.MID) *record.Queued {
	if i := q.first(func(it *record.Queued) bool { return it.MID == mid }); i >= 0 {
		return q.items[i]
	}
	return nil
}

// put adds an open item at the end.
func (q *queue) put(m *message.Message) (seq record.Seq, bytes int64) {
	q.bytes += int64(m.Size())
	seq = record.Seq(len(q.items) + 1)
	q.sizes = append(q.sizes, int64(m.Size()))
	q.items = append(q.items, &record.Queued{
		Item:    record.Item{Receiver: q.Name, Seq: seq, MID: m.MID, Status: message.Status{Rank: message.Ready}},
		Message: m,
	})
	return seq, q.bytes
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{memory: memory{
		receivers: make(map[string]*queue), state: make(map[string]map[string][]byte), sent: make(map[[2]string]record.Key),
	}}
}

// Reopen closes the store and returns one with what was committed, as a process
// would find it after a crash. Fail is handed on.
func (m *Memory) Reopen() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := &Memory{Fail: m.Fail, memory: m.memory}
	next.closed = false
	m.memory = memory{closed: true}
	return next
}

// enter is the start of each call. The caller unlocks m.mu if it returns nil.
func (m *Memory) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.Fail != nil {
		if err := m.Fail(op); err != nil {
			return err
		}
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// Load implements Store.
func (m *Memory) Load(ctx context.Context) (record.Registry, error) {
	if err := m.enter(ctx, "load"); err != nil {
		return record.Registry{}, err
	}
	defer m.mu.Unlock()
	reg := record.Registry{LastMID: m.lastMID}
	for _, name := range slices.Sorted(maps.Keys(m.receivers)) {
		q := m.receivers[name]
		tail := record.Tail{Receiver: q.Receiver, Seq: record.Seq(len(q.items)), Bytes: q.bytes}
		if first := q.first(func(it *record.Queued) bool { return it.State == record.Open }); first >= 0 {
			for _, size := range q.sizes[first:] {
				tail.Queued++
				tail.QueuedBytes += size
			}
		}
		reg.Receivers = append(reg.Receivers, tail)
		for _, channel := range slices.Sorted(maps.Keys(q.routes)) {
			r := *q.routes[channel]
			r.Address = clone(r.Address)
			reg.Routes = append(reg.Routes, r)
		}
	}
	return reg, nil
}

// Commit implements Store: it checks everything first, so that nothing is left
// to fail halfway.
func (m *Memory) Commit(ctx context.Context, ops []record.Op) error {
	if err := m.enter(ctx, "commit"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if err := check(ops, m.lastMID); err != nil {
		unfill(ops)
		return err
	}
	for _, op := range ops {
		m.apply(op)
	}
	return nil
}

// check finds what makes a batch invalid.
func check(ops []record.Op, last message.MID) error {
	for i, op := range ops {
		if p, ok := op.(*record.Put); ok {
			if err := checkPut(p, last); err != nil {
				return fmt.Errorf("operation %d, %T: %w", i, op, err)
			}
			last = p.Message.MID
		}
	}
	return nil
}

// checkPut finds what makes a Put invalid after the mid of an earlier one.
func checkPut(p *record.Put, last message.MID) error {
	if p.Message.MID <= last {
		return fmt.Errorf("mid %d is not above the last, %d", p.Message.MID, last)
	}
	if len(p.Receivers) > 1 {
		if names := slices.Sorted(slices.Values(p.Receivers)); len(slices.Compact(names)) < len(p.Receivers) {
			return fmt.Errorf("mid %d names a receiver twice", p.Message.MID)
		}
	}
	return nil
}

func (m *Memory) apply(op record.Op) {
	switch op := op.(type) {
	case *record.Put:
		m.put(op)
	case *record.Settle:
		m.settle(op.Item)
	case *record.Advance:
		if r := m.route(op.Receiver, op.Channel); r != nil {
			r.Cursor = max(r.Cursor, op.Cursor)
		}
	case *record.SaveReceiver:
		q := m.receivers[op.Receiver.Name]
		if q == nil {
			q = &queue{routes: make(map[string]*record.Route)}
			m.receivers[op.Receiver.Name] = q
		}
		q.Receiver = op.Receiver
	case *record.SaveRoute:
		if q := m.receivers[op.Route.Receiver]; q != nil {
			r := op.Route
			r.Address = clone(r.Address)
			if old := q.routes[r.Channel]; old != nil {
				r.Cursor = old.Cursor
			}
			q.routes[r.Channel] = &r
		}
	case *record.DropRoute:
		if q := m.receivers[op.Receiver]; q != nil {
			delete(q.routes, op.Channel)
		}
	case *record.Forget:
		op.Ended = 0
		q := m.receivers[op.Receiver]
		if q == nil {
			return
		}
		for _, it := range q.items {
			if it != nil && it.State == record.Open {
				op.Ended++
				it.State, it.EndedAt, it.Reason = record.Dead, op.At, op.Reason
				it.Status = it.Status.Max(message.Status{Rank: message.Failed})
			}
		}
		q.endAt = op.At
		delete(m.receivers, op.Receiver)
		m.forgotten = append(m.forgotten, q)
	case *record.Replay:
		m.replay(op)
	case *record.DropDead:
		if it := m.dead(op.Receiver, op.MID); it != nil {
			it.Reason = record.Dropped
		}
	case *record.PutState:
		if len(op.Value) == 0 {
			delete(m.state[op.Channel], op.Key)
			return
		}
		if m.state[op.Channel] == nil {
			m.state[op.Channel] = make(map[string][]byte)
		}
		m.state[op.Channel][op.Key] = clone(op.Value)
	}
}

func (m *Memory) put(p *record.Put) {
	m.lastMID = p.Message.MID
	p.Seqs = make([]record.Seq, len(p.Receivers))
	p.Bytes = make([]int64, len(p.Receivers))
	for i, name := range p.Receivers {
		q := m.receivers[name]
		if q == nil {
			continue
		}
		p.Seqs[i], p.Bytes[i] = q.put(p.Message)
		if k := p.Key; k != nil {
			m.sent[[2]string{k.Sender, k.Name}] = record.Key{Sender: k.Sender, Name: k.Name, Digest: k.Digest, MID: p.Message.MID, At: k.At}
		}
	}
}

func (m *Memory) settle(now record.Item) {
	q := m.receivers[now.Receiver]
	if q == nil || now.Seq < 1 || int(now.Seq) > len(q.items) || q.items[now.Seq-1] == nil {
		return
	}
	it := &q.items[now.Seq-1].Item
	if it.MID != now.MID || it.State != record.Open {
		return
	}
	it.Status = it.Status.Max(now.Status)
	it.Tries = max(it.Tries, now.Tries)
	if it.SentAt == 0 {
		it.SentAt = now.SentAt
	}
	it.Error = cmp.Or(now.Error, it.Error)
	if now.State != record.Open {
		it.State, it.EndedAt, it.Reason = now.State, now.EndedAt, now.Reason
	}
}

func (m *Memory) route(receiver, channel string) *record.Route {
	if q := m.receivers[receiver]; q != nil {
		return q.routes[channel]
	}
	return nil
}

// Next implements Store.
func (m *Memory) Next(ctx context.Context, receiver string, after record.Seq, n, maxBytes int) (items []record.Queued, more bool, err error) {
	if err := m.enter(ctx, "next"); err != nil {
		return nil, false, err
	}
	defer m.mu.Unlock()
	q := m.receivers[receiver]
	if q == nil {
		return nil, false, nil
	}
	n = max(n, 1)
	bytes := 0
	for _, it := range q.items[min(max(int(after), 0), len(q.items)):] {
		if it == nil || it.State != record.Open {
			continue
		}
		bytes += it.Message.Size()
		if len(items) == n || len(items) > 0 && bytes > maxBytes {
			return items, true, nil
		}
		items = append(items, *it)
	}
	return items, false, nil
}

// Find implements Store.
func (m *Memory) Find(ctx context.Context, receiver string, mid message.MID) (item record.Queued, found bool, err error) {
	if err := m.enter(ctx, "find"); err != nil {
		return record.Queued{}, false, err
	}
	defer m.mu.Unlock()
	q := m.receivers[receiver]
	if q == nil {
		return record.Queued{}, false, nil
	}
	it := q.byMID(mid)
	if it == nil {
		return record.Queued{}, false, nil
	}
	return *it, true, nil
}

// State implements Store.
func (m *Memory) State(ctx context.Context, channel, prefix string) (map[string][]byte, error) {
	if err := m.enter(ctx, "state"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	entries := make(map[string][]byte)
	for key, value := range m.state[channel] {
		if strings.HasPrefix(key, prefix) {
			entries[key] = clone(value)
		}
	}
	return entries, nil
}

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.closed = true
	return nil
}

// clone copies b; what is empty becomes nil.
func clone(b []byte) []byte { return append([]byte(nil), b...) }
