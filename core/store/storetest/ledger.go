package storetest

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"mpush/core/message"
	"mpush/core/record"
)

// ledger is a second reading of the contract to hold stores against: flat lists
// that are searched from end to end, and a batch works on a copy of them.
type ledger struct {
	last    message.MID
	holders []holder
	routes  []owned[record.Route]
	items   []owned[record.Queued]
	entries []record.PutState
	keys    []record.Key
}

// holder is one life of a name; its place in the list identifies it.
type holder struct {
	record.Receiver
	gone    bool
	goneAt  int64
	deleted bool // with all that it had
}

type owned[T any] struct {
	by  int
	rec T
	// void: an item that was replayed has left this place; pruned: one that was
	// deleted, of which the books still know.
	void, pruned bool
}

func (o *owned[T]) there() bool { return !o.void && !o.pruned }

func (l *ledger) living(name string) int {
	return slices.IndexFunc(l.holders, func(h holder) bool { return h.Name == name && !h.gone })
}

// commit returns the ledger after the batch; l itself stays as it was.
func (l *ledger) commit(ops []record.Op) (*ledger, error) {
	next := &ledger{l.last, slices.Clone(l.holders), slices.Clone(l.routes), slices.Clone(l.items), slices.Clone(l.entries), slices.Clone(l.keys)}
	for _, op := range ops {
		if err := next.apply(op); err != nil {
			return l, err
		}
	}
	return next, nil
}

func (l *ledger) apply(op record.Op) error {
	switch op := op.(type) {
	case *record.Put:
		return l.put(op)
	case *record.Settle:
		by := l.living(op.Item.Receiver)
		for i := range l.items {
			if it := &l.items[i].rec.Item; l.items[i].by == by && l.items[i].there() && it.Seq == op.Item.Seq && it.MID == op.Item.MID && it.State == record.Open {
				*it = merged(*it, op.Item)
			}
		}
	case *record.Advance:
		by := l.living(op.Receiver)
		for i := range l.routes {
			if r := &l.routes[i]; r.by == by && r.rec.Channel == op.Channel && op.Cursor > r.rec.Cursor {
				r.rec.Cursor = op.Cursor
			}
		}
	case *record.SaveReceiver:
		if by := l.living(op.Receiver.Name); by >= 0 {
			l.holders[by].Receiver = op.Receiver
			return nil
		}
		l.holders = append(l.holders, holder{Receiver: op.Receiver})
	case *record.SaveRoute:
		by := l.living(op.Route.Receiver)
		if by < 0 {
			return nil
		}
		route := owned[record.Route]{by: by, rec: op.Route}
		i := slices.IndexFunc(l.routes, func(r owned[record.Route]) bool { return r.by == by && r.rec.Channel == op.Route.Channel })
		if i < 0 {
			l.routes = append(l.routes, route)
			return nil
		}
		route.rec.Cursor = l.routes[i].rec.Cursor
		l.routes[i] = route
	case *record.DropRoute:
		by := l.living(op.Receiver)
		l.routes = slices.DeleteFunc(l.routes, func(r owned[record.Route]) bool { return r.by == by && r.rec.Channel == op.Channel })
	case *record.Forget:
		op.Ended = 0
		by := l.living(op.Receiver)
		if by < 0 {
			return nil
		}
		l.holders[by].gone, l.holders[by].goneAt = true, op.At
		for i := range l.items {
			if it := &l.items[i].rec.Item; l.items[i].by == by && l.items[i].there() && it.State == record.Open {
				op.Ended++
				*it = merged(*it, record.Item{
					Receiver: it.Receiver, Seq: it.Seq, MID: it.MID, State: record.Dead, EndedAt: op.At, Reason: op.Reason,
					Status: message.Status{Rank: message.Failed}, Tries: it.Tries,
				})
			}
		}
		l.routes = slices.DeleteFunc(l.routes, func(r owned[record.Route]) bool { return r.by == by })
	case *record.Replay:
		l.replay(op)
	case *record.DropDead:
		if i := l.dead(op.Receiver, op.MID); i >= 0 {
			l.items[i].rec.Reason = record.Dropped
		}
	case *record.PutState:
		l.entries = slices.DeleteFunc(l.entries, func(e record.PutState) bool { return e.Channel == op.Channel && e.Key == op.Key })
		if len(op.Value) > 0 {
			l.entries = append(l.entries, *op)
		}
	}
	return nil
}

