package webpush

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestGateLetsABoundedNumberIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gates
		leave := make([]func(), maxAtOnce)
		for i := range leave {
			var err error
			if leave[i], err = g.enter(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		other, err := g.enter(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		other()
		entered := make(chan func(), 1)
		go func() {
			late, err := g.enter(t.Context(), "a")
			if err != nil {
				t.Error(err)
			}
			entered <- late
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Error("one more than the bound is inside")
		default:
		}
		leave[0]()
		late := <-entered
		ctx, cancel := context.WithCancel(t.Context())
		refused := make(chan error, 1)
		go func() {
			_, err := g.enter(ctx, "a")
			refused <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-refused; !errors.Is(err, context.Canceled) {
			t.Errorf("who waits no longer: %v", err)
		}
		late()
		for _, l := range leave[1:] {
			l()
		}
		if len(g.places) != 0 {
			t.Errorf("%d origins are remembered", len(g.places))
		}
	})
}
