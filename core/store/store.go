// Package store owns durability: messages, items, receivers, routes and
// channel state survive what the process does not. Store is its contract,
// store_sqlite.go the durable implementation and store_memory.go the one for
// tests; storetest holds both to the same suite. It decides nothing: what is
// written and when is the relay's and the engine's affair.
package store

import (
	"context"
	"errors"

	"mpush/core/message"
	"mpush/core/record"
)

// Store keeps the records. Every method may be called from any goroutine;
// Commit calls are serialized. A call that failed may be repeated.
type Store interface {
	// Load reads the registry, once at start.
	Load(ctx context.Context) (record.Registry, error)

	// Commit applies the operations in order, in one transaction that is on
	// disk when Commit returns nil. On an error nothing was applied. It fills
	// Seqs and Bytes of each Put.
	Commit(ctx context.Context, ops []record.Op) error

	// Next returns a receiver's open items after a place, oldest first: at
	// most n, and no more once their messages exceed maxBytes together (but at
	// least one). more tells whether open items follow the last returned.
	Next(ctx context.Context, receiver string, after record.Seq, n, maxBytes int) (items []record.Queued, more bool, err error)

	// Find returns the receiver's item of a message.
	Find(ctx context.Context, receiver string, mid message.MID) (item record.Queued, found bool, err error)

	// State returns a channel's entries whose keys begin with prefix.
	State(ctx context.Context, channel, prefix string) (map[string][]byte, error)

	Close() error
}

// ErrFull: the disk has no space for the write. Nothing was applied, and a
// later Commit may succeed.
var ErrFull = errors.New("no space left for the data directory")

// ErrFatal wraps a failure after which the file can not be trusted to hold what
// is written, such as a failed fsync. The process must stop.
var ErrFatal = errors.New("storage failure")
