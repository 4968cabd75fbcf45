package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"mpush/core/message"
	"mpush/core/record"
)

// endless is a query that never comes to its first row.
const endless = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n`

// within waits for a call that must not wait for others.
func within(t *testing.T, what string, call func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- call() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Second):
		t.Fatalf("%s has not returned within 10 s", what)
		return nil
	}
}

func TestSlowReadsOfTheOperatorHoldNobodyElse(t *testing.T) {
	s, err := OpenSQLite(context.Background(), filepath.Join(t.TempDir(), "mpush.db"))
	if err != nil {
		t.Fatal(err)
	}
	// slow reads as Audit does, and tells when it has the reader.
	slow := func(ctx context.Context, begun chan<- struct{}) <-chan error {
		ended := make(chan error, 1)
		go func() {
			ended <- s.survey(ctx, func(ctx context.Context, c *conn) error {
				begun <- struct{}{}
				return c.queryUntil(ctx, endless, func([]driver.Value) error { return nil })
			})
		}()
		return ended
	}
	begun := make(chan struct{}, 2)
	first, leave := context.WithCancel(context.Background())
	defer leave()
	one := slow(first, begun)
	<-begun
	two := slow(context.Background(), begun)

	if err := within(t, "a commit", func() error {
		return s.Commit(context.Background(), []record.Op{
			&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}, &record.Put{Message: &message.Message{MID: 1}, Receivers: []string{"a"}},
		})
	}); err != nil {
		t.Error(err)
	}
	if err := within(t, "a queue", func() error {
		items, _, err := s.Next(context.Background(), "a", 0, 1, 1)
		if len(items) != 1 {
			t.Errorf("%d items", len(items))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	// Who waits for the reader may leave, and so may who has it: then the next has its turn.
	ended, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := within(t, "an audit that waits", func() error { _, err := s.Audit(ended); return err }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	leave()
	select {
	case err = <-one:
		<-begun
	case <-time.After(10 * time.Second):
		t.Fatal("a read goes on after its context has ended")
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := within(t, "Close", s.Close); err != nil {
		t.Error(err)
	}
	select {
	case err = <-two:
	case <-time.After(10 * time.Second):
		t.Fatal("a read goes on after the store was closed")
	}
	if !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := s.Audit(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