func (l *ledger) put(p *record.Put) error {
	if p.Message.MID <= l.last {
		return errors.New("mid does not rise")
	}
	for i, name := range p.Receivers {
		if slices.Contains(p.Receivers[:i], name) {
			return errors.New("named twice")
		}
	}
	l.last = p.Message.MID
	p.Seqs, p.Bytes = nil, nil
	for _, name := range p.Receivers {
		by := l.living(name)
		if by < 0 {
			p.Seqs, p.Bytes = append(p.Seqs, 0), append(p.Bytes, 0)
			continue
		}
		seq, bytes := l.end(by)
		seq, bytes = seq+1, bytes+int64(p.Message.Size())
		p.Seqs, p.Bytes = append(p.Seqs, seq), append(p.Bytes, bytes)
		l.items = append(l.items, owned[record.Queued]{by: by, rec: record.Queued{
			Item:    record.Item{Receiver: name, Seq: seq, MID: p.Message.MID, Status: message.Status{Rank: message.Ready}},
			Message: p.Message,
		}})
		if p.Key != nil && !slices.ContainsFunc(l.keys, func(k record.Key) bool { return k.MID == p.Message.MID }) {
			l.keys = slices.DeleteFunc(l.keys, func(k record.Key) bool { return k.Sender == p.Key.Sender && k.Name == p.Key.Name })
			l.keys = append(l.keys, record.Key{Sender: p.Key.Sender, Name: p.Key.Name, Digest: p.Key.Digest, MID: p.Message.MID, At: p.Key.At})
		}
	}
	return nil
}

// dead is the place of a living receiver's dead letter that is not dropped, or -1.
func (l *ledger) dead(receiver string, mid message.MID) int {
	by := l.living(receiver)
	return slices.IndexFunc(l.items, func(it owned[record.Queued]) bool {
		return by >= 0 && it.by == by && it.there() && it.rec.MID == mid && it.rec.State == record.Dead && it.rec.Reason != record.Dropped
	})
}

func (l *ledger) replay(p *record.Replay) {
	p.Seq, p.Bytes, p.Until = 0, 0, 0
	i := l.dead(p.Receiver, p.MID)
	if i < 0 {
		return
	}
	again := *l.items[i].rec.Message
	open := slices.ContainsFunc(l.items, func(it owned[record.Queued]) bool {
		return it.there() && it.rec.MID == p.MID && it.rec.State == record.Open
	})
	if over := again.ExpiresAt != 0 && again.ExpiresAt <= p.At; over || !open {
		again.ExpiresAt = p.ExpiresAt
	}
	p.Until = again.ExpiresAt
	for j := range l.items {
		if l.items[j].rec.MID == p.MID {
			l.items[j].rec.Message = &again
		}
	}
	by := l.items[i].by
	p.Seq, p.Bytes = l.end(by)
	p.Seq, p.Bytes = p.Seq+1, p.Bytes+int64(again.Size())
	l.items[i].void = true
	l.items = append(l.items, owned[record.Queued]{by: by, rec: record.Queued{
		Item:    record.Item{Receiver: p.Receiver, Seq: p.Seq, MID: p.MID, Status: message.Status{Rank: message.Ready}},
		Message: &again,
	}})
}

// prune deletes what has ended, forgotten receivers, and senders' keys.
func (l *ledger) prune(before, keys int64) {
	for i := range l.items {
		it := &l.items[i].rec
		if it.Message.AcceptedAt < before && it.State != record.Open && it.EndedAt < before {
			l.items[i].pruned = true
		}
	}
	for by := range l.holders {
		if h := &l.holders[by]; h.gone && h.goneAt < before {
			h.deleted = !slices.ContainsFunc(l.items, func(it owned[record.Queued]) bool { return it.by == by && it.there() })
		}
	}
	l.keys = slices.DeleteFunc(l.keys, func(k record.Key) bool { return k.At <= keys })
}

// trace is what became of a message.
func (l *ledger) trace(mid message.MID) (about *message.Message, items []record.Item) {
	for by := range l.holders {
		for _, it := range l.items {
			if it.by == by && it.there() && it.rec.MID == mid {
				about = it.rec.Message
				items = append(items, it.rec.Item)
			}
		}
	}
	slices.SortStableFunc(items, func(a, b record.Item) int { return cmp.Compare(a.Receiver, b.Receiver) })
	return about, items
}

