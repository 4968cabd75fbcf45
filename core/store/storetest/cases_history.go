package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// ended settles the item of a Put for its i-th receiver.
func ended(p *record.Put, i int, state record.State, at int64) *record.Settle {
	it := item(p, i)
	it.State, it.EndedAt = state, at
	if state == record.Dead {
		it.Reason = "expired"
	}
	return &record.Settle{Item: it}
}

func (f *fixture) overdue(from, to int64, n int) (string, int64) {
	f.t.Helper()
	overdue, next, err := f.s.Overdue(context.Background(), from, to, n)
	if err != nil {
		f.t.Fatalf("overdue: %v", err)
	}
	return fmt.Sprint(overdue), next
}

func (f *fixture) prune(before, keys int64, after message.MID, n int) message.MID {
	f.t.Helper()
	next, err := f.s.Prune(context.Background(), before, keys, after, n)
	if err != nil {
		f.t.Fatalf("prune: %v", err)
	}
	return next
}

func (f *fixture) audit() string {
	f.t.Helper()
	accounts, err := f.s.Audit(context.Background())
	if err != nil {
		f.t.Fatalf("audit: %v", err)
	}
	for _, a := range accounts {
		if !a.Balanced() {
			f.t.Errorf("the books do not balance: %+v", a)
		}
	}
	return fmt.Sprint(accounts)
}

