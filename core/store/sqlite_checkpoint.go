package store

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
)

// logPages is how many pages the log may gain before it is moved into the file:
// 8 MiB. The commit that does so is the slow one: the slowest took 3 ms with 1000
// pages, 9 ms with 4000, 26 with 16000.
const logPages = 2000

// moveLog moves the log into the file once it has grown. SQLite would do that by
// itself and keep it to itself if it failed: then the log would grow, and nobody
// would know that the disk has lost a write. What was committed is in the log
// whatever comes of this, so the commit before it is good; after a failure there
// is no other.
func (w *writer) moveLog() {
	pages, _, err := w.c.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, true)
	if err == nil {
		if w.logged += pages; w.logged < logPages {
			return
		}
		w.logged = 0
		// What a reader still needs stays in the log until the next time.
		err = w.query(`PRAGMA wal_checkpoint(PASSIVE)`, func([]driver.Value) error { return nil })
	}
	if err = classify(err); errors.Is(err, ErrFatal) {
		w.broken = fmt.Errorf("move the log into the file: %w", err)
	}
}
