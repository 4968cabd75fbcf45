package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// pruneBytes bounds the messages that a step deletes: their pages are freed one by
// one.
const pruneBytes = 4 << 20

const (
	// The lengths are in the row's header: a long text is not read for them.
	selectMessages = `SELECT mid, accepted_at, octet_length(text) + octet_length(desp) + octet_length(extra) FROM message WHERE mid > ? ORDER BY mid`
	selectNewest   = `SELECT accepted_at FROM message ORDER BY mid DESC LIMIT 1`
	selectItems    = `SELECT receiver, state, ended_at FROM item WHERE mid = ?`
	selectKeys     = `SELECT sender, name FROM sent WHERE (sender, name) >= (?, ?) AND at <= ? ORDER BY sender, name LIMIT ?`
	selectEmpty    = `SELECT id FROM receiver
WHERE forgotten_at > 0 AND forgotten_at < ? AND tail_seq - replayed = pruned_acked + pruned_handed_off + pruned_dead`

	// What is deleted was found a moment before: a dead letter may have been
	// replayed since, and a key used anew.
	deleteItem     = `DELETE FROM item WHERE mid = ? AND receiver = ? AND state = ? AND ended_at < ?`
	deleteMessage  = `DELETE FROM message WHERE mid = ? AND NOT EXISTS (SELECT 1 FROM item WHERE item.mid = message.mid)`
	deleteKey      = `DELETE FROM sent WHERE sender = ? AND name = ? AND at <= ?`
	deleteReceiver = `DELETE FROM receiver WHERE id = ?`
	countPruned    = `UPDATE receiver SET pruned_acked = pruned_acked + ?, pruned_handed_off = pruned_handed_off + ?, pruned_dead = pruned_dead + ? WHERE id = ?`
)

// Prune implements Store. It looks for what may go as surveys do, and takes the
// writer for n rows at a time, some 5 µs for each.
func (s *SQLite) Prune(ctx context.Context, before, keys int64, after message.MID, n int) (next message.MID, err error) {
	n = max(n, 1)
	if after == 0 { // once in a pass: it looks at all of them
		if err := s.pruneKeys(ctx, keys, n); err != nil {
			return 0, err
		}
	}
	if before <= 0 { // nothing is so old
		return 0, nil
	}
	old, next, err := s.old(ctx, before, after, n)
	if err != nil {
		return 0, err
	}
	for rows := range slices.Chunk(old, n) {
		if err := s.write(ctx, func(w *writer) error { return w.prune(before, rows) }); err != nil {
			return 0, err
		}
	}
	if next == 0 {
		return 0, s.pruneReceivers(ctx, before, n)
	}
	return next, nil
}

// write lends the writer for one transaction.
func (s *SQLite) write(ctx context.Context, f func(w *writer) error) error {
	w, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { s.writing <- w }()
	if w.broken != nil {
		return w.broken
	}
	if err := w.transaction(func() error { return f(w) }); err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return nil
}

// oldRow is an item that has ended, or a message whose items are all before it.
type oldRow struct {
	mid, receiver int64 // 0: the message
	state         record.State
}

// old finds what may be deleted of the messages after a mid. It stops at whole
// messages.
func (s *SQLite) old(ctx context.Context, before int64, after message.MID, n int) (rows []oldRow, next message.MID, err error) {
	err = s.survey(ctx, func(ctx context.Context, c *conn) error {
		newest, err := c.integerUntil(ctx, selectNewest)
		if err != nil {
			return err
		}
		looked, bytes, last := 0, int64(0), int64(0)
		return c.queryUntil(ctx, selectMessages, func(row []driver.Value) error {
			if looked == n || len(rows) >= n || bytes >= pruneBytes {
				next = message.MID(last)
				return errStop
			}
			mid, acceptedAt, size := row[0].(int64), row[1].(int64), row[2].(int64)
			looked++
			last = mid
			if acceptedAt >= before {
				if acceptedAt <= newest {
					return errStop // and so are all after it
				}
				return nil // the clock was set back since
			}
			kept := false
			err := c.queryUntil(ctx, selectItems, func(row []driver.Value) error {
				state := record.State(row[1].(int64))
				if state == record.Open || row[2].(int64) >= before {
					kept = true
				} else {
					rows = append(rows, oldRow{mid, row[0].(int64), state})
				}
				return nil
			}, mid)
			if !kept {
				rows = append(rows, oldRow{mid: mid})
				bytes += size
			}
			return err
		}, int64(after))
	})
	if err != nil {
		return nil, 0, err
	}
	return rows, next, nil
}

// prune deletes rows and counts the items among them for the books.
func (w *writer) prune(before int64, rows []oldRow) error {
	folded, err := w.integer(`SELECT value FROM meta WHERE key = 'tails_mid'`)
	if err != nil {
		return err
	}
	if rows[len(rows)-1].mid > folded {
		// Ends of queues are counted from items beyond tails_mid: none of those
		// may go.
		if err := w.tails.fold(w.conn); err != nil {
			return err
		}
	}
	type counts struct{ acked, handedOff, dead int64 }
	pruned := make(map[int64]*counts)
	for _, r := range rows {
		if r.receiver == 0 {
			if err := w.exec(deleteMessage, r.mid); err != nil {
				return err
			}
			continue
		}
		deleted, err := w.result(deleteItem, r.mid, r.receiver, int64(r.state), before)
		if err != nil {
			return err
		}
		if n, err := deleted.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			continue
		}
		c := pruned[r.receiver]
		if c == nil {
			c = new(counts)
			pruned[r.receiver] = c
		}
		switch r.state {
		case record.Acked:
			c.acked++
		case record.HandedOff:
			c.handedOff++
		default:
			c.dead++
		}
	}
	for receiver, c := range pruned {
		if err := w.exec(countPruned, c.acked, c.handedOff, c.dead, receiver); err != nil {
			return err
		}
	}
	return nil
}

func (s *SQLite) pruneKeys(ctx context.Context, until int64, n int) error {
	type key struct{ sender, name string }
	last := key{}
	for {
		var old []key
		err := s.survey(ctx, func(ctx context.Context, c *conn) error {
			return c.queryUntil(ctx, selectKeys, func(row []driver.Value) error {
				old = append(old, key{row[0].(string), row[1].(string)})
				return nil
			}, last.sender, last.name, until, int64(n))
		})
		if err != nil || len(old) == 0 {
			return err
		}
		err = s.write(ctx, func(w *writer) error {
			for _, k := range old {
				if err := w.exec(deleteKey, k.sender, k.name, until); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(old) < n {
			return err
		}
		last = old[n-1]
	}
}

// pruneReceivers deletes forgotten receivers whose items were pruned, all that were
// ever put.
func (s *SQLite) pruneReceivers(ctx context.Context, before int64, n int) error {
	var empty []int64
	err := s.survey(ctx, func(ctx context.Context, c *conn) error {
		return c.queryUntil(ctx, selectEmpty, func(row []driver.Value) error {
			empty = append(empty, row[0].(int64))
			return nil
		}, before)
	})
	if err != nil {
		return err
	}
	for ids := range slices.Chunk(empty, n) {
		err := s.write(ctx, func(w *writer) error {
			for _, id := range ids {
				if err := w.exec(deleteReceiver, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
