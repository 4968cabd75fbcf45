package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"mpush/core/record"
)

// SQLite is the Store in one file, with SQLite's log (-wal) and its index
// (-shm) beside it. Other processes may read the file meanwhile. That no second
// core writes it is the caller's business.
type SQLite struct {
	path string

	// The locks are channels of one, so that a caller can stop waiting.
	writing chan *writer
	reading chan *conn
	// surveying is the reader for what may take long: it must not hold those that
	// messages wait for.
	surveying chan *conn

	open  context.Context // ends when Close begins
	close context.CancelFunc
}

var _ Store = (*SQLite)(nil)

// writer is the one connection that writes, with what it knows.
type writer struct {
	*conn
	tails  tails
	logged int // pages that the log has got since it was moved into the file
	// broken is the first fatal error; nothing is written after it.
	broken error
}

// readers is how many reads may run at once, besides the one that may take long.
const readers = 2

// OpenSQLite opens the file at path, or makes it. It fails without changing
// anything if the file is damaged, is not one of mpush, or was written by a
// newer version; the error says what to do. An interrupted process leaves
// nothing to repair: SQLite applies the log on open.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fresh, err := probe(path)
	if err != nil {
		return nil, err
	}
	if err := protect(path, fresh); err != nil {
		return nil, openError(path, err)
	}
	// fsync would also push the log's timestamps through the journal of the
	// file system; what is durable is the same. Where there is no fdatasync
	// SQLite goes on with fsync.
	_, _ = sqlite.Fdatasync(true)

	w, err := openWriter(path, fresh)
	if err != nil {
		return nil, openError(path, err)
	}
	s := &SQLite{path: path, writing: make(chan *writer, 1), reading: make(chan *conn, readers), surveying: make(chan *conn, 1)}
	for range readers + 1 {
		c, err := openReader(path)
		if err != nil {
			close(s.reading)
			for c := range s.reading {
				_ = c.close()
			}
			_ = w.close()
			return nil, openError(path, err)
		}
		if len(s.reading) < readers {
			s.reading <- c
		} else {
			s.surveying <- c
		}
	}
	s.open, s.close = context.WithCancel(context.Background())
	s.writing <- w
	return s, nil
}

// protect makes the file, if there is none, and keeps what is in it and beside it
// from other users. SQLite would make it as the umask says, which in a directory
// that others may enter lets them read every message; what it puts beside the file
// gets the file's mode.
func protect(path string, fresh bool) error {
	if fresh {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(name, info.Mode().Perm()&0o700)
		}
		// Somebody else's file is that one's to open and close.
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

func openWriter(path string, fresh bool) (_ *writer, err error) {
	c, err := openConn(path, "")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.close()
		}
	}()
	for _, pragma := range []string{
		`PRAGMA busy_timeout = 5000`, // somebody else writes; readers never block
		`PRAGMA journal_mode = WAL`,
		`PRAGMA synchronous = FULL`,
		`PRAGMA wal_autocheckpoint = 0`,        // moveLog does it
		`PRAGMA journal_size_limit = 67108864`, // after one huge transaction
		`PRAGMA cache_size = -8192`,            // KiB
	} {
		if err := c.once(pragma); err != nil {
			return nil, err
		}
	}
	if fresh {
		if err := create(c); err != nil {
			return nil, err
		}
	} else if err := upgrade(c); err != nil {
		return nil, err
	}
	w := &writer{conn: c}
	if err := w.tails.load(c); err != nil {
		return nil, err
	}
	return w, nil
}

func openReader(path string) (*conn, error) {
	c, err := openConn(path, "")
	if err != nil {
		return nil, err
	}
	for _, pragma := range []string{`PRAGMA busy_timeout = 5000`, `PRAGMA query_only = ON`} {
		if err := c.once(pragma); err != nil {
			_ = c.close()
			return nil, err
		}
	}
	// SQLite opens its files with the first query: if that fails, let it be now.
	if _, err := c.integer(`SELECT value FROM meta WHERE key = 'schema'`); err != nil {
		_ = c.close()
		return nil, err
	}
	return c, nil
}

// lock waits for the writer. Give it back by s.writing <- w.
func (s *SQLite) lock(ctx context.Context) (*writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case w, ok := <-s.writing:
		if !ok {
			return nil, ErrClosed
		}
		return w, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Commit implements Store.
func (s *SQLite) Commit(ctx context.Context, ops []record.Op) error {
	w, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { s.writing <- w }()
	if err := w.commit(ops); err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return nil
}

// Load implements Store.
func (s *SQLite) Load(ctx context.Context) (record.Registry, error) {
	w, err := s.lock(ctx) // the ends of the queues are the writer's
	if err != nil {
		return record.Registry{}, err
	}
	defer func() { s.writing <- w }()
	reg, err := w.registry()
	if err != nil {
		return record.Registry{}, fmt.Errorf("read %s: %w", s.path, classify(err))
	}
	return reg, nil
}

// Close implements Store. It interrupts what may take long.
func (s *SQLite) Close() error {
	s.close()
	w, ok := <-s.writing
	if !ok {
		return ErrClosed
	}
	close(s.writing)
	var errs []error
	for range readers {
		errs = append(errs, (<-s.reading).close())
	}
	close(s.reading)
	errs = append(errs, (<-s.surveying).close())
	close(s.surveying)
	if w.broken == nil {
		// It only makes the next open quicker: a full disk is no fault here.
		if err := w.transaction(func() error { return w.tails.fold(w.conn) }); !errors.Is(err, ErrFull) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, w.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close %s: %w", s.path, err)
	}
	return nil
}
