package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

func testRead(t *testing.T, open Open) {
	t.Run("next is bounded and says whether more follows", func(t *testing.T) {
		f := start(t, open, "a", "b")
		for mid := message.MID(1); mid <= 5; mid++ {
			f.put(mid, "a", "b")
		}
		f.commit(&record.Settle{Item: record.Item{Receiver: "a", Seq: 3, MID: 3, State: record.Acked}})
		for _, c := range []struct {
			after       record.Seq
			n, maxBytes int
			want        []record.Seq
			more        bool
		}{
			{0, 10, 1000, []record.Seq{1, 2, 4, 5}, false},
			{0, 4, 1000, []record.Seq{1, 2, 4, 5}, false},
			{0, 3, 1000, []record.Seq{1, 2, 4}, true},
			{0, 0, 1000, []record.Seq{1}, true},
			{-1, 1, 1000, []record.Seq{1}, true},
			{2, 10, 1000, []record.Seq{4, 5}, false},
			{3, 10, 1000, []record.Seq{4, 5}, false},
			{4, 1, 1000, []record.Seq{5}, false},
			{5, 10, 1000, nil, false},
			{99, 10, 1000, nil, false},
			{0, 10, 20, []record.Seq{1, 2}, true},
			{0, 10, 29, []record.Seq{1, 2}, true},
			{0, 10, 30, []record.Seq{1, 2, 4}, true},
			{0, 10, 40, []record.Seq{1, 2, 4, 5}, false},
			{0, 10, 0, []record.Seq{1}, true},
			{4, 10, 0, []record.Seq{5}, false},
		} {
			items, more := f.next("a", c.after, c.n, c.maxBytes)
			var got []record.Seq
			for _, it := range items {
				got = append(got, it.Seq)
			}
			what := fmt.Sprintf("next(%d, %d, %d)", c.after, c.n, c.maxBytes)
			f.equal(got, c.want, what)
			f.equal(more, c.more, what+" more")
		}
	})
	t.Run("nobody has nothing", func(t *testing.T) {
		f := start(t, open, "a")
		f.put(10, "a")
		items, more := f.next("ghost", 0, 10, 1000)
		f.equal(len(items), 0, "items")
		f.equal(more, false, "more")
		for _, c := range []struct {
			name string
			mid  message.MID
		}{{"ghost", 10}, {"a", 9}, {"a", 11}} {
			if _, found := f.find(c.name, c.mid); found {
				t.Fatalf("find(%q, %d) finds something", c.name, c.mid)
			}
		}
	})
	t.Run("state by prefix", func(t *testing.T) {
		f := start(t, open)
		put := func(channel, key, value string) {
			t.Helper()
			f.commit(&record.PutState{Channel: channel, Key: key, Value: []byte(value)})
		}
		put("x", "k%", "1")
		put("x", "k_a", "2")
		put("x", "kb", "3")
		put("x", "键", "4")
		put("y", "kb", "5")
		put("x", "kb", "6")
		f.equal(f.state("x", ""), map[string][]byte{"k%": []byte("1"), "k_a": []byte("2"), "kb": []byte("6"), "键": []byte("4")}, "all")
		f.equal(f.state("x", "k"), map[string][]byte{"k%": []byte("1"), "k_a": []byte("2"), "kb": []byte("6")}, "k")
		f.equal(f.state("x", "k_"), map[string][]byte{"k_a": []byte("2")}, "k_")
		f.equal(f.state("x", "键"), map[string][]byte{"键": []byte("4")}, "键")
		f.equal(f.state("z", ""), map[string][]byte{}, "another channel")
		put("x", "kb", "")
		put("x", "never", "")
		f.equal(f.state("x", "kb"), map[string][]byte{}, "deleted")
		f.equal(f.state("y", ""), map[string][]byte{"kb": []byte("5")}, "the other channel")
	})
	t.Run("bytes given and taken are not shared", func(t *testing.T) {
		f := start(t, open, "a")
		address, value := []byte("address"), []byte("value")
		f.commit(&record.SaveRoute{Route: record.Route{Receiver: "a", Channel: "x", Address: address}},
			&record.PutState{Channel: "x", Key: "k", Value: value})
		address[0], value[0] = '!', '!'
		f.load().Routes[0].Address[1] = '!'
		f.state("x", "")["k"][1] = '!'
		f.equal(string(f.load().Routes[0].Address), "address", "address")
		f.equal(string(f.state("x", "")["k"]), "value", "value")
	})
}

