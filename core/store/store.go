// Package store owns durability: messages, items, receivers, routes and
// channel state survive what the process does not. Store is its contract,
// store_sqlite.go the durable implementation and store_memory.go the one for
// tests, which is also the shortest reading of the contract; storetest holds
// both to the same suite. It decides nothing: what is written and when is the
// relay's and the engine's affair.
package store

import (
	"context"
	"errors"

	"mpush/core/message"
	"mpush/core/record"
)

// Store keeps the records. Every method may be called from any goroutine;
// Commit calls are serialized. A call that failed may be repeated. Reads see
// everything that was committed before they were called.
//
// An operation on a receiver or route that is not there does nothing: it was
// forgotten or dropped a moment ago. A Put then reports Seq 0 for it.
type Store interface {
	// Load reads the registry, once at start: receivers by name, routes by
	// receiver and channel.
	Load(ctx context.Context) (record.Registry, error)

	// Commit applies the operations in order, in one transaction that is on
	// disk when Commit returns nil. On an error nothing was applied. It fills
	// Seqs and Bytes of each Put, and what Replay and Forget tell. Once it has
	// begun to write it does not heed ctx, so that its outcome is always known.
	//
	// A Put whose mid is not above LastMID, or that names a receiver twice, is
	// an error. LastMID rises with every Put, also one that nobody got. A
	// message without a known receiver is not stored.
	//
	// A Settle means the item that has its Receiver, Seq and MID; an empty
	// Error keeps the earlier one.
	Commit(ctx context.Context, ops []record.Op) error

	// Next returns a receiver's open items after a place, oldest first: at
	// most n (at least 1), and only as many as have messages of maxBytes
	// together (but at least one). more tells whether open items follow the
	// last returned. Its cost depends on what it returns alone, not on how
	// many items have ended after that place.
	Next(ctx context.Context, receiver string, after record.Seq, n, maxBytes int) (items []record.Queued, more bool, err error)

	// Find returns the receiver's item of a message, open or ended.
	Find(ctx context.Context, receiver string, mid message.MID) (item record.Queued, found bool, err error)

	// State returns a channel's entries whose keys begin with prefix.
	State(ctx context.Context, channel, prefix string) (map[string][]byte, error)

	// Trace returns a message with what became of it, by receiver; those since
	// forgotten included. It is nil if there is no such message, or no more.
	Trace(ctx context.Context, mid message.MID) (*message.Message, []record.Item, error)

	// Dead returns dead letters that are not dropped, the newest mids first: of
	// one living receiver, or of all for "". It goes on below a mid, unless that
	// is 0, and ends with the mid that makes them n or more, or their messages
	// MaxDeadBytes or more.
	Dead(ctx context.Context, receiver string, below message.MID, n int) ([]record.Queued, error)

	// Sent returns what a sender has sent under a key.
	Sent(ctx context.Context, sender, name string) (key record.Key, found bool, err error)

	// Audit counts all items of all receivers, by name.
	Audit(ctx context.Context) ([]record.Account, error)

	// Overdue returns where items are open though their messages expired after
	// from, and not after to: about n items, those that expired first. next is where
	// to go on, to if that was all; it may look at so many messages at once only.
	Overdue(ctx context.Context, from, to int64, n int) (overdue []record.Overdue, next int64, err error)

	// Away returns up to n receivers, by name and after one, that were last
	// seen before a time.
	Away(ctx context.Context, before int64, after string, n int) (names []string, err error)

	// Prune deletes what has ended before a time, messages that no item is left
	// of, and receivers that were forgotten before and have none left. It looks at
	// no more than n messages after a mid; next is where to go on, 0 if that was
	// all. It may stop where a message is younger than that time: those after it
	// are, unless the clock was set back. With after 0 it forgets senders' keys,
	// too, that are as old as keys. A Commit waits for some n rows at most.
	Prune(ctx context.Context, before, keys int64, after message.MID, n int) (next message.MID, err error)

	// Close waits for the call in progress and lets go of the files. Later
	// calls fail with ErrClosed.
	Close() error
}

// MaxDeadBytes bounds the messages of the dead letters that are read at once.
const MaxDeadBytes = 4 << 20

var (
	// ErrFull: the disk has no space for the write. Nothing was applied, and a
	// later Commit may succeed.
	ErrFull = errors.New("no space left for the data directory")

	// ErrFatal wraps a failure after which the file can not be trusted to hold
	// what is written, such as a failed fsync. The process must stop; every
	// later Commit fails likewise.
	ErrFatal = errors.New("storage failure")

	// ErrClosed: the store was closed before the call.
	ErrClosed = errors.New("store is closed")
)
