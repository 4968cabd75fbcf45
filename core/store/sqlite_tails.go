package store

import (
	"database/sql/driver"

	"mpush/core/record"
)

// tails knows the end of every living receiver's queue, so that a Put reads
// nothing. It is the writer's, and in step with the file: what a transaction
// changed here is undone when it fails.
//
// On disk the ends are in receiver.tail_* as of meta.tails_mid, and the items
// beyond that mid are the rest; they are counted at open. So a Put touches no
// row of the receiver's, and every foldEvery items the ends are written down.
// Whoever deletes items may only delete those up to tails_mid.
type tails struct {
	byName  map[string]*tail
	lastMID int64
	// unfolded counts the items put beyond tails_mid.
	unfolded int

	undo []undo
	// before are lastMID and unfolded as the transaction found them.
	before struct {
		lastMID  int64
		unfolded int
	}
}

type tail struct {
	id    int64
	seq   record.Seq
	bytes int64
	dirty bool // not yet folded
}

// undo restores one tail's content, or the holder of a name.
type undo struct {
	name string // "" for content
	tail *tail
	old  tail
}

// foldEvery bounds what is counted at open to some 40 ms. A fold writes a
// row for each receiver that got something since the last one.
const foldEvery = 65536

// load reads the ends from the file.
func (t *tails) load(c *conn) error {
	t.byName = make(map[string]*tail)
	byID := make(map[int64]*tail)
	err := c.query(`SELECT id, name, tail_seq, tail_bytes FROM receiver WHERE forgotten_at = 0`, func(row []driver.Value) error {
		r := &tail{id: row[0].(int64), seq: record.Seq(row[2].(int64)), bytes: row[3].(int64)}
		t.byName[row[1].(string)], byID[r.id] = r, r
		return nil
	})
	if err != nil {
		return err
	}
	if t.lastMID, err = c.integer(`SELECT value FROM meta WHERE key = 'last_mid'`); err != nil {
		return err
	}
	const rest = `SELECT receiver, max(seq), max(total), count(*) FROM item
WHERE mid > (SELECT value FROM meta WHERE key = 'tails_mid') GROUP BY receiver`
	return c.query(rest, func(row []driver.Value) error {
		t.unfolded += int(row[3].(int64))
		if r := byID[row[0].(int64)]; r != nil {
			// A replayed item is written down in receiver at once, and lies
			// beyond what these are.
			r.seq, r.bytes, r.dirty = max(r.seq, record.Seq(row[1].(int64))), max(r.bytes, row[2].(int64)), true
		}
		return nil
	})
}

// begin starts to note what changes.
func (t *tails) begin() {
	t.undo = t.undo[:0]
	t.before.lastMID, t.before.unfolded = t.lastMID, t.unfolded
}

// rollback puts everything back as it was at begin.
func (t *tails) rollback() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		switch u := t.undo[i]; {
		case u.name == "":
			*u.tail = u.old
		case u.tail == nil:
			delete(t.byName, u.name)
		default:
			t.byName[u.name] = u.tail
		}
	}
	t.lastMID, t.unfolded = t.before.lastMID, t.before.unfolded
}

// hold gives the name to a receiver, nil to nobody.
func (t *tails) hold(name string, r *tail) {
	t.undo = append(t.undo, undo{name: name, tail: t.byName[name]})
	if r == nil {
		delete(t.byName, name)
		return
	}
	t.byName[name] = r
}

// extend counts one more item.
func (t *tails) extend(r *tail, size int) {
	t.undo = append(t.undo, undo{tail: r, old: *r})
	r.seq++
	r.bytes += int64(size)
	r.dirty = true
	t.unfolded++
}

// fold writes all ends down, within the transaction.
func (t *tails) fold(c *conn) error {
	for _, r := range t.byName {
		if !r.dirty {
			continue
		}
		if err := c.exec(`UPDATE receiver SET tail_seq = ?, tail_bytes = ? WHERE id = ?`, int64(r.seq), r.bytes, r.id); err != nil {
			return err
		}
		t.undo = append(t.undo, undo{tail: r, old: *r})
		r.dirty = false
	}
	t.unfolded = 0
	return c.exec(`UPDATE meta SET value = ? WHERE key = 'tails_mid'`, t.lastMID)
}
