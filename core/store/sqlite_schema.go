package store

import (
	"fmt"
	"os"
)

// schemaVersion is what this code writes. A file from a newer one is refused.
const schemaVersion = 2

// The schema's comments are kept in the file: `sqlite3 mpush.db .schema` shows
// them to whoever looks inside.
//
// Items are clustered by mid, so that what is put together and settled soon
// after lies on the same few pages, however many receivers there are: put and
// settle were measured at 9 µs of CPU so, in batches of 64, against 27 µs when
// clustered by (receiver, seq), where each touches a page of its own. The queues are the partial index, which holds
// open items only: it is small, and a cursor that was left far behind skips any
// number of ended items for nothing. The price is that the end of a queue can
// not be looked up; see tails.
var schema = []string{
	`CREATE TABLE meta (
  -- schema: the version of these tables
  -- last_mid: the highest mid ever accepted; only raised
  -- tails_mid: receiver.tail_* count every item up to this mid
  key TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID`,

	`CREATE TABLE receiver (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  grp TEXT NOT NULL, -- '' is none
  seen_at INTEGER NOT NULL, -- times are Unix milliseconds, 0 is never
  forgotten_at INTEGER NOT NULL DEFAULT 0, -- 0: it lives
  tail_seq INTEGER NOT NULL DEFAULT 0, -- end of the queue as of meta.tails_mid
  tail_bytes INTEGER NOT NULL DEFAULT 0,
  -- what is not in item any more, so that the books still balance
  replayed INTEGER NOT NULL DEFAULT 0, -- places in the queue that replayed items have left
  pruned_acked INTEGER NOT NULL DEFAULT 0,
  pruned_handed_off INTEGER NOT NULL DEFAULT 0,
  pruned_dead INTEGER NOT NULL DEFAULT 0
)`,
	`CREATE UNIQUE INDEX receiver_name ON receiver (name) WHERE forgotten_at = 0`,

	`CREATE TABLE route (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  receiver INTEGER NOT NULL REFERENCES receiver (id),
  channel TEXT NOT NULL,
  kind INTEGER NOT NULL, -- 1 attached, 2 declared, 3 registered, 4 retired
  address BLOB NOT NULL,
  exclusive INTEGER NOT NULL,
  acks INTEGER NOT NULL,
  prefetch INTEGER NOT NULL,
  resend INTEGER NOT NULL, -- pauses are milliseconds
  retry INTEGER NOT NULL,
  retry_max INTEGER NOT NULL,
  UNIQUE (receiver, channel)
)`,

	`CREATE TABLE cursor (
  -- apart from route, since it changes often and 300 of these share a page
  route INTEGER PRIMARY KEY REFERENCES route (id),
  seq INTEGER NOT NULL -- everything up to here is done with on this route
)`,

	`CREATE TABLE message (
  mid INTEGER PRIMARY KEY,
  send_type INTEGER NOT NULL, -- 1 personal, 2 group
  target TEXT NOT NULL,
  from_method TEXT NOT NULL,
  from_name TEXT NOT NULL,
  text TEXT NOT NULL,
  desp TEXT NOT NULL,
  extra BLOB NOT NULL, -- a JSON object, empty is {}
  accepted_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
)`,
	messageExpires,

	`CREATE TABLE item (
  receiver INTEGER NOT NULL REFERENCES receiver (id),
  seq INTEGER NOT NULL, -- 1, 2, 3 ... for each receiver
  mid INTEGER NOT NULL REFERENCES message (mid),
  state INTEGER NOT NULL DEFAULT 0, -- 0 open, 1 acked, 2 handed off, 3 dead
  rank INTEGER NOT NULL DEFAULT 1, -- 1 ready, 2 wait, 3 channel-wait, 4 channel-ok, 5 channel-ok-comfirm, 6 ok, 7 full, 8 failed
  channel TEXT NOT NULL DEFAULT '', -- of ranks 3 to 5
  tries INTEGER NOT NULL DEFAULT 0,
  sent_at INTEGER NOT NULL DEFAULT 0,
  ended_at INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '', -- of dead items
  error TEXT NOT NULL DEFAULT '', -- the last failure reported
  total INTEGER NOT NULL, -- the receiver's bytes up to and with this item
  PRIMARY KEY (mid, receiver)
) WITHOUT ROWID`,
	`CREATE INDEX item_open ON item (receiver, seq) WHERE state = 0`,
	itemDead,
	`CREATE TRIGGER item_prune BEFORE DELETE ON item
WHEN old.mid > (SELECT value FROM meta WHERE key = 'tails_mid')
BEGIN
  SELECT RAISE(ABORT, 'this item still counts towards the end of its queue: see meta.tails_mid');
END`,

	`CREATE TABLE state (
  channel TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (channel, key)
) WITHOUT ROWID`,

	tableSent,

	fmt.Sprintf(`INSERT INTO meta VALUES ('schema', %d), ('last_mid', 0), ('tails_mid', 0)`, schemaVersion),
}

