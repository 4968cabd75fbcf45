package storetest

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

var (
	names    = rapid.SampledFrom([]string{"a", "b", "c", "d"})
	channels = rapid.SampledFrom([]string{"x", "y"})
	texts    = rapid.SampledFrom([]string{"", "k", "k1", "longer text"})
	seqs     = rapid.Custom(func(t *rapid.T) record.Seq { return record.Seq(rapid.IntRange(-1, 12).Draw(t, "seq")) })
)

// machine drives a store, the memory store and the ledger through the same
// operations: whatever they answer is the same.
type machine struct {
	ctx    context.Context
	store  store.Store
	memory *store.Memory
	ledger *ledger
	// items are all that were ever put, also for receivers since forgotten.
	items []record.Item
}

func testMachine(t *testing.T, open Open, lives map[string]Life) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{ctx: context.Background(), store: open(t), memory: store.NewMemory(), ledger: new(ledger)}
		actions := map[string]func(*rapid.T){
			"":       m.compare,
			"commit": m.commit,
			"more":   m.commit,
			"spoilt": m.spoilt,
			"next":   m.next,
			"find":   m.find,
			"state":  m.state,
			"trace":  m.trace,
			"sent":   m.sent,
			"prune":  m.prune,
		}
		for _, name := range slices.Sorted(maps.Keys(lives)) {
			actions[name] = func(*rapid.T) { m.store, m.memory = lives[name](t, m.store), m.memory.Reopen() }
		}
		rt.Repeat(actions)
		if err := m.store.Close(); err != nil {
			rt.Fatalf("close: %v", err)
		}
	})
}

func (m *machine) commit(t *rapid.T) {
	var ops []record.Op
	last := m.ledger.last
	for range rapid.IntRange(1, 6).Draw(t, "operations") {
		op := m.draw(t, last)
		if p, ok := op.(*record.Put); ok {
			last = p.Message.MID
		}
		ops = append(ops, op)
	}
	m.apply(t, ops, true)
}

// spoilt is a batch with a Put somewhere that can not be.
func (m *machine) spoilt(t *rapid.T) {
	bad := &record.Put{Message: small(m.ledger.last), Receivers: []string{names.Draw(t, "name")}}
	if rapid.Bool().Draw(t, "twice") {
		bad = &record.Put{Message: small(m.ledger.last + 1000), Receivers: []string{"b", "a", "b"}}
	}
	var ops []record.Op
	last := m.ledger.last
	for range rapid.IntRange(0, 5).Draw(t, "operations") {
		op := m.draw(t, last)
		if p, ok := op.(*record.Put); ok {
			last = p.Message.MID
		}
		ops = append(ops, op)
	}
	m.apply(t, slices.Insert(ops, rapid.IntRange(0, len(ops)).Draw(t, "place"), record.Op(bad)), false)
}

func (m *machine) draw(t *rapid.T, last message.MID) record.Op {
	switch rapid.SampledFrom([]string{"put", "put", "settle", "settle", "receiver", "receiver", "route", "advance", "drop", "forget", "state", "replay", "replay", "bury"}).Draw(t, "kind") {
	case "put":
		mid := last + message.MID(rapid.IntRange(1, 3).Draw(t, "step"))
		return &record.Put{
			Message: &message.Message{
				MID: mid, SendType: message.Group,
				Target: texts.Draw(t, "target"), Text: texts.Draw(t, "text"), Desp: texts.Draw(t, "desp"),
				AcceptedAt: int64(mid) / 8, // times rise as mids do
				ExpiresAt:  rapid.Int64Range(0, 9).Draw(t, "expires"),
			},
			Receivers: rapid.SliceOfNDistinct(names, 0, 4, rapid.ID[string]).Draw(t, "receivers"),
			Key:       key(t),
		}
	case "replay":
		return &record.Replay{Receiver: names.Draw(t, "name"), MID: m.mid(t), At: rapid.Int64Range(0, 9).Draw(t, "now"), ExpiresAt: rapid.Int64Range(0, 9).Draw(t, "expires")}
	case "bury":
		return &record.DropDead{Receiver: names.Draw(t, "name"), MID: m.mid(t)}
	case "settle":
		return &record.Settle{Item: m.settlement(t)}
	case "receiver":
		return &record.SaveReceiver{Receiver: record.Receiver{Name: names.Draw(t, "name"), Group: texts.Draw(t, "group"), SeenAt: rapid.Int64Range(0, 9).Draw(t, "seen")}}
	case "route":
		return &record.SaveRoute{Route: record.Route{
			Receiver: names.Draw(t, "name"), Channel: channels.Draw(t, "channel"), Kind: record.RouteKind(rapid.IntRange(1, 4).Draw(t, "kind")),
			Address: value(t), Cursor: seqs.Draw(t, "cursor"),
			Policy: record.Policy{Exclusive: rapid.Bool().Draw(t, "exclusive"), Acks: rapid.Bool().Draw(t, "acks"), Prefetch: rapid.IntRange(1, 32).Draw(t, "prefetch")},
		}}
	case "advance":
		return &record.Advance{Receiver: names.Draw(t, "name"), Channel: channels.Draw(t, "channel"), Cursor: seqs.Draw(t, "cursor")}
	case "drop":
		return &record.DropRoute{Receiver: names.Draw(t, "name"), Channel: channels.Draw(t, "channel")}
	case "forget":
		return &record.Forget{Receiver: names.Draw(t, "name"), Reason: "forgotten", At: 1}
	default:
		return &record.PutState{Channel: channels.Draw(t, "channel"), Key: texts.Draw(t, "key"), Value: value(t)}
	}
}

