package store

import (
	"database/sql/driver"

	"mpush/core/message"
	"mpush/core/record"
)

const (
	updateRoute = `UPDATE route SET kind = ?, address = ?, exclusive = ?, acks = ?, prefetch = ?, resend = ?, retry = ?, retry_max = ?
WHERE receiver = ? AND channel = ?`
	insertRoute = `INSERT INTO route (kind, address, exclusive, acks, prefetch, resend, retry, retry_max, receiver, channel)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

func (w *writer) saveRoute(route *record.Route) error {
	r := w.tails.byName[route.Receiver]
	if r == nil {
		return nil
	}
	p := route.Policy
	args := []driver.Value{int64(route.Kind), blob(route.Address), p.Exclusive, p.Acks, int64(p.Prefetch),
		p.Resend, p.Retry, p.RetryMax, r.id, route.Channel}
	changed, err := w.result(updateRoute, args...)
	if err != nil {
		return err
	}
	if n, err := changed.RowsAffected(); err != nil || n > 0 {
		return err
	}
	id, err := w.insert(insertRoute, args...)
	if err != nil {
		return err
	}
	return w.exec(`INSERT INTO cursor VALUES (?, ?)`, id, int64(route.Cursor))
}

func (w *writer) dropRoute(d *record.DropRoute) error {
	r := w.tails.byName[d.Receiver]
	if r == nil {
		return nil
	}
	if err := w.exec(`DELETE FROM cursor WHERE route = (SELECT id FROM route WHERE receiver = ? AND channel = ?)`, r.id, d.Channel); err != nil {
		return err
	}
	return w.exec(`DELETE FROM route WHERE receiver = ? AND channel = ?`, r.id, d.Channel)
}

// insert runs an INSERT and returns the new row's id.
func (c *conn) insert(query string, args ...driver.Value) (int64, error) {
	res, err := c.result(query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

const (
	selectReceivers = `SELECT name, grp, seen_at FROM receiver WHERE forgotten_at = 0 ORDER BY name`
	selectRoutes    = `SELECT receiver.name, channel, kind, address, exclusive, acks, prefetch, resend, retry, retry_max, cursor.seq
FROM route JOIN receiver ON receiver.id = route.receiver JOIN cursor ON cursor.route = route.id ORDER BY receiver.name, channel`
)

// registry reads what the engine starts from.
func (w *writer) registry() (record.Registry, error) {
	var reg record.Registry
	reg.LastMID = message.MID(w.tails.lastMID)
	err := w.query(selectReceivers, func(row []driver.Value) error {
		r := record.Receiver{Name: row[0].(string), Group: row[1].(string), SeenAt: row[2].(int64)}
		t := w.tails.byName[r.Name]
		reg.Receivers = append(reg.Receivers, record.Tail{Receiver: r, Seq: t.seq, Bytes: t.bytes})
		return nil
	})
	if err != nil {
		return record.Registry{}, err
	}
	if err := w.backlogs(reg.Receivers); err != nil {
		return record.Registry{}, err
	}
	err = w.query(selectRoutes, func(row []driver.Value) error {
		address, _ := row[3].([]byte)
		reg.Routes = append(reg.Routes, record.Route{
			Receiver: row[0].(string), Channel: row[1].(string), Kind: record.RouteKind(row[2].(int64)), Address: address,
			Policy: record.Policy{
				Exclusive: row[4].(int64) != 0, Acks: row[5].(int64) != 0, Prefetch: int(row[6].(int64)),
				Resend: row[7].(int64), Retry: row[8].(int64), RetryMax: row[9].(int64),
			},
			Cursor: record.Seq(row[10].(int64)),
		})
		return nil
	})
	if err != nil {
		return record.Registry{}, err
	}
	return reg, nil
}

// selectBacklogs finds the first open item of each receiver that has one.
const selectBacklogs = `SELECT receiver.name, item.seq, item.total,
  octet_length(target) + octet_length(from_method) + octet_length(from_name) + octet_length(text) + octet_length(desp) + octet_length(extra)
FROM receiver
CROSS JOIN item INDEXED BY item_open ON item.receiver = receiver.id AND item.state = 0
  AND item.seq = (SELECT min(seq) FROM item AS first INDEXED BY item_open WHERE first.receiver = receiver.id AND first.state = 0)
CROSS JOIN message ON message.mid = item.mid
WHERE receiver.forgotten_at = 0`

// backlogs fills in how much lies between the first open item and the end.
func (w *writer) backlogs(receivers []record.Tail) error {
	places := make(map[string]*record.Tail, len(receivers))
	for i := range receivers {
		places[receivers[i].Name] = &receivers[i]
	}
	return w.query(selectBacklogs, func(row []driver.Value) error {
		t := places[row[0].(string)]
		seq, total, size := record.Seq(row[1].(int64)), row[2].(int64), row[3].(int64)
		t.Queued = int64(t.Seq - seq + 1)
		t.QueuedBytes = t.Bytes - total + size
		return nil
	})
}
