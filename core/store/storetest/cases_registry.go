package storetest

import (
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

func testRegistry(t *testing.T, open Open) {
	receiver := func(name, group string, seen int64) *record.SaveReceiver {
		return &record.SaveReceiver{Receiver: record.Receiver{Name: name, Group: group, SeenAt: seen}}
	}
	route := record.Route{
		Receiver: "a", Channel: "push", Kind: record.Registered, Address: []byte{0, 1, 255}, Cursor: 3,
		Policy: record.Policy{Exclusive: true, Acks: true, Prefetch: 32, Resend: 1, Retry: 2, RetryMax: 3},
	}

	t.Run("is empty at first", func(t *testing.T) {
		f := start(t, open)
		f.equal(f.load(), record.Registry{}, "registry")
	})
	t.Run("receivers come sorted, with the end of their queue", func(t *testing.T) {
		f := start(t, open)
		f.commit(receiver("b", "g", 7), receiver("a", "", 8), receiver("ä", "", 9))
		f.put(10, "b")
		f.put(11, "b")
		f.equal(f.load(), record.Registry{LastMID: 11, Receivers: []record.Tail{
			{Receiver: record.Receiver{Name: "a", SeenAt: 8}},
			{Receiver: record.Receiver{Name: "b", Group: "g", SeenAt: 7}, Seq: 2, Bytes: 20, Queued: 2, QueuedBytes: 20},
			{Receiver: record.Receiver{Name: "ä", SeenAt: 9}},
		}}, "registry")
		f.commit(receiver("b", "h", 70))
		f.equal(f.load().Receivers[1], record.Tail{Receiver: record.Receiver{Name: "b", Group: "h", SeenAt: 70}, Seq: 2, Bytes: 20, Queued: 2, QueuedBytes: 20}, "changed")
	})
	t.Run("routes come sorted, with every field", func(t *testing.T) {
		f := start(t, open, "b", "a")
		bare := record.Route{Receiver: "b", Channel: "in", Kind: record.Attached}
		first := route
		first.Channel = "hook"
		f.commit(&record.SaveRoute{Route: bare}, &record.SaveRoute{Route: route}, &record.SaveRoute{Route: first})
		f.equal(f.load().Routes, []record.Route{first, route, bare}, "routes")
	})
	t.Run("a changed route keeps its cursor", func(t *testing.T) {
		f := start(t, open, "a")
		f.commit(&record.SaveRoute{Route: route})
		changed := record.Route{Receiver: "a", Channel: "push", Kind: record.Retired, Address: []byte("new"), Cursor: 99}
		f.commit(&record.SaveRoute{Route: changed})
		changed.Cursor = 3
		f.equal(f.load().Routes, []record.Route{changed}, "routes")
	})
	t.Run("cursors move forward only", func(t *testing.T) {
		f := start(t, open, "a")
		f.commit(&record.SaveRoute{Route: route})
		for _, c := range []struct{ to, want record.Seq }{{2, 3}, {5, 5}, {5, 5}, {4, 5}, {6, 6}} {
			f.commit(&record.Advance{Receiver: "a", Channel: "push", Cursor: c.to})
			f.equal(f.load().Routes[0].Cursor, c.want, "cursor")
		}
	})
	t.Run("a dropped route leaves the queue, and comes back as new", func(t *testing.T) {
		f := start(t, open, "a")
		f.put(10, "a")
		f.commit(&record.SaveRoute{Route: route}, &record.Advance{Receiver: "a", Channel: "push", Cursor: 8})
		f.commit(&record.DropRoute{Receiver: "a", Channel: "push"})
		f.equal(f.load().Routes, []record.Route(nil), "routes")
		f.equal(f.seqs("a", 0), []record.Seq{1}, "open items")
		f.commit(&record.SaveRoute{Route: route})
		f.equal(f.load().Routes, []record.Route{route}, "routes")
	})
	t.Run("what is not there is not touched", func(t *testing.T) {
		f := start(t, open, "b")
		f.commit(
			&record.SaveRoute{Route: route},
			&record.Advance{Receiver: "a", Channel: "push", Cursor: 1},
			&record.Advance{Receiver: "b", Channel: "push", Cursor: 1},
			&record.DropRoute{Receiver: "a", Channel: "push"},
			&record.DropRoute{Receiver: "b", Channel: "push"},
			&record.Forget{Receiver: "a", Reason: "forgotten", At: 1},
			&record.Settle{Item: record.Item{Receiver: "a", Seq: 1, MID: 10}},
		)
		f.equal(f.load(), record.Registry{Receivers: []record.Tail{{Receiver: record.Receiver{Name: "b"}}}}, "registry")
	})
	t.Run("a forgotten name starts anew", func(t *testing.T) {
		f := start(t, open, "a")
		old := f.put(10, "a")
		f.commit(&record.SaveRoute{Route: route}, &record.Forget{Receiver: "a", Reason: "forgotten", At: 5})
		f.equal(f.load(), record.Registry{LastMID: 10}, "registry")
		f.equal(f.seqs("a", 0), []record.Seq(nil), "open items")
		if _, found := f.find("a", 10); found {
			t.Fatal("an item of a forgotten receiver is found")
		}
		f.equal(f.put(11, "a").Seqs, []record.Seq{0}, "place of a forgotten receiver")

		f.commit(receiver("a", "", 0))
		f.equal(f.seqs("a", 0), []record.Seq(nil), "open items of the new one")
		f.equal(f.load(), record.Registry{LastMID: 11, Receivers: []record.Tail{{Receiver: record.Receiver{Name: "a"}}}}, "registry of the new one")
		now := f.put(12, "a")
		f.equal(now.Seqs, []record.Seq{1}, "first place of the new one")
		f.equal(now.Bytes, []int64{10}, "bytes of the new one")
		late := item(old, 0)
		late.State = record.Acked
		f.commit(&record.Settle{Item: late})
		f.equal(f.seqs("a", 0), []record.Seq{1}, "open items after a late settlement of the old")
	})
	t.Run("what waited for a forgotten receiver has failed", func(t *testing.T) {
		f := start(t, open, "a")
		it := item(f.put(10, "a"), 0)
		it.Status = message.Status{Rank: message.ChannelWait, Channel: "push"}
		gone := &record.Forget{Receiver: "a", Reason: "forgotten", At: 5}
		f.commit(&record.Settle{Item: it}, gone)
		f.equal(gone.Ended, int64(1), "open items that ended")
		_, items, err := f.s.Trace(t.Context(), 10)
		if err != nil || len(items) != 1 {
			t.Fatalf("%+v, %v", items, err)
		}
		f.equal(items[0].Status, message.Status{Rank: message.Failed}, "status")
	})
	t.Run("forget and come back in one batch", func(t *testing.T) {
		f := start(t, open, "a", "b")
		f.put(10, "a", "b")
		p := &record.Put{Message: small(11), Receivers: []string{"a", "b"}}
		f.commit(&record.Forget{Receiver: "a", Reason: "forgotten", At: 5}, receiver("a", "g", 1), p)
		f.equal(p.Seqs, []record.Seq{1, 2}, "places")
		f.equal(f.load().LastMID, message.MID(11), "last mid")
	})
}