// mid is that of a message that was put at some time, or of none.
func (m *machine) mid(t *rapid.T) message.MID {
	if len(m.items) > 0 && rapid.IntRange(0, 9).Draw(t, "known") > 0 {
		return rapid.SampledFrom(m.items).Draw(t, "item").MID
	}
	return message.MID(rapid.IntRange(0, 20).Draw(t, "mid"))
}

func key(t *rapid.T) *record.Key {
	if rapid.Bool().Draw(t, "keyless") {
		return nil
	}
	return &record.Key{Sender: texts.Draw(t, "sender"), Name: texts.Draw(t, "key"), Digest: texts.Draw(t, "digest"), At: rapid.Int64Range(0, 9).Draw(t, "at")}
}

func (m *machine) trace(t *rapid.T) {
	type answer struct {
		about *message.Message
		items []record.Item
	}
	mid := m.mid(t)
	about, items := m.ledger.trace(mid)
	for i, s := range []store.Store{m.store, m.memory} {
		got, gotItems, err := s.Trace(m.ctx, mid)
		same(t, i, "trace", answer{got, gotItems}, err, answer{about, items})
	}
}

func (m *machine) sent(t *rapid.T) {
	sender, name := texts.Draw(t, "sender"), texts.Draw(t, "key")
	var want record.Key
	found := false
	for _, k := range m.ledger.keys {
		if k.Sender == sender && k.Name == name {
			want, found = k, true
		}
	}
	for i, s := range []store.Store{m.store, m.memory} {
		got, gotFound, err := s.Sent(m.ctx, sender, name)
		same(t, i, "sent", got, err, want)
		same(t, i, "sent found", gotFound, nil, found)
	}
}

// prune goes on from step to step, as its caller does.
func (m *machine) prune(t *rapid.T) {
	before, keys := rapid.Int64Range(0, 4).Draw(t, "before"), rapid.Int64Range(-1, 9).Draw(t, "keys")
	n := rapid.IntRange(1, 3).Draw(t, "n")
	m.ledger.prune(before, keys)
	for i, s := range []store.Store{m.store, m.memory} {
		for next := message.MID(0); ; {
			after := next
			var err error
			if next, err = s.Prune(m.ctx, before, keys, after, n); err != nil || next != 0 && next <= after {
				t.Fatalf("store %d: prune after %d: %d, %v", i, after, next, err)
			}
			if next == 0 {
				break
			}
		}
	}
}

// settlement is of an item that was put at some time, or of none.
func (m *machine) settlement(t *rapid.T) record.Item {
	it := record.Item{Receiver: names.Draw(t, "name"), Seq: seqs.Draw(t, "seq"), MID: message.MID(rapid.IntRange(0, 20).Draw(t, "mid"))}
	if len(m.items) > 0 && rapid.IntRange(0, 9).Draw(t, "known") > 0 {
		it = rapid.SampledFrom(m.items).Draw(t, "item")
	}
	it.State = record.State(rapid.IntRange(0, 3).Draw(t, "state"))
	it.Status = message.Status{Rank: message.Rank(rapid.IntRange(0, 8).Draw(t, "rank"))}
	if it.Status.Rank >= message.ChannelWait && it.Status.Rank <= message.ChannelConfirmed {
		it.Status.Channel = channels.Draw(t, "channel")
	}
	it.Tries = rapid.IntRange(0, 3).Draw(t, "tries")
	it.SentAt = rapid.Int64Range(0, 3).Draw(t, "sent")
	it.EndedAt = rapid.Int64Range(0, 3).Draw(t, "ended")
	it.Reason, it.Error = texts.Draw(t, "reason"), texts.Draw(t, "error")
	return it
}

// value is nil when it is empty, as stores return it.
func value(t *rapid.T) []byte { return append([]byte(nil), texts.Draw(t, "value")...) }

