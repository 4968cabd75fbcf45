package storetest

import (
	"strings"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

func testPut(t *testing.T, open Open) {
	t.Run("gives places per receiver without gaps", func(t *testing.T) {
		f := start(t, open, "a", "b")
		f.equal(f.put(10, "a").Seqs, []record.Seq{1}, "first of a")
		f.equal(f.put(11, "b", "a").Seqs, []record.Seq{1, 2}, "first of b, second of a")
		p := f.put(12, "a")
		f.equal(p.Seqs, []record.Seq{3}, "third of a")
		f.equal(p.Bytes, []int64{30}, "bytes of a so far")
	})
	t.Run("counts within one batch", func(t *testing.T) {
		f := start(t, open)
		p, q := &record.Put{Message: small(1), Receivers: []string{"a"}}, &record.Put{Message: small(2), Receivers: []string{"a"}}
		f.commit(&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}, p, q)
		f.equal([]record.Seq{p.Seqs[0], q.Seqs[0]}, []record.Seq{1, 2}, "places")
		f.equal([]int64{p.Bytes[0], q.Bytes[0]}, []int64{10, 20}, "bytes")
	})
	t.Run("leaves out who is not known", func(t *testing.T) {
		f := start(t, open, "a")
		p := f.put(10, "ghost", "a")
		f.equal(p.Seqs, []record.Seq{0, 1}, "places")
		f.equal(p.Bytes, []int64{0, 10}, "bytes")
	})
	t.Run("stores nothing for nobody, but the mid is used", func(t *testing.T) {
		f := start(t, open)
		f.equal(f.put(10, "ghost").Seqs, []record.Seq{0}, "places")
		f.equal(f.load().LastMID, message.MID(10), "last mid")
		f.commit(&record.SaveReceiver{Receiver: record.Receiver{Name: "ghost"}})
		f.equal(f.seqs("ghost", 0), []record.Seq(nil), "open items")
	})
	t.Run("keeps every field", func(t *testing.T) {
		f := start(t, open, "a")
		for i, m := range []*message.Message{
			{SendType: message.Group, Target: "g", FromMethod: "in", FromName: "me", Text: "标题 \x00 '\"", Desp: strings.Repeat("é", 1000),
				Extra: []byte(`{"n":123456789012345678901}`), AcceptedAt: 5, ExpiresAt: 6},
			{SendType: message.Personal, Text: "", Extra: nil},
			{SendType: message.Personal, Text: strings.Repeat("x", message.MaxSize)},
		} {
			m.MID = message.MID(1<<40 + i)
			f.commit(&record.Put{Message: m, Receivers: []string{"a"}})
			want := record.Item{Receiver: "a", Seq: record.Seq(i + 1), MID: m.MID, Status: message.Status{Rank: message.Ready}}
			got, found := f.find("a", m.MID)
			if !found {
				t.Fatalf("message %d is not found", i)
			}
			f.equal(got.Item, want, "item")
			f.equal(*got.Message, *m, "message")
			items, _ := f.next("a", record.Seq(i), 1, 0)
			f.equal(len(items), 1, "items")
			f.equal(*items[0].Message, *m, "message by Next")
		}
	})
}

