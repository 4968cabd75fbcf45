package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What a plugin may have more of after a load than before it.
const (
	moreThreads  = 24
	moreFiles    = 24
	moreResident = 96 << 20
	leakRounds   = 2
)

// wear are the checks of what work leaves behind.
func wear() []Check {
	return []Check{{
		Name:    "leaks",
		Shows:   "After more load the plugin has about as many threads and open files, and takes about as much memory, as before it.",
		needs:   []string{"outcomes"},
		process: true,
		run:     leaksNothing,
	}}
}

func leaksNothing(ctx context.Context, k *Kit) error {
	l, err := k.egress(ctx)
	if err != nil {
		return err
	}
	// What is made once and kept, such as connections, is made by now.
	if _, err := l.run(ctx, k.target.Messages/2); err != nil {
		return fmt.Errorf("under load: %w", err)
	}
	before, ok := usageOf(l.inst.pid())
	if !ok {
		return skip("what a process takes shows on Linux only")
	}
	for range leakRounds {
		if _, err := l.run(ctx, k.target.Messages); err != nil {
			return fmt.Errorf("under load: %w", err)
		}
	}
	// Things may take a moment to be closed.
	deadline := time.Now().Add(max(5*time.Second, k.target.Patience/2))
	for {
		after, _ := usageOf(l.inst.pid())
		leak := leaked(before, after)
		switch err := l.quiet(ctx); {
		case err != nil:
			return err
		case leak == "":
			k.note("%d threads, %d files, %d MiB", after.threads, after.files, after.resident>>20)
			return nil
		case time.Now().After(deadline):
			return errors.New(leak + ": close what a delivery opens")
		}
	}
}

// leaked says what there is too much more of, "" for nothing.
func leaked(before, after usage) string {
	switch {
	case after.files > before.files+moreFiles:
		return fmt.Sprintf("it has %d files open, and had %d before the load", after.files, before.files)
	case after.threads > before.threads+moreThreads:
		return fmt.Sprintf("it has %d threads, and had %d before the load", after.threads, before.threads)
	case after.resident > before.resident+moreResident:
		return fmt.Sprintf("it takes %d MiB, and took %d before the load", after.resident>>20, before.resident>>20)
	}
	return ""
}