const (
	messageExpires = `CREATE INDEX message_expires ON message (expires_at) WHERE expires_at > 0`
	itemDead       = `CREATE INDEX item_dead ON item (mid, receiver) WHERE state = 3 AND reason <> 'dropped'`
	tableSent      = `CREATE TABLE sent (
  -- what senders call their messages by, so that one that is sent again is not sent twice
  sender TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL, -- of what was sent
  mid INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (sender, name)
) WITHOUT ROWID`
)

// upgrades bring a file from the version before to each.
var upgrades = map[int64][]string{
	2: {
		`ALTER TABLE receiver ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0`,
		`ALTER TABLE receiver ADD COLUMN pruned_acked INTEGER NOT NULL DEFAULT 0`,
		`ALTER TABLE receiver ADD COLUMN pruned_handed_off INTEGER NOT NULL DEFAULT 0`,
		`ALTER TABLE receiver ADD COLUMN pruned_dead INTEGER NOT NULL DEFAULT 0`,
		messageExpires, itemDead, tableSent,
	},
}

// upgrade brings an older file up to date, in one transaction.
func upgrade(c *conn) error {
	version, err := c.integer(`SELECT value FROM meta WHERE key = 'schema'`)
	if err != nil || version == schemaVersion {
		return err
	}
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for ; version < schemaVersion; version++ {
		for _, s := range upgrades[version+1] {
			if err := c.once(s); err != nil {
				_ = c.exec("ROLLBACK")
				return fmt.Errorf("upgrade to schema %d: %w", version+1, err)
			}
		}
	}
	if err := c.exec(`UPDATE meta SET value = ? WHERE key = 'schema'`, int64(schemaVersion)); err != nil {
		_ = c.exec("ROLLBACK")
		return err
	}
	return c.exec("COMMIT")
}

// probe looks at an existing file, without changing it, and says what is wrong
// with it. fresh means that there is nothing yet.
func probe(path string) (fresh bool, err error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) || err == nil && info.Size() == 0 {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	c, err := openConn(path, "mode=ro")
	if err != nil {
		return false, openError(path, err)
	}
	defer c.close()
	tables, err := c.integer(`SELECT count(*) FROM sqlite_schema`)
	if err != nil {
		return false, openError(path, err)
	}
	if tables == 0 {
		return true, nil
	}
	known, err := c.integer(`SELECT count(*) FROM sqlite_schema WHERE name IN ('meta', 'receiver', 'item')`)
	if err != nil {
		return false, openError(path, err)
	}
	if known != 3 {
		return false, fmt.Errorf("open %s: this is not a database of mpush: nothing was changed", path)
	}
	version, err := c.integer(`SELECT value FROM meta WHERE key = 'schema'`)
	switch {
	case err != nil:
		return false, openError(path, err)
	case version > schemaVersion:
		return false, fmt.Errorf("open %s: it was written by a newer mpush (schema %d, this one knows %d): run that version, or restore a backup from before; nothing was changed", path, version, schemaVersion)
	case version < 1:
		return false, fmt.Errorf("open %s: unknown schema %d: nothing was changed", path, version)
	}
	return false, nil
}

// openError says what to do about a file that can not be read.
func openError(path string, err error) error {
	if damaged(err) {
		return fmt.Errorf("open %s: the file is damaged (%w): restore a backup, or salvage what is readable with \"sqlite3 %s .recover | sqlite3 salvaged.db\"; nothing was changed", path, err, path)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// create makes the tables in one transaction.
func create(c *conn) error {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, s := range schema {
		if err := c.once(s); err != nil {
			return err
		}
	}
	return c.exec("COMMIT")
}