func testSettle(t *testing.T, open Open) {
	wait, ok := message.Status{Rank: message.Wait}, message.Status{Rank: message.OK}
	handed := message.Status{Rank: message.ChannelOK, Channel: "push"}
	for _, c := range []struct {
		name  string
		steps []record.Item
		want  record.Item
	}{
		{"what is known is written",
			[]record.Item{{Status: wait, Tries: 2, SentAt: 100, Error: "refused"}},
			record.Item{Status: wait, Tries: 2, SentAt: 100, Error: "refused"}},
		{"tries and status never go down, the first time of sending stays",
			[]record.Item{{Status: handed, Tries: 2, SentAt: 100}, {Status: wait, Tries: 1, SentAt: 90}},
			record.Item{Status: handed, Tries: 2, SentAt: 100}},
		{"of two equal ranks the first stays",
			[]record.Item{{Status: handed}, {Status: message.Status{Rank: message.ChannelOK, Channel: "other"}}},
			record.Item{Status: handed}},
		{"a rank that names no channel drops the name",
			[]record.Item{{Status: handed}, {Status: ok}},
			record.Item{Status: ok}},
		{"a final status stays",
			[]record.Item{{Status: ok}, {Status: message.Status{Rank: message.Failed}}},
			record.Item{Status: ok}},
		{"no error keeps the earlier one",
			[]record.Item{{Status: wait, Error: "one"}, {Status: wait, Error: "two"}, {Status: wait}},
			record.Item{Status: wait, Error: "two"}},
		{"an open item has no end",
			[]record.Item{{Status: wait, EndedAt: 7, Reason: "none"}},
			record.Item{Status: wait}},
		{"acked",
			[]record.Item{{State: record.Acked, Status: ok, Tries: 1, SentAt: 100, EndedAt: 120}},
			record.Item{State: record.Acked, Status: ok, Tries: 1, SentAt: 100, EndedAt: 120}},
		{"handed off",
			[]record.Item{{State: record.HandedOff, Status: handed, EndedAt: 120}},
			record.Item{State: record.HandedOff, Status: handed, EndedAt: 120}},
		{"an ended item does not change",
			[]record.Item{{State: record.Dead, Status: wait, EndedAt: 120, Reason: "expired"},
				{State: record.Acked, Status: ok, Tries: 9, SentAt: 100, EndedAt: 130, Error: "late"}, {Status: ok}},
			record.Item{State: record.Dead, Status: wait, EndedAt: 120, Reason: "expired"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, batched := range []bool{false, true} {
				f := start(t, open, "a")
				p := f.put(10, "a")
				var ops []record.Op
				for _, s := range c.steps {
					s.Receiver, s.Seq, s.MID = "a", 1, 10
					ops = append(ops, &record.Settle{Item: s})
				}
				if batched {
					f.commit(ops...)
				} else {
					for _, op := range ops {
						f.commit(op)
					}
				}
				want := c.want
				want.Receiver, want.Seq, want.MID = "a", p.Seqs[0], 10
				got, found := f.find("a", 10)
				f.equal(found, true, "found")
				f.equal(got.Item, want, "item")
				f.equal(len(f.seqs("a", 0)) == 1, want.State == record.Open, "still in the queue")
			}
		})
	}
	t.Run("in the batch of its put", func(t *testing.T) {
		f := start(t, open, "a")
		f.commit(&record.Put{Message: small(10), Receivers: []string{"a"}},
			&record.Settle{Item: record.Item{Receiver: "a", Seq: 1, MID: 10, State: record.Acked, Status: ok}})
		f.equal(f.seqs("a", 0), []record.Seq(nil), "open items")
	})
	t.Run("means one item only", func(t *testing.T) {
		f := start(t, open, "a", "b")
		f.put(10, "a", "b")
		f.put(11, "a", "b")
		for _, it := range []record.Item{
			{Receiver: "a", Seq: 1, MID: 11}, {Receiver: "a", Seq: 2, MID: 10}, {Receiver: "a", Seq: 3, MID: 12},
			{Receiver: "a", Seq: 0, MID: 0}, {Receiver: "a", Seq: -1, MID: 10}, {Receiver: "ghost", Seq: 1, MID: 10},
		} {
			it.State = record.Acked
			f.commit(&record.Settle{Item: it})
		}
		f.equal(f.seqs("a", 0), []record.Seq{1, 2}, "open items of a")
		f.commit(&record.Settle{Item: record.Item{Receiver: "a", Seq: 1, MID: 10, State: record.Acked}})
		f.equal(f.seqs("a", 0), []record.Seq{2}, "open items of a after its own")
		f.equal(f.seqs("b", 0), []record.Seq{1, 2}, "open items of b")
	})
}