func testHistory(t *testing.T, open Open, lives map[string]Life) {
	expiring := func(mid message.MID, at int64, receivers ...string) *record.Put {
		m := small(mid)
		m.ExpiresAt = at
		return &record.Put{Message: m, Receivers: receivers}
	}
	t.Run("finds what is open though its time is over", func(t *testing.T) {
		f := start(t, open, "a", "b")
		puts := []*record.Put{expiring(1, 100, "a"), expiring(2, 50, "a", "b"), expiring(3, 0, "a"), expiring(4, 60, "a"), expiring(5, 200, "b")}
		for _, p := range puts {
			f.commit(p)
		}
		f.commit(ended(puts[3], 0, record.Acked, 9))
		got, next := f.overdue(0, 100, 1000)
		f.equal(got, "[{a 1 2} {b 1 1}]", "overdue")
		f.equal(next, int64(100), "where to go on")
		got, _ = f.overdue(100, 199, 1000)
		f.equal(got, "[]", "between")
		got, _ = f.overdue(100, 200, 1000)
		f.equal(got, "[{b 2 2}]", "overdue later")
		found := make(map[string]bool)
		for from := int64(0); from < 300; {
			overdue, next, err := f.s.Overdue(context.Background(), from, 300, 1)
			if err != nil || next <= from {
				t.Fatalf("from %d it goes on at %d, %v", from, next, err)
			}
			from = next
			for _, o := range overdue {
				for seq := o.First; seq <= o.Last; seq++ {
					found[fmt.Sprint(o.Receiver, seq)] = true
				}
			}
		}
		f.equal(found, map[string]bool{"a1": true, "a2": true, "b1": true, "b2": true}, "step by step")
	})
	t.Run("finds who is away", func(t *testing.T) {
		f := start(t, open)
		for name, seen := range map[string]int64{"a": 5, "b": 10, "c": 4, "d": 1} {
			f.commit(&record.SaveReceiver{Receiver: record.Receiver{Name: name, SeenAt: seen}})
		}
		f.commit(&record.Forget{Receiver: "d", At: 1})
		for after, want := range map[string]string{"": "[a c]", "a": "[c]", "c": "[]"} {
			got, err := f.s.Away(context.Background(), 10, after, 5)
			f.equal(fmt.Sprint(got, err), want+" <nil>", "away after "+after)
		}
		got, err := f.s.Away(context.Background(), 10, "", 1)
		f.equal(fmt.Sprint(got, err), "[a] <nil>", "one at a time")
	})
	t.Run("prunes what has ended, and the books balance", func(t *testing.T) {
		f := start(t, open, "a", "b")
		var puts []*record.Put
		for mid := range message.MID(10) {
			puts = append(puts, f.put(mid+1, "a", "b"))
		}
		for i, state := range []record.State{record.Acked, record.HandedOff, record.Dead, record.Acked} {
			f.commit(ended(puts[i], 0, state, 50), ended(puts[i], 1, state, int64(50+i*10)))
		}
		f.equal(f.audit(), "[{a false 10 2 1 1 6} {b false 10 2 1 1 6}]", "before")
		for next := message.MID(0); ; {
			if next = f.prune(70, 0, next, 3); next == 0 {
				break
			}
		}
		f.equal(f.audit(), "[{a false 10 2 1 1 6} {b false 10 2 1 1 6}]", "after")
		for mid, want := range map[message.MID]int{1: 0, 2: 0, 3: 1, 4: 1, 5: 2} {
			_, items, err := f.s.Trace(context.Background(), mid)
			f.equal(fmt.Sprint(len(items), err), fmt.Sprint(want, " <nil>"), fmt.Sprintf("items of %d", mid))
		}
		f.equal(f.put(11, "a", "b").Seqs, []record.Seq{11, 11}, "places afterwards")
		for name, life := range lives {
			f.s = life(t, f.s)
			f.equal(f.audit(), "[{a false 11 2 1 1 7} {b false 11 2 1 1 7}]", "after "+name)
			f.equal(f.load().Receivers[0].Seq, record.Seq(11), "the end of the queue after "+name)
		}
	})
	t.Run("prunes forgotten receivers with what they had, and the books balance", func(t *testing.T) {
		f := start(t, open, "a", "b")
		for mid := range message.MID(3) {
			f.put(mid+1, "a", "b")
		}
		f.put(1000, "b") // later than all are forgotten: a clock that was set back
		f.commit(&record.Forget{Receiver: "a", Reason: "forgotten", At: 50}, &record.SaveReceiver{Receiver: record.Receiver{Name: "a"}},
			&record.Forget{Receiver: "b", Reason: "forgotten", At: 50})
		f.equal(f.put(1001, "a").Seqs, []record.Seq{1}, "first place of the new one")
		all := "[{a false 1 0 0 0 1} {a true 3 0 0 3 0} {b true 4 0 0 4 0}]"
		f.equal(f.audit(), all, "before")
		f.equal(f.prune(50, 0, 0, 100), message.MID(0), "where to go on")
		f.equal(f.audit(), all, "too early")
		f.equal(f.prune(70, 0, 0, 100), message.MID(0), "where to go on")
		left := "[{a false 1 0 0 0 1} {b true 4 0 0 4 0}]"
		f.equal(f.audit(), left, "after")
		for name, life := range lives {
			f.s = life(t, f.s)
			f.equal(f.audit(), left, "after "+name)
			f.equal(f.load().Receivers[0].Seq, record.Seq(1), "the end of the new one's queue after "+name)
		}
		f.prune(2000, 0, 0, 100)
		f.equal(f.audit(), "[{a false 1 0 0 0 1}]", "in the end")
	})
	t.Run("prunes no message that is too young or open", func(t *testing.T) {
		f := start(t, open, "a")
		old, young := f.put(10, "a"), f.put(1000, "a")
		f.commit(ended(young, 0, record.Acked, 5)) // a clock that was set back
		f.equal(f.prune(500, 0, 0, 100), message.MID(0), "where to go on")
		f.equal(f.audit(), "[{a false 2 1 0 0 1}]", "books")
		_, found := f.find("a", young.Message.MID)
		f.equal(found, true, "the young one is there")
		_, found = f.find("a", old.Message.MID)
		f.equal(found, true, "the open one is there")
	})
	t.Run("replays at the end of the queue, also after a restart and what is old", func(t *testing.T) {
		f := start(t, open, "a")
		first, second := f.put(1, "a"), f.put(2, "a")
		f.commit(ended(first, 0, record.Dead, 9), ended(second, 0, record.Dead, 9))
		r := &record.Replay{Receiver: "a", MID: 1, ExpiresAt: 99}
		f.commit(r)
		f.equal([]any{r.Seq, r.Bytes, r.Until}, []any{record.Seq(3), int64(30), int64(99)}, "place and time")
		for _, life := range lives {
			f.s = life(t, f.s)
			f.equal(f.load().Receivers[0].Seq, record.Seq(3), "the end of the queue")
		}
		f.equal(f.put(3, "a").Seqs, []record.Seq{4}, "the next place")
		again, _ := f.find("a", 1)
		f.equal(again.Item, record.Item{Receiver: "a", Seq: 3, MID: 1, Status: message.Status{Rank: message.Ready}}, "the item")
		f.equal(again.Message.ExpiresAt, int64(99), "when it expires")
		f.equal(f.seqs("a", 0), []record.Seq{3, 4}, "open items")
		f.equal(f.audit(), "[{a false 3 0 0 1 2}]", "books")
		f.commit(r)
		f.equal(r.Seq, record.Seq(0), "place of what is no dead letter")
		f.commit(&record.DropDead{Receiver: "a", MID: 2})
		dropped := &record.Replay{Receiver: "a", MID: 2}
		f.commit(dropped)
		f.equal(dropped.Seq, record.Seq(0), "place of what was dropped")
	})
	t.Run("replays without another time for others that wait", func(t *testing.T) {
		for what, c := range map[string]struct{ before, at, want int64 }{
			"its time":       {60, 50, 60},
			"never":          {0, 50, 0},
			"its time is up": {60, 60, 99},
		} {
			f := start(t, open, "a", "b")
			p := expiring(1, c.before, "a", "b")
			f.commit(p)
			f.commit(ended(p, 0, record.Dead, 9))
			r := &record.Replay{Receiver: "a", MID: 1, At: c.at, ExpiresAt: 99}
			f.commit(r)
			f.equal(r.Until, c.want, what+": what is told")
			for _, name := range []string{"a", "b"} {
				it, _ := f.find(name, 1)
				f.equal(it.Message.ExpiresAt, c.want, what+": when that of "+name+" expires")
			}
			overdue, _ := f.overdue(0, 98, 10)
			want := "[]"
			if c.want == 60 {
				want = "[{a 2 2} {b 1 1}]"
			}
			f.equal(overdue, want, what+": what is over by 98")
			f.commit(ended(p, 1, record.Acked, 9))
			it := item(p, 0)
			it.Seq, it.State, it.EndedAt, it.Reason = 2, record.Dead, 9, "rejected"
			f.commit(&record.Settle{Item: it})
			alone := &record.Replay{Receiver: "a", MID: 1, At: c.at, ExpiresAt: 77}
			f.commit(alone)
			f.equal(alone.Until, int64(77), what+": when nobody else waits")
		}
	})
	t.Run("lists dead letters by whole messages", func(t *testing.T) {
		f := start(t, open, "a", "b")
		for mid := range message.MID(4) {
			p := f.put(mid+1, "a", "b")
			f.commit(ended(p, 0, record.Dead, 1), ended(p, 1, record.Dead, 1))
		}
		list := func(receiver string, below message.MID, n int) (mids []message.MID) {
			letters, err := f.s.Dead(context.Background(), receiver, below, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range letters {
				mids = append(mids, l.MID)
			}
			return mids
		}
		f.equal(list("", 0, 3), []message.MID{4, 4, 3, 3}, "of all")
		f.equal(list("", 3, 100), []message.MID{2, 2, 1, 1}, "below one")
		f.equal(list("b", 0, 2), []message.MID{4, 3}, "of one")
		f.equal(list("c", 0, 2), []message.MID(nil), "of nobody")
		const large = 3 // of them are more than may be read at once
		for mid := range message.MID(large) {
			m := small(mid + 10)
			m.Desp = strings.Repeat("x", store.MaxDeadBytes/(large-1))
			p := &record.Put{Message: m, Receivers: []string{"a", "b"}}
			f.commit(p)
			f.commit(ended(p, 0, record.Dead, 1), ended(p, 1, record.Dead, 1))
		}
		f.equal(list("", 0, 100), []message.MID{12, 12, 11, 11}, "by their bytes")
	})
	t.Run("forgets keys", func(t *testing.T) {
		f := start(t, open, "a")
		for i, at := range []int64{10, 20} {
			f.commit(&record.Put{Message: small(message.MID(i + 1)), Receivers: []string{"a"}, Key: &record.Key{Sender: "s", Name: fmt.Sprint(i), Digest: "d", At: at}})
		}
		f.commit(&record.Put{Message: small(9), Receivers: []string{"ghost"}, Key: &record.Key{Sender: "s", Name: "unused"}})
		f.prune(0, 10, 0, 10)
		for name, want := range map[string]record.Key{"0": {}, "1": {Sender: "s", Name: "1", Digest: "d", MID: 2, At: 20}, "unused": {}} {
			key, found, err := f.s.Sent(context.Background(), "s", name)
			if err != nil {
				t.Fatal(err)
			}
			f.equal(key, want, "key "+name)
			f.equal(found, want != record.Key{}, "key found "+name)
		}
	})
}
