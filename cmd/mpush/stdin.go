package main

import "context"

// fromStdin waits for what reads stdin, until ctx ends. The reading itself can not
// be ended: it goes on for as long as the process.
func fromStdin[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var nothing T
		return nothing, ctx.Err()
	}
}
