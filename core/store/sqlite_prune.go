package store

import (
	"context"
	"database/sql/driver"
	"fmt"

	"mpush/core/message"
	"mpush/core/record"
)

// pruned counts what is deleted of one receiver.
type pruned struct{ acked, handedOff, dead int64 }

const (
	selectOld = `SELECT message.mid, item.receiver, item.state, item.ended_at
FROM (SELECT mid FROM message WHERE mid > ? AND accepted_at < ? ORDER BY mid LIMIT ?) AS message
LEFT JOIN item ON item.mid = message.mid
ORDER BY message.mid`
	deleteItem    = `DELETE FROM item WHERE mid = ? AND receiver = ?`
	deleteMessage = `DELETE FROM message WHERE mid = ?`
	countPruned   = `UPDATE receiver SET pruned_acked = pruned_acked + ?, pruned_handed_off = pruned_handed_off + ?, pruned_dead = pruned_dead + ? WHERE id = ?`
)

// Prune implements Store. A step takes about 5 µs of the writer's time for each
// item that it deletes.
func (s *SQLite) Prune(ctx context.Context, before, keys int64, after message.MID, n int) (next message.MID, err error) {
	w, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { s.writing <- w }()
	if w.broken != nil {
		return 0, w.broken
	}
	err = w.transaction(func() (err error) {
		if after == 0 { // once in a pass: it looks at all of them
			if err = w.exec(`DELETE FROM sent WHERE at <= ?`, keys); err != nil {
				return err
			}
		}
		next, err = w.prune(before, after, max(n, 1))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", s.path, err)
	}
	return next, nil
}

func (w *writer) prune(before int64, after message.MID, n int) (next message.MID, err error) {
	type key struct {
		mid      int64
		receiver int64
	}
	var items []key
	var mids []int64
	counts := make(map[int64]*pruned)
	kept := make(map[int64]bool)
	err = w.query(selectOld, func(row []driver.Value) error {
		mid := row[0].(int64)
		if len(mids) == 0 || mids[len(mids)-1] != mid {
			mids = append(mids, mid)
		}
		receiver, has := row[1].(int64)
		if !has {
			return nil
		}
		state := record.State(row[2].(int64))
		if state == record.Open || row[3].(int64) >= before {
			kept[mid] = true
			return nil
		}
		items = append(items, key{mid, receiver})
		c := counts[receiver]
		if c == nil {
			c = new(pruned)
			counts[receiver] = c
		}
		switch state {
		case record.Acked:
			c.acked++
		case record.HandedOff:
			c.handedOff++
		default:
			c.dead++
		}
		return nil
	}, int64(after), before, int64(n))
	if err != nil || len(mids) == 0 {
		return 0, err
	}
	if len(items) > 0 {
		// Ends of queues are counted from items beyond tails_mid: none of those
		// may go.
		if err := w.tails.fold(w.conn); err != nil {
			return 0, err
		}
	}
	for _, k := range items {
		if err := w.exec(deleteItem, k.mid, k.receiver); err != nil {
			return 0, err
		}
	}
	for _, mid := range mids {
		if !kept[mid] {
			if err := w.exec(deleteMessage, mid); err != nil {
				return 0, err
			}
		}
	}
	for receiver, c := range counts {
		if err := w.exec(countPruned, c.acked, c.handedOff, c.dead, receiver); err != nil {
			return 0, err
		}
	}
	if len(mids) < n {
		return 0, nil
	}
	return message.MID(mids[len(mids)-1]), nil
}
