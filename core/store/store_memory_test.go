package store_test

import (
	"context"
	"errors"
	"testing"

	"mpush/core/record"
	"mpush/core/store"
	"mpush/core/store/storetest"
)

func TestMemory(t *testing.T) {
	open := func(*testing.T) store.Store { return store.NewMemory() }
	storetest.Run(t, open, map[string]storetest.Life{
		"restart": func(t *testing.T, s store.Store) store.Store {
			m := s.(*store.Memory)
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			return m.Reopen()
		},
		"crash": func(_ *testing.T, s store.Store) store.Store { return s.(*store.Memory).Reopen() },
	})
}

func TestMemoryFailsOnDemand(t *testing.T) {
	ctx := context.Background()
	broken := errors.New("broken")
	var failing string
	m := store.NewMemory()
	m.Fail = func(op string) error {
		if op == failing {
			return broken
		}
		return nil
	}
	for _, failing = range []string{"load", "commit", "next", "find", "state"} {
		_, loaded := m.Load(ctx)
		committed := m.Commit(ctx, []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: failing}}})
		_, _, next := m.Next(ctx, "a", 0, 1, 1)
		_, _, found := m.Find(ctx, "a", 1)
		_, state := m.State(ctx, "a", "")
		for op, err := range map[string]error{"load": loaded, "commit": committed, "next": next, "find": found, "state": state} {
			if (op == failing) != errors.Is(err, broken) {
				t.Errorf("%s while %s fails: %v", op, failing, err)
			}
		}
	}
	reg, err := m.Load(ctx)
	if err != nil || len(reg.Receivers) != 4 {
		t.Fatalf("load: %v, %v; want a receiver of each commit but the failed one", reg, err)
	}
}
