package sqltime

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"time"
)

// Connector returns a connector whose connections time their statements, under the name of a kind of
// database.
func (r *Recorder) Connector(inner driver.Connector, db string) driver.Connector {
	return &connector{Connector: inner, r: r, db: db}
}

// Unwrap returns the driver's own connection of one that is timed, and any other as it is.
func Unwrap(c driver.Conn) driver.Conn {
	if timed, ok := c.(*conn); ok {
		return timed.inner
	}
	return c
}

type connector struct {
	driver.Connector
	r  *Recorder
	db string
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{inner: inner, r: c.r, db: c.db}, nil
}

// conn passes everything on. What the driver's connection cannot do is skipped the way database/sql
// understands.
type conn struct {
	inner driver.Conn
	r     *Recorder
	db    string
}

// done files a statement that began at the time. What was skipped or broken off was none.
func (c *conn) done(name string, began time.Time, err error) {
	if errors.Is(err, driver.ErrSkip) || errors.Is(err, driver.ErrBadConn) {
		return
	}
	c.r.Observe(c.db, name, c.r.clock.Now().Sub(began))
}

// Prepare implements driver.Conn.
func (c *conn) Prepare(q string) (driver.Stmt, error) {
	s, err := c.inner.Prepare(q)
	return c.prepared(q, s, err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	p, ok := c.inner.(driver.ConnPrepareContext)
	if !ok {
		return c.Prepare(q)
	}
	s, err := p.PrepareContext(ctx, q)
	return c.prepared(q, s, err)
}

func (c *conn) prepared(q string, s driver.Stmt, err error) (driver.Stmt, error) {
	if err != nil {
		return nil, err
	}
	return &stmt{inner: s, conn: c, name: nameOf(q)}, nil
}

// Close implements driver.Conn.
func (c *conn) Close() error { return c.inner.Close() }

// Begin implements driver.Conn.
func (c *conn) Begin() (driver.Tx, error) {
	//lint:ignore SA1019 the interface has it; database/sql calls BeginTx instead
	return c.inner.Begin()
}

// BeginTx implements driver.ConnBeginTx. Its time is the wait for a lock.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	b, ok := c.inner.(driver.ConnBeginTx)
	if !ok {
		return nil, errors.New("sqltime: the driver cannot begin with a context")
	}
	began := c.r.clock.Now()
	inner, err := b.BeginTx(ctx, o)
	c.done("begin", began, err)
	if err != nil {
		return nil, err
	}
	return &tx{inner: inner, conn: c}, nil
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	e, ok := c.inner.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	began := c.r.clock.Now()
	result, err := e.ExecContext(ctx, q, args)
	c.done(nameOf(q), began, err)
	return result, err
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	e, ok := c.inner.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	began := c.r.clock.Now()
	inner, err := e.QueryContext(ctx, q, args)
	return c.queried(nameOf(q), began, inner, err)
}

func (c *conn) queried(name string, began time.Time, inner driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		c.done(name, began, err)
		return nil, err
	}
	return &rows{Rows: inner, conn: c, name: name, began: began}, nil
}

// Ping implements driver.Pinger.
func (c *conn) Ping(ctx context.Context) error {
	if p, ok := c.inner.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// ResetSession implements driver.SessionResetter.
func (c *conn) ResetSession(ctx context.Context) error {
	if s, ok := c.inner.(driver.SessionResetter); ok {
		return s.ResetSession(ctx)
	}
	return nil
}

// IsValid implements driver.Validator.
func (c *conn) IsValid() bool {
	v, ok := c.inner.(driver.Validator)
	return !ok || v.IsValid()
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error { return checkValue(c.inner, v) }

func checkValue(inner any, v *driver.NamedValue) error {
	if n, ok := inner.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// tx times the end of a DBTx: of a durable one the wait for the disk.
type tx struct {
	inner driver.Tx
	conn  *conn
}

// Commit implements driver.Tx.
func (t *tx) Commit() error {
	began := t.conn.r.clock.Now()
	err := t.inner.Commit()
	t.conn.done("commit", began, err)
	return err
}

// Rollback implements driver.Tx.
func (t *tx) Rollback() error { return t.inner.Rollback() }

// stmt is a prepared statement; its name was made once.
type stmt struct {
	inner driver.Stmt
	conn  *conn
	name  string
}

// Close implements driver.Stmt.
func (s *stmt) Close() error { return s.inner.Close() }

// NumInput implements driver.Stmt.
func (s *stmt) NumInput() int { return s.inner.NumInput() }

// Exec implements driver.Stmt; database/sql calls ExecContext instead.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	//lint:ignore SA1019 the interface has it
	return s.inner.Exec(args)
}

// Query implements driver.Stmt; database/sql calls QueryContext instead.
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	//lint:ignore SA1019 the interface has it
	return s.inner.Query(args)
}

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	e, ok := s.inner.(driver.StmtExecContext)
	if !ok {
		return nil, errors.New("sqltime: the driver's statements take no context")
	}
	began := s.conn.r.clock.Now()
	result, err := e.ExecContext(ctx, args)
	s.conn.done(s.name, began, err)
	return result, err
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	e, ok := s.inner.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.New("sqltime: the driver's statements take no context")
	}
	began := s.conn.r.clock.Now()
	inner, err := e.QueryContext(ctx, args)
	return s.conn.queried(s.name, began, inner, err)
}

// CheckNamedValue implements driver.NamedValueChecker.
func (s *stmt) CheckNamedValue(v *driver.NamedValue) error { return checkValue(s.inner, v) }

// rows files its statement when it is closed.
type rows struct {
	driver.Rows
	conn  *conn
	name  string
	began time.Time
	ended bool
}

// Close implements driver.Rows.
func (r *rows) Close() error {
	err := r.Rows.Close()
	if !r.ended {
		r.ended = true
		r.conn.done(r.name, r.began, nil)
	}
	return err
}

// HasNextResultSet implements driver.RowsNextResultSet.
func (r *rows) HasNextResultSet() bool {
	n, ok := r.Rows.(driver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

// NextResultSet implements driver.RowsNextResultSet.
func (r *rows) NextResultSet() error {
	if n, ok := r.Rows.(driver.RowsNextResultSet); ok {
		return n.NextResultSet()
	}
	return io.EOF
}