// apply commits the batch to all three, each with Puts of its own to fill.
func (m *machine) apply(t *rapid.T, ops []record.Op, good bool) {
	var filled [3][]*record.Put
	var replayed [3][]*record.Replay
	var forgotten [3][]*record.Forget
	var errs [3]error
	for i, commit := range []func([]record.Op) error{
		func(ops []record.Op) error { return m.store.Commit(m.ctx, ops) },
		func(ops []record.Op) error { return m.memory.Commit(m.ctx, ops) },
		func(ops []record.Op) (err error) { m.ledger, err = m.ledger.commit(ops); return err },
	} {
		own := slices.Clone(ops)
		for j, op := range own {
			if p, ok := op.(*record.Put); ok {
				p := *p
				own[j] = &p
				filled[i] = append(filled[i], &p)
			} else if r, ok := op.(*record.Replay); ok {
				r := *r
				own[j] = &r
				replayed[i] = append(replayed[i], &r)
			} else if f, ok := op.(*record.Forget); ok {
				f := *f
				own[j] = &f
				forgotten[i] = append(forgotten[i], &f)
			}
		}
		if errs[i] = commit(own); (errs[i] == nil) != good {
			t.Fatalf("commit %d: %v", i, errs[i])
		}
	}
	for i, want := range replayed[2] {
		for _, got := range []*record.Replay{replayed[0][i], replayed[1][i]} {
			if good && *got != *want || !good && got.Seq != 0 {
				t.Fatalf("replay: got %+v, want %+v", *got, *want)
			}
		}
	}
	for i, want := range forgotten[2] {
		for _, got := range []*record.Forget{forgotten[0][i], forgotten[1][i]} {
			if good && *got != *want || !good && got.Ended != 0 {
				t.Fatalf("forget: got %+v, want %+v", *got, *want)
			}
		}
	}
	for i, p := range filled[2] {
		if !good {
			if filled[0][i].Seqs != nil || filled[1][i].Seqs != nil {
				t.Fatalf("a failed commit tells places: %v, %v", filled[0][i].Seqs, filled[1][i].Seqs)
			}
			continue
		}
		for _, other := range []*record.Put{filled[0][i], filled[1][i]} {
			if !slices.Equal(other.Seqs, p.Seqs) || !slices.Equal(other.Bytes, p.Bytes) {
				t.Fatalf("put %d: got %v %v, want %v %v", p.Message.MID, other.Seqs, other.Bytes, p.Seqs, p.Bytes)
			}
		}
		for j := range p.Receivers {
			m.items = append(m.items, item(p, j))
		}
	}
}

// compare looks at everything.
func (m *machine) compare(t *rapid.T) {
	want := m.ledger.load()
	for i, s := range []store.Store{m.store, m.memory} {
		got, err := s.Load(m.ctx)
		same(t, i, "load", got, err, want)
	}
	accounts := m.ledger.audit()
	for i, s := range []store.Store{m.store, m.memory} {
		got, err := s.Audit(m.ctx)
		slices.SortStableFunc(got, byLife)
		same(t, i, "audit", got, err, slices.SortedStableFunc(slices.Values(accounts), byLife))
		for _, a := range got {
			if !a.Balanced() {
				t.Fatalf("store %d: the books do not balance: %+v", i, a)
			}
		}
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		m.compareNext(t, name, 0, 1000, 1<<30)
		want := m.ledger.letters(name)
		for i, s := range []store.Store{m.store, m.memory} {
			got, err := s.Dead(m.ctx, name, 0, 1000)
			same(t, i, "dead", got, err, want)
		}
	}
}

// byLife orders accounts by all that they say: lives of one name have no order.
func byLife(a, b record.Account) int {
	gone := func(a record.Account) int {
		if a.Forgotten {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Receiver, b.Receiver), gone(a)-gone(b), cmp.Compare(a.Accepted, b.Accepted), cmp.Compare(a.Acked, b.Acked),
		cmp.Compare(a.HandedOff, b.HandedOff), cmp.Compare(a.Dead, b.Dead), cmp.Compare(a.Pending, b.Pending))
}

func (m *machine) next(t *rapid.T) {
	m.compareNext(t, names.Draw(t, "name"), seqs.Draw(t, "after"), rapid.IntRange(1, 4).Draw(t, "n"), rapid.IntRange(0, 40).Draw(t, "bytes"))
}

func (m *machine) compareNext(t *rapid.T, name string, after record.Seq, n, maxBytes int) {
	type answer struct {
		items []record.Queued
		more  bool
	}
	items, more := m.ledger.next(name, after, n, maxBytes)
	for i, s := range []store.Store{m.store, m.memory} {
		got, gotMore, err := s.Next(m.ctx, name, after, n, maxBytes)
		same(t, i, "next", answer{append([]record.Queued{}, got...), gotMore}, err, answer{append([]record.Queued{}, items...), more})
	}
}

func (m *machine) find(t *rapid.T) {
	name, mid := names.Draw(t, "name"), message.MID(rapid.IntRange(0, int(m.ledger.last)+1).Draw(t, "mid"))
	item, found := m.ledger.find(name, mid)
	for i, s := range []store.Store{m.store, m.memory} {
		got, gotFound, err := s.Find(m.ctx, name, mid)
		same(t, i, "find", got, err, item)
		same(t, i, "found", gotFound, nil, found)
	}
}

func (m *machine) state(t *rapid.T) {
	channel, prefix := channels.Draw(t, "channel"), texts.Draw(t, "prefix")
	want := m.ledger.state(channel, prefix)
	for i, s := range []store.Store{m.store, m.memory} {
		got, err := s.State(m.ctx, channel, prefix)
		same(t, i, "state", got, err, want)
	}
}

func same(t *rapid.T, which int, what string, got any, err error, want any) {
	if err != nil {
		t.Fatalf("store %d: %s: %v", which, what, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("store %d: %s: got %+v, want %+v", which, what, got, want)
	}
}
