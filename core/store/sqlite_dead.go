package store

import (
	"database/sql/driver"

	"mpush/core/message"
	"mpush/core/record"
)

// insertKey replaces a key of the same name: it was forgotten, or its message
// went to nobody.
const insertKey = `INSERT OR REPLACE INTO sent (sender, name, digest, mid, at) VALUES (?, ?, ?, ?, ?)`

// selectDead finds a dead letter's size, and whose time its message has.
const selectDead = `SELECT target, from_method, from_name, text, desp, extra, expires_at,
  EXISTS (SELECT 1 FROM item AS other WHERE other.mid = item.mid AND other.receiver <> item.receiver AND other.state = 0)
FROM item JOIN message ON message.mid = item.mid
WHERE item.mid = ? AND item.receiver = ? AND state = 3 AND reason <> 'dropped'`

// reopenItem makes a dead letter an item as a Put does.
const reopenItem = `UPDATE item SET seq = ?, state = 0, rank = 1, channel = '', tries = 0, sent_at = 0, ended_at = 0,
  reason = '', error = '', total = ? WHERE mid = ? AND receiver = ?`

// replay moves a dead letter to the end of its receiver's queue. That end is
// written down: what is counted at open goes by mids, and this one is old.
func (w *writer) replay(p *record.Replay) error {
	p.Seq, p.Bytes, p.Until = 0, 0, 0
	r := w.tails.byName[p.Receiver]
	if r == nil {
		return nil
	}
	size, found, until := 0, false, p.ExpiresAt
	err := w.query(selectDead, func(row []driver.Value) error {
		found = true
		extra, _ := row[5].([]byte)
		m := message.Message{
			Target: row[0].(string), FromMethod: row[1].(string), FromName: row[2].(string),
			Text: row[3].(string), Desp: row[4].(string), Extra: extra,
		}
		size = m.Size()
		if expires := row[6].(int64); row[7].(int64) != 0 && (expires == 0 || expires > p.At) {
			until = expires
		}
		return nil
	}, int64(p.MID), r.id)
	if err != nil || !found {
		return err
	}
	w.tails.extend(r, size)
	if err := w.exec(reopenItem, int64(r.seq), r.bytes, int64(p.MID), r.id); err != nil {
		return err
	}
	if err := w.exec(`UPDATE message SET expires_at = ? WHERE mid = ?`, until, int64(p.MID)); err != nil {
		return err
	}
	p.Seq, p.Bytes, p.Until = r.seq, r.bytes, until
	return w.exec(`UPDATE receiver SET replayed = replayed + 1, tail_seq = ?, tail_bytes = ? WHERE id = ?`, int64(r.seq), r.bytes, r.id)
}

func (w *writer) dropDead(d *record.DropDead) error {
	r := w.tails.byName[d.Receiver]
	if r == nil {
		return nil
	}
	return w.exec(`UPDATE item SET reason = 'dropped' WHERE mid = ? AND receiver = ? AND state = 3`, int64(d.MID), r.id)
}
