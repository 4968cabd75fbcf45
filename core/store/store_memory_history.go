package store

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// dead returns a living receiver's dead letter that is not dropped, or nil.
func (m *Memory) dead(receiver string, mid message.MID) *record.Queued {
	q := m.receivers[receiver]
	if q == nil {
		return nil
	}
	if it := q.byMID(mid); it != nil && it.State == record.Dead && it.Reason != record.Dropped {
		return it
	}
	return nil
}

func (m *Memory) replay(p *record.Replay) {
	p.Seq, p.Bytes, p.Until = 0, 0, 0
	it := m.dead(p.Receiver, p.MID)
	if it == nil {
		return
	}
	again := *it.Message
	if again.ExpiresAt != 0 && again.ExpiresAt <= p.At || !m.waits(p.MID) {
		again.ExpiresAt = p.ExpiresAt
	}
	for _, q := range m.all() { // it is one message for all its receivers
		for _, other := range q.items {
			if other != nil && other.MID == p.MID {
				other.Message = &again
			}
		}
	}
	q := m.receivers[p.Receiver]
	q.items[it.Seq-1] = nil
	p.Seq, p.Bytes = q.put(&again)
	p.Until = again.ExpiresAt
}

// waits tells whether a message is open for somebody.
func (m *Memory) waits(mid message.MID) bool {
	for _, q := range m.receivers {
		if it := q.byMID(mid); it != nil && it.State == record.Open {
			return true
		}
	}
	return false
}

// all are the queues of the living and the forgotten, by name.
func (m *Memory) all() []*queue {
	queues := slices.Concat(slices.Collect(maps.Values(m.receivers)), m.forgotten)
	slices.SortStableFunc(queues, func(a, b *queue) int { return cmp.Compare(a.Name, b.Name) })
	return queues
}

// Trace implements Store.
func (m *Memory) Trace(ctx context.Context, mid message.MID) (about *message.Message, items []record.Item, err error) {
	if err := m.enter(ctx, "trace"); err != nil {
		return nil, nil, err
	}
	defer m.mu.Unlock()
	for _, q := range m.all() {
		if it := q.byMID(mid); it != nil {
			about = it.Message
			items = append(items, it.Item)
		}
	}
	return about, items, nil
}

// Dead implements Store.
func (m *Memory) Dead(ctx context.Context, receiver string, below message.MID, n int) (letters []record.Queued, err error) {
	if err := m.enter(ctx, "dead"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for name, q := range m.receivers {
		for _, it := range q.items {
			if it != nil && it.State == record.Dead && it.Reason != record.Dropped && (receiver == "" || receiver == name) && (below == 0 || it.MID < below) {
				letters = append(letters, *it)
			}
		}
	}
	slices.SortFunc(letters, func(a, b record.Queued) int {
		return cmp.Or(cmp.Compare(b.MID, a.MID), cmp.Compare(a.Receiver, b.Receiver))
	})
	bytes := 0
	for i := range letters {
		if i > 0 && letters[i].MID == letters[i-1].MID {
			continue
		}
		if i > 0 && (i >= n || bytes >= MaxDeadBytes) {
			return letters[:i], nil
		}
		bytes += letters[i].Message.Size()
	}
	return letters, nil
}

// Sent implements Store.
func (m *Memory) Sent(ctx context.Context, sender, name string) (key record.Key, found bool, err error) {
	if err := m.enter(ctx, "sent"); err != nil {
		return record.Key{}, false, err
	}
	defer m.mu.Unlock()
	key, found = m.sent[[2]string{sender, name}]
	return key, found, nil
}

// Audit implements Store.
func (m *Memory) Audit(ctx context.Context) (accounts []record.Account, err error) {
	if err := m.enter(ctx, "audit"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, q := range m.all() {
		a := q.gone
		a.Receiver, a.Forgotten = q.Name, m.receivers[q.Name] != q
		for _, it := range q.items {
			if it != nil {
				a.count(it.State)
			}
		}
		accounts = append(accounts, a.Account)
	}
	return accounts, nil
}

// tally counts items by what became of them.
type tally struct{ record.Account }

func (t *tally) count(state record.State) {
	t.Accepted++
	switch state {
	case record.Open:
		t.Pending++
	case record.Acked:
		t.Acked++
	case record.HandedOff:
		t.HandedOff++
	case record.Dead:
		t.Dead++
	}
}

// Overdue implements Store.
func (m *Memory) Overdue(ctx context.Context, from, to int64, n int) (overdue []record.Overdue, next int64, err error) {
	if err := m.enter(ctx, "overdue"); err != nil {
		return nil, 0, err
	}
	defer m.mu.Unlock()
	for _, q := range m.all() {
		o := record.Overdue{Receiver: q.Name}
		for _, it := range q.items {
			if it != nil && it.State == record.Open && it.Message.ExpiresAt > max(from, 0) && it.Message.ExpiresAt <= to {
				o.First, o.Last = cmp.Or(o.First, it.Seq), it.Seq
			}
		}
		if o.First != 0 {
			overdue = append(overdue, o)
		}
	}
	return overdue, to, nil
}

// Away implements Store.
func (m *Memory) Away(ctx context.Context, before int64, after string, n int) (names []string, err error) {
	if err := m.enter(ctx, "away"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.receivers)) {
		if name > after && m.receivers[name].SeenAt < before && len(names) < n {
			names = append(names, name)
		}
	}
	return names, nil
}

// Prune implements Store.
func (m *Memory) Prune(ctx context.Context, before, keys int64, after message.MID, n int) (next message.MID, err error) {
	if err := m.enter(ctx, "prune"); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	maps.DeleteFunc(m.sent, func(_ [2]string, k record.Key) bool { return after == 0 && k.At <= keys })
	for _, q := range m.all() {
		for i, it := range q.items {
			if it != nil && it.MID > after && it.Message.AcceptedAt < before && it.State != record.Open && it.EndedAt < before {
				q.gone.count(it.State)
				q.items[i] = nil
			}
		}
	}
	m.forgotten = slices.DeleteFunc(m.forgotten, func(q *queue) bool {
		return q.endAt < before && q.first(func(*record.Queued) bool { return true }) < 0
	})
	return 0, nil
}
