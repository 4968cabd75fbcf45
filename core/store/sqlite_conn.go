package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is one database connection with its prepared statements, for one
// goroutine at a time. It talks to the driver itself: database/sql would add
// its pool, its locks and its conversions to each of the two statements that a
// message costs.
type conn struct {
	c     driver.Conn
	stmts map[string]driver.Stmt // each query text in this package is a constant
	args  []driver.NamedValue
	row   []driver.Value
}

// openConn opens a file with SQLite's own URI parameters.
func openConn(path, query string) (*conn, error) {
	uri := url.URL{Scheme: "file", Path: path, RawQuery: query}
	c, err := new(sqlite.Driver).Open(uri.String())
	if err != nil {
		return nil, err
	}
	return &conn{c: c, stmts: make(map[string]driver.Stmt)}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.c.Close())...)
}

// prepared returns the query's statement and puts the arguments in the shape
// that it takes.
func (c *conn) prepared(query string, args []driver.Value) (driver.Stmt, error) {
	s := c.stmts[query]
	if s == nil {
		var err error
		if s, err = c.c.Prepare(query); err != nil {
			return nil, err
		}
		c.stmts[query] = s
	}
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s, nil
}

// exec runs a statement that is run often. Once begun it is not interrupted.
func (c *conn) exec(query string, args ...driver.Value) error {
	_, err := c.result(query, args...)
	return err
}

// execUntil runs a statement that is interrupted when ctx ends.
func (c *conn) execUntil(ctx context.Context, query string, args ...driver.Value) error {
	s, err := c.prepared(query, args)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(ctx, c.args)
	return err
}

func (c *conn) result(query string, args ...driver.Value) (driver.Result, error) {
	s, err := c.prepared(query, args)
	if err != nil {
		return nil, err
	}
	return s.(driver.StmtExecContext).ExecContext(context.Background(), c.args)
}

// once runs a statement that is not worth keeping.
func (c *conn) once(query string) error {
	s, err := c.c.Prepare(query)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return errors.Join(err, s.Close())
}

// errStop ends a query early and is not an error.
var errStop = errors.New("stop")

// query calls each for every row until it returns an error. The row is valid
// during the call only, its byte slices and strings for ever. each may query, but
// for the same.
func (c *conn) query(query string, each func(row []driver.Value) error, args ...driver.Value) error {
	return c.queryUntil(context.Background(), query, each, args...)
}

// queryUntil is query, and is interrupted when ctx ends: on the way to the first
// row at once, later from row to row.
func (c *conn) queryUntil(ctx context.Context, query string, each func(row []driver.Value) error, args ...driver.Value) (err error) {
	s, err := c.prepared(query, args)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := c.row
	c.row = nil // each may query, too
	defer func() { c.row = row }()
	n := len(rows.Columns())
	for len(row) < n {
		row = append(row, nil)
	}
	for {
		if err := rows.Next(row[:n]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(row[:n]); err == errStop {
			return nil
		} else if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// integer returns the one number that a query yields, 0 for no row.
func (c *conn) integer(query string, args ...driver.Value) (n int64, err error) {
	return c.integerUntil(context.Background(), query, args...)
}

func (c *conn) integerUntil(ctx context.Context, query string, args ...driver.Value) (n int64, err error) {
	err = c.queryUntil(ctx, query, func(row []driver.Value) error {
		n = row[0].(int64)
		return nil
	}, args...)
	return n, err
}

// classify turns SQLite's codes into what a caller branches on.
func classify(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch class(e.Code()) {
	case ErrFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case ErrFatal:
		return fmt.Errorf("%w: %w", ErrFatal, err)
	}
	return err
}

// class returns ErrFull, ErrFatal or, for what may pass or was a mistake in the
// request, nil.
func class(code int) error {
	switch code {
	case sqlite3.SQLITE_IOERR_SHMSIZE: // the index beside the log could not grow
		return ErrFull
	}
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return ErrFull
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return ErrFatal
	}
	return nil
}

// damaged reports whether the file's content is what is wrong.
func damaged(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}
