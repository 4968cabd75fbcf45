package relay

import (
	"context"
	"errors"
	"fmt"

	"mpush/core/record"
	"mpush/core/store"
)

// MaxStateBytes is what a channel may keep as its own state, keys and values
// together. It fits one answer.
const MaxStateBytes = 1 << 20

// ErrStateLimit: the entry would take a channel over MaxStateBytes.
var ErrStateLimit = errors.New("the channel's state would have more than 1 MiB")

// state returns the job's state entry, if that is what it writes.
func (j *job) state() *record.PutState {
	if len(j.ops) == 1 {
		put, _ := j.ops[0].(*record.PutState)
		return put
	}
	return nil
}

// stateSizes knows how large the channels' entries are, by channel and key. The
// committer alone uses it, in the order of writing.
type stateSizes map[string]map[string]int

// admit takes account of an entry, or refuses it.
func (s *stateSizes) admit(ctx context.Context, db store.Store, put *record.PutState) error {
	if *s == nil {
		*s = make(stateSizes)
	}
	sizes := (*s)[put.Channel]
	if sizes == nil {
		entries, err := db.State(ctx, put.Channel, "")
		if err != nil {
			return fmt.Errorf("read the channel's state: %w", err)
		}
		sizes = make(map[string]int)
		for key, value := range entries {
			sizes[key] = len(key) + len(value)
		}
		(*s)[put.Channel] = sizes
	}
	total := len(put.Key) + len(put.Value) - sizes[put.Key]
	for _, size := range sizes {
		total += size
	}
	switch {
	case len(put.Value) == 0:
		delete(sizes, put.Key)
	case total > MaxStateBytes:
		return ErrStateLimit
	default:
		sizes[put.Key] = len(put.Key) + len(put.Value)
	}
	return nil
}

// forget drops what is known: a write has failed.
func (s *stateSizes) forget() { *s = nil }
