package store

import (
	"cmp"
	"context"
	"database/sql/driver"
	"slices"

	"mpush/core/message"
	"mpush/core/record"
)

// receiverPlace is where the receiver's name follows itemColumns.
const receiverPlace = 10

// selectTrace leaves the message out: it would be sorted and read with each item.
const selectTrace = `SELECT ` + itemColumns + `, receiver.name
FROM item
CROSS JOIN receiver ON receiver.id = item.receiver
WHERE item.mid = ?
ORDER BY receiver.name, receiver.id`

// Trace implements Store.
func (s *SQLite) Trace(ctx context.Context, mid message.MID) (m *message.Message, items []record.Item, err error) {
	err = s.read(ctx, func(c *conn) error {
		err := c.queryUntil(ctx, selectTrace, func(row []driver.Value) error {
			items = append(items, itemOf(row[receiverPlace].(string), row))
			return nil
		}, int64(mid))
		if err != nil || len(items) == 0 {
			return err
		}
		m, err = c.message(ctx, mid)
		return err
	})
	if err != nil || m == nil { // it may have been pruned in between
		return nil, nil, err
	}
	return m, items, nil
}

// selectDeadOf goes backwards through an index, so that nothing is sorted. It
// leaves the messages out: each is read once, however many letters it has.
const (
	selectDeadOf = `SELECT ` + itemColumns + `, receiver.name
FROM item INDEXED BY item_dead
CROSS JOIN receiver ON receiver.id = item.receiver
WHERE state = 3 AND reason <> 'dropped' AND item.mid < ? AND receiver.forgotten_at = 0`
	inOrder = ` ORDER BY item.mid DESC, item.receiver DESC`
)

// Dead implements Store.
func (s *SQLite) Dead(ctx context.Context, receiver string, below message.MID, n int) (letters []record.Queued, err error) {
	if below == 0 {
		below = 1<<63 - 1
	}
	query, args := selectDeadOf+inOrder, []driver.Value{int64(below)}
	if receiver != "" {
		query, args = selectDeadOf+` AND receiver.name = ?`+inOrder, append(args, receiver)
	}
	err = s.survey(ctx, func(ctx context.Context, c *conn) error {
		var last *message.Message
		bytes := 0
		return c.queryUntil(ctx, query, func(row []driver.Value) error {
			it := itemOf(row[receiverPlace].(string), row)
			if last == nil || last.MID != it.MID {
				if last != nil && (len(letters) >= n || bytes >= MaxDeadBytes) {
					return errStop
				}
				// The query that goes on around this one keeps what it sees.
				m, err := c.message(ctx, it.MID)
				if err != nil || m == nil {
					return err
				}
				last = m
				bytes += m.Size()
			}
			letters = append(letters, record.Queued{Item: it, Message: last})
			return nil
		}, args...)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(letters, func(a, b record.Queued) int {
		return cmp.Or(cmp.Compare(b.MID, a.MID), cmp.Compare(a.Receiver, b.Receiver))
	})
	return letters, nil
}

// Sent implements Store.
func (s *SQLite) Sent(ctx context.Context, sender, name string) (key record.Key, found bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(`SELECT digest, mid, at FROM sent WHERE sender = ? AND name = ?`, func(row []driver.Value) error {
			key = record.Key{Sender: sender, Name: name, Digest: row[0].(string), MID: message.MID(row[1].(int64)), At: row[2].(int64)}
			found = true
			return nil
		}, sender, name)
	})
	if err != nil {
		return record.Key{}, false, err
	}
	return key, found, nil
}

// selectAudit is one statement, and so sees one moment.
const selectAudit = `SELECT name, forgotten_at, max(tail_seq, coalesce(last, 0)) - replayed,
  coalesce(acked, 0) + pruned_acked, coalesce(handed_off, 0) + pruned_handed_off, coalesce(dead, 0) + pruned_dead, coalesce(pending, 0)
FROM receiver LEFT JOIN (
  SELECT receiver, max(seq) AS last, sum(state = 0) AS pending, sum(state = 1) AS acked, sum(state = 2) AS handed_off, sum(state = 3) AS dead
  FROM item GROUP BY receiver
) ON receiver = receiver.id
ORDER BY name, forgotten_at`

// Audit implements Store.
func (s *SQLite) Audit(ctx context.Context) (accounts []record.Account, err error) {
	err = s.survey(ctx, func(ctx context.Context, c *conn) error {
		return c.queryUntil(ctx, selectAudit, func(row []driver.Value) error {
			accounts = append(accounts, record.Account{
				Receiver: row[0].(string), Forgotten: row[1].(int64) != 0, Accepted: row[2].(int64),
				Acked: row[3].(int64), HandedOff: row[4].(int64), Dead: row[5].(int64), Pending: row[6].(int64),
			})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return accounts, nil
}

// overdueLook is how many messages Overdue looks at: after a start all that have
// ended are passed over, some 2 µs each.
const overdueLook = 10_000

const (
	// As many expire in one moment as were accepted in one: they are taken
	// together, so that next is a time.
	selectLook = `SELECT expires_at FROM message INDEXED BY message_expires
WHERE expires_at > 0 AND expires_at > ? AND expires_at <= ? ORDER BY expires_at LIMIT 1 OFFSET ?`
	selectOverdue = `SELECT message.expires_at, receiver.name, item.seq
FROM message INDEXED BY message_expires
CROSS JOIN item ON item.mid = message.mid AND item.state = 0
CROSS JOIN receiver ON receiver.id = item.receiver
WHERE message.expires_at > 0 AND message.expires_at > ? AND message.expires_at <= ?
ORDER BY message.expires_at`
)

// Overdue implements Store.
func (s *SQLite) Overdue(ctx context.Context, from, to int64, n int) (overdue []record.Overdue, next int64, err error) {
	n = max(n, 1)
	err = s.survey(ctx, func(ctx context.Context, c *conn) error {
		end, err := c.integerUntil(ctx, selectLook, from, to, int64(overdueLook-1))
		if err != nil {
			return err
		}
		if next = end; end == 0 {
			next = to
		}
		place := make(map[string]int)
		found, last := 0, int64(0)
		return c.queryUntil(ctx, selectOverdue, func(row []driver.Value) error {
			at, name, seq := row[0].(int64), row[1].(string), record.Seq(row[2].(int64))
			if found >= n && at != last {
				next = last
				return errStop
			}
			found++
			last = at
			i, known := place[name]
			if !known {
				i = len(overdue)
				place[name] = i
				overdue = append(overdue, record.Overdue{Receiver: name, First: seq, Last: seq})
			}
			overdue[i].First, overdue[i].Last = min(overdue[i].First, seq), max(overdue[i].Last, seq)
			return nil
		}, from, next)
	})
	if err != nil {
		return nil, 0, err
	}
	return overdue, next, nil
}

// Away implements Store.
func (s *SQLite) Away(ctx context.Context, before int64, after string, n int) (names []string, err error) {
	err = s.survey(ctx, func(ctx context.Context, c *conn) error {
		return c.queryUntil(ctx, `SELECT name FROM receiver WHERE forgotten_at = 0 AND seen_at < ? AND name > ? ORDER BY name LIMIT ?`, func(row []driver.Value) error {
			names = append(names, row[0].(string))
			return nil
		}, before, after, int64(n))
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}
