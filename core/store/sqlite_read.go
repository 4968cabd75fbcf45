package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"mpush/core/message"
	"mpush/core/record"
)

// read runs f on one of the readers. Each query sees what was committed before
// it began.
func (s *SQLite) read(ctx context.Context, f func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c, ok := <-s.reading:
		if !ok {
			return ErrClosed
		}
		defer func() { s.reading <- c }()
		if err := f(c); err != nil {
			return fmt.Errorf("read %s: %w", s.path, classify(err))
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// survey is read for what may take long: one such at a time, which ends early when
// ctx does or the store is closed, and which no message waits for. f gets the
// context to query with.
func (s *SQLite) survey(ctx context.Context, f func(ctx context.Context, c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c, ok := <-s.surveying:
		if !ok {
			return ErrClosed
		}
		defer func() { s.surveying <- c }()
		either, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.open, cancel)()
		err := f(either, c)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case s.open.Err() != nil:
			return ErrClosed
		}
		return fmt.Errorf("read %s: %w", s.path, classify(err))
	case <-s.open.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	itemColumns    = `item.seq, item.mid, item.state, item.rank, item.channel, item.tries, item.sent_at, item.ended_at, item.reason, item.error`
	messageColumns = `message.mid, send_type, target, from_method, from_name, text, desp, extra, accepted_at, expires_at`
	columns        = itemColumns + `, ` + messageColumns
)

// messagePlace is where messageColumns begin among columns.
const messagePlace = 10

// CROSS JOIN keeps the order: the queue first, then each item's message.
const selectOpen = `SELECT ` + columns + `
FROM receiver
CROSS JOIN item INDEXED BY item_open ON item.receiver = receiver.id AND item.state = 0 AND item.seq > ?
CROSS JOIN message ON message.mid = item.mid
WHERE receiver.name = ? AND receiver.forgotten_at = 0
ORDER BY item.seq LIMIT ?`

// Next implements Store.
func (s *SQLite) Next(ctx context.Context, receiver string, after record.Seq, n, maxBytes int) (items []record.Queued, more bool, err error) {
	n = max(n, 1)
	err = s.read(ctx, func(c *conn) error {
		bytes := 0
		return c.query(selectOpen, func(row []driver.Value) error {
			q := queued(receiver, row)
			bytes += q.Message.Size()
			if len(items) == n || len(items) > 0 && bytes > maxBytes {
				more = true
				return errStop
			}
			items = append(items, q)
			return nil
		}, int64(after), receiver, int64(n)+1)
	})
	if err != nil {
		return nil, false, err
	}
	return items, more, nil
}

const selectItem = `SELECT ` + columns + `
FROM receiver
CROSS JOIN item ON item.mid = ? AND item.receiver = receiver.id
CROSS JOIN message ON message.mid = item.mid
WHERE receiver.name = ? AND receiver.forgotten_at = 0`

// Find implements Store.
func (s *SQLite) Find(ctx context.Context, receiver string, mid message.MID) (item record.Queued, found bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(selectItem, func(row []driver.Value) error {
			item, found = queued(receiver, row), true
			return nil
		}, int64(mid), receiver)
	})
	if err != nil {
		return record.Queued{}, false, err
	}
	return item, found, nil
}

// queued reads a row of columns.
func queued(receiver string, row []driver.Value) record.Queued {
	return record.Queued{Item: itemOf(receiver, row), Message: messageOf(row[messagePlace:])}
}

// itemOf reads a row of itemColumns.
func itemOf(receiver string, row []driver.Value) record.Item {
	return record.Item{
		Receiver: receiver, Seq: record.Seq(row[0].(int64)), MID: message.MID(row[1].(int64)), State: record.State(row[2].(int64)),
		Status: message.Status{Rank: message.Rank(row[3].(int64)), Channel: row[4].(string)},
		Tries:  int(row[5].(int64)), SentAt: row[6].(int64), EndedAt: row[7].(int64),
		Reason: row[8].(string), Error: row[9].(string),
	}
}

// messageOf reads a row of messageColumns.
func messageOf(row []driver.Value) *message.Message {
	extra, _ := row[7].([]byte)
	return &message.Message{
		MID: message.MID(row[0].(int64)), SendType: message.SendType(row[1].(int64)), Target: row[2].(string),
		FromMethod: row[3].(string), FromName: row[4].(string), Text: row[5].(string), Desp: row[6].(string),
		Extra: extra, AcceptedAt: row[8].(int64), ExpiresAt: row[9].(int64),
	}
}

const selectMessage = `SELECT ` + messageColumns + ` FROM message WHERE mid = ?`

// message returns a message, nil if there is none.
func (c *conn) message(ctx context.Context, mid message.MID) (m *message.Message, err error) {
	err = c.queryUntil(ctx, selectMessage, func(row []driver.Value) error {
		m = messageOf(row)
		return nil
	}, int64(mid))
	return m, err
}

// State implements Store.
func (s *SQLite) State(ctx context.Context, channel, prefix string) (map[string][]byte, error) {
	entries := make(map[string][]byte)
	err := s.read(ctx, func(c *conn) error {
		return c.query(`SELECT key, value FROM state WHERE channel = ? AND key >= ? ORDER BY key`, func(row []driver.Value) error {
			key := row[0].(string)
			if !strings.HasPrefix(key, prefix) {
				return errStop
			}
			entries[key], _ = row[1].([]byte)
			return nil
		}, channel, prefix)
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}