// letters are the dead letters of one living receiver.
func (l *ledger) letters(receiver string) (letters []record.Queued) {
	for _, it := range l.items {
		if it.by == l.living(receiver) && it.there() && it.rec.State == record.Dead && it.rec.Reason != record.Dropped {
			letters = append(letters, it.rec)
		}
	}
	slices.SortFunc(letters, func(a, b record.Queued) int { return cmp.Compare(b.MID, a.MID) })
	return letters
}

// audit is each life's balance.
func (l *ledger) audit() (accounts []record.Account) {
	for by, h := range l.holders {
		if h.deleted {
			continue
		}
		a := record.Account{Receiver: h.Name, Forgotten: h.gone}
		for _, it := range l.items {
			if it.by != by || it.void {
				continue
			}
			a.Accepted++
			for state, n := range map[record.State]*int64{record.Open: &a.Pending, record.Acked: &a.Acked, record.HandedOff: &a.HandedOff, record.Dead: &a.Dead} {
				if it.rec.State == state {
					*n++
				}
			}
		}
		accounts = append(accounts, a)
	}
	return accounts
}

// end counts a queue.
func (l *ledger) end(by int) (seq record.Seq, bytes int64) {
	for _, it := range l.items {
		if it.by == by {
			seq++
			bytes += int64(it.rec.Message.Size())
		}
	}
	return seq, bytes
}

// backlog counts from the first open item on.
func (l *ledger) backlog(by int) (items, bytes int64) {
	for _, it := range l.items {
		if it.by == by && (items > 0 || it.there() && it.rec.State == record.Open) {
			items++
			bytes += int64(it.rec.Message.Size())
		}
	}
	return items, bytes
}

// merged is an open item after a settlement.
func merged(was, now record.Item) record.Item {
	if now.State == record.Open {
		now.EndedAt, now.Reason = 0, ""
	}
	if was.Status.Final() || was.Status.Rank >= now.Status.Rank {
		now.Status = was.Status
	}
	if now.Error == "" {
		now.Error = was.Error
	}
	now.Tries = max(now.Tries, was.Tries)
	now.SentAt = cmp.Or(was.SentAt, now.SentAt)
	return now
}

func (l *ledger) load() record.Registry {
	reg := record.Registry{LastMID: l.last}
	for by, h := range l.holders {
		if !h.gone {
			seq, bytes := l.end(by)
			queued, queuedBytes := l.backlog(by)
			reg.Receivers = append(reg.Receivers, record.Tail{Receiver: h.Receiver, Seq: seq, Bytes: bytes, Queued: queued, QueuedBytes: queuedBytes})
		}
	}
	for _, r := range l.routes {
		reg.Routes = append(reg.Routes, r.rec)
	}
	slices.SortFunc(reg.Receivers, func(a, b record.Tail) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(reg.Routes, func(a, b record.Route) int {
		return cmp.Or(cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.Channel, b.Channel))
	})
	return reg
}

func (l *ledger) next(receiver string, after record.Seq, n, maxBytes int) (items []record.Queued, more bool) {
	by := l.living(receiver)
	for _, it := range l.items {
		if it.by == by && it.there() && it.rec.Seq > after && it.rec.State == record.Open {
			items = append(items, it.rec)
		}
	}
	fits := 0
	for bytes := 0; fits < min(len(items), n); fits++ {
		if bytes += items[fits].Message.Size(); fits > 0 && bytes > maxBytes {
			break
		}
	}
	return items[:fits], fits < len(items)
}

func (l *ledger) find(receiver string, mid message.MID) (record.Queued, bool) {
	by := l.living(receiver)
	for _, it := range l.items {
		if it.by == by && it.there() && it.rec.MID == mid {
			return it.rec, true
		}
	}
	return record.Queued{}, false
}

func (l *ledger) state(channel, prefix string) map[string][]byte {
	found := make(map[string][]byte)
	for _, e := range l.entries {
		if e.Channel == channel && strings.HasPrefix(e.Key, prefix) {
			found[e.Key] = e.Value
		}
	}
	return found
}