func testCommit(t *testing.T, open Open) {
	t.Run("all or nothing", func(t *testing.T) {
		for name, bad := range map[string]*record.Put{
			"mid used before":      {Message: small(20), Receivers: []string{"a"}},
			"mid too low":          {Message: small(15), Receivers: []string{"a"}},
			"mid too low, nobody":  {Message: small(15), Receivers: []string{"ghost"}},
			"a receiver twice":     {Message: small(30), Receivers: []string{"a", "b", "a"}},
			"a ghost named twice":  {Message: small(30), Receivers: []string{"ghost", "ghost"}},
			"mid used in the same": {Message: small(25), Receivers: []string{"b"}},
		} {
			t.Run(name, func(t *testing.T) {
				f := start(t, open, "a", "b")
				f.put(20, "a")
				f.commit(&record.SaveRoute{Route: record.Route{Receiver: "a", Channel: "x"}})
				before := f.load()
				good := &record.Put{Message: small(25), Receivers: []string{"a", "b"}}
				err := f.s.Commit(context.Background(), []record.Op{
					&record.SaveReceiver{Receiver: record.Receiver{Name: "c"}},
					&record.SaveReceiver{Receiver: record.Receiver{Name: "a", Group: "g"}},
					&record.Settle{Item: record.Item{Receiver: "a", Seq: 1, MID: 20, State: record.Acked}},
					&record.Advance{Receiver: "a", Channel: "x", Cursor: 1},
					&record.PutState{Channel: "x", Key: "k", Value: []byte("v")},
					good,
					&record.Forget{Receiver: "b", Reason: "forgotten", At: 1},
					bad,
					&record.DropRoute{Receiver: "a", Channel: "x"},
				})
				if err == nil {
					t.Fatal("commit succeeds")
				}
				f.equal(good.Seqs, []record.Seq(nil), "places of the good one")
				f.equal(f.load(), before, "registry")
				f.equal(f.seqs("a", 0), []record.Seq{1}, "open items")
				f.equal(f.state("x", ""), map[string][]byte{}, "state")
				if _, found := f.find("b", 25); found {
					t.Fatal("the good message is there")
				}

				f.commit(good) // what failed may be repeated
				f.equal(good.Seqs, []record.Seq{2, 1}, "places after all")
				f.equal(good.Bytes, []int64{20, 10}, "bytes after all")
			})
		}
	})
	t.Run("nothing to do", func(t *testing.T) {
		f := start(t, open)
		f.commit()
		f.equal(f.load(), record.Registry{}, "registry")
	})
	t.Run("a cancelled call does nothing", func(t *testing.T) {
		f := start(t, open, "a")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := f.s.Commit(ctx, []record.Op{&record.Put{Message: small(10), Receivers: []string{"a"}}}); !errors.Is(err, context.Canceled) {
			t.Fatalf("commit: %v", err)
		}
		if _, _, err := f.s.Next(ctx, "a", 0, 1, 1); !errors.Is(err, context.Canceled) {
			t.Fatalf("next: %v", err)
		}
		f.equal(f.put(10, "a").Seqs, []record.Seq{1}, "places")
	})
	t.Run("a closed store refuses", func(t *testing.T) {
		f := start(t, open, "a")
		if err := f.s.Close(); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		_, loaded := f.s.Load(ctx)
		_, _, next := f.s.Next(ctx, "a", 0, 1, 1)
		_, _, find := f.s.Find(ctx, "a", 1)
		_, state := f.s.State(ctx, "a", "")
		for name, err := range map[string]error{
			"load": loaded, "next": next, "find": find, "state": state, "close": f.s.Close(),
			"commit": f.s.Commit(ctx, []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "b"}}}),
		} {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("reads see what is committed, from any goroutine", func(t *testing.T) {
		const writers, each = 4, 25
		f := start(t, open, "a")
		var mu sync.Mutex // mids rise in the order of the commits
		mid := message.MID(0)
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range each {
					mu.Lock()
					mid++
					p := &record.Put{Message: small(mid), Receivers: []string{"a"}}
					err := f.s.Commit(context.Background(), []record.Op{p})
					mu.Unlock()
					if err != nil {
						t.Errorf("commit: %v", err)
						return
					}
					items, _, err := f.s.Next(context.Background(), "a", p.Seqs[0]-1, 1, 1)
					if err != nil || len(items) != 1 || items[0].MID != p.Message.MID {
						t.Errorf("next after the commit of %d: %v, %v", p.Message.MID, items, err)
						return
					}
				}
			})
		}
		group.Wait()
		f.equal(len(f.seqs("a", 0)), writers*each, "open items")
	})
}

// testLife: everything is there again, and goes on where it was.
func testLife(t *testing.T, open Open, life Life) {
	f := start(t, open, "a", "b", "gone")
	f.put(10, "a", "b", "gone")
	f.commit(
		&record.Put{Message: &message.Message{MID: 11, SendType: message.Group, Target: "g", Text: strings.Repeat("x", 9000)}, Receivers: []string{"a"}},
		&record.SaveRoute{Route: record.Route{Receiver: "a", Channel: "x", Kind: record.Declared, Address: []byte("there")}},
		&record.Advance{Receiver: "a", Channel: "x", Cursor: 1},
		&record.Settle{Item: record.Item{Receiver: "a", Seq: 1, MID: 10, State: record.Acked, EndedAt: 5, Status: message.Status{Rank: message.OK}}},
		&record.PutState{Channel: "x", Key: "k", Value: []byte("v")},
		&record.Forget{Receiver: "gone", Reason: "forgotten", At: 6},
		&record.Put{Message: small(12), Receivers: []string{"ghost"}},
	)
	registry, state := f.load(), f.state("x", "")
	items, _ := f.next("a", 0, 10, 1<<30)
	ended, _ := f.find("a", 10)
	for range 2 {
		f.s = life(t, f.s)
		f.equal(f.load(), registry, "registry")
		f.equal(f.state("x", ""), state, "state")
		again, _ := f.next("a", 0, 10, 1<<30)
		f.equal(again, items, "items")
		settled, _ := f.find("a", 10)
		f.equal(settled, ended, "ended item")
	}
	p := f.put(13, "b", "a")
	f.equal(p.Seqs, []record.Seq{2, 3}, "next places")
	f.equal(p.Bytes, []int64{20, 9021}, "bytes")
	f.s = life(t, f.s)
	if err := f.s.Commit(context.Background(), []record.Op{&record.Put{Message: small(13), Receivers: []string{"a"}}}); err == nil {
		t.Fatal("a mid is given twice")
	}
	f.equal(f.put(14, "a").Seqs, []record.Seq{4}, "next place after another life")
}
