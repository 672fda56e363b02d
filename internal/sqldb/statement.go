package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"matchday/errs"
)

// Preparer prepares statements on a connection of the driver, past database/sql, and keeps the first
// error of many. A writer that makes millions of rows a minute saves the conversions of database/sql.
type Preparer struct {
	prepare func(q string) (driver.Stmt, error)
	err     error
}

// NewPreparer returns a preparer for the connection. It is used during the call that makes it only.
func NewPreparer(ctx context.Context, c driver.Conn) *Preparer {
	return &Preparer{prepare: func(q string) (driver.Stmt, error) {
		p, ok := c.(driver.ConnPrepareContext)
		if !ok {
			return nil, errs.New(errs.CodeInternal, "driver connection %T cannot prepare", c)
		}
		return p.PrepareContext(ctx, q)
	}}
}

// Err returns the first error. What was prepared is to be closed all the same.
func (p *Preparer) Err() error { return Wrap("prepare", p.err) }

// Statement prepares one statement. After an error the result can be closed, no more.
func (p *Preparer) Statement(q string) *Statement {
	if p.err != nil {
		return &Statement{}
	}
	s, err := p.prepare(q)
	if err != nil {
		p.err = err
		return &Statement{}
	}
	exec, executes := s.(driver.StmtExecContext)
	query, queries := s.(driver.StmtQueryContext)
	if !executes || !queries {
		p.err = errs.New(errs.CodeInternal, "driver statement %T cannot execute", s)
	}
	return &Statement{stmt: s, exec: exec, query: query}
}

// Inserter prepares an INSERT of that many columns; head ends before the rows.
func (p *Preparer) Inserter(head string, columns int) *Inserter {
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	return &Inserter{
		columns: columns, args: numbered(columns * rowsPerInsert),
		one: p.Statement(head + row), many: p.Statement(head + row + strings.Repeat(", "+row, rowsPerInsert-1)),
	}
}

// Statement is a prepared statement of the driver, for one goroutine at a time.
type Statement struct {
	stmt  driver.Stmt
	exec  driver.StmtExecContext
	query driver.StmtQueryContext
	args  []driver.NamedValue // kept for the next run
}

// set makes the values the arguments of the next run.
func (s *Statement) set(values []any) []driver.NamedValue {
	if len(s.args) != len(values) {
		s.args = numbered(len(values))
	}
	for i := range values {
		s.args[i].Value = values[i]
	}
	return s.args
}

// Run executes the statement and returns the number of changed rows.
func (s *Statement) Run(ctx context.Context, values ...any) (int64, error) {
	result, err := s.exec.ExecContext(ctx, s.set(values))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Do executes a statement that writes, cheaper than Run by the count of rows.
func (s *Statement) Do(ctx context.Context, values ...any) error {
	return run(ctx, s.query, s.set(values))
}

// Number executes a query for one number.
func (s *Statement) Number(ctx context.Context) (n int64, err error) {
	rows, err := s.query.QueryContext(ctx, nil)
	if err != nil {
		return 0, err
	}
	value := make([]driver.Value, 1)
	err = rows.Next(value)
	n, ok := value[0].(int64)
	if err == nil && !ok {
		err = errs.New(errs.CodeInternal, "a %T is no number", value[0])
	}
	return n, errors.Join(err, rows.Close())
}

// Close finalises the statement; one that was never prepared is nothing to close.
func (s *Statement) Close() error {
	if s == nil || s.stmt == nil {
		return nil
	}
	return s.stmt.Close()
}

// rowsPerInsert is how many rows one execution inserts: from here on more gain nothing.
const rowsPerInsert = 16

// Inserter inserts rows, rowsPerInsert at a time as far as they reach and the rest singly.
type Inserter struct {
	columns   int
	one, many *Statement
	args      []driver.NamedValue
	filled    int
}

// Begin forgets rows that an error left over.
func (i *Inserter) Begin() { i.filled = 0 }

// Add sets the next column of the row.
func (i *Inserter) Add(v any) {
	i.args[i.filled].Value = v
	i.filled++
}

// Next ends a row, and writes when enough have come together.
func (i *Inserter) Next(ctx context.Context) error {
	if i.filled < len(i.args) {
		return nil
	}
	i.filled = 0
	return run(ctx, i.many.query, i.args)
}

// Flush writes the rows that did not fill a statement.
func (i *Inserter) Flush(ctx context.Context) error {
	filled := i.filled
	i.filled = 0
	head := i.args[:i.columns]
	for at := 0; at < filled; at += i.columns {
		for c := range head {
			head[c].Value = i.args[at+c].Value
		}
		if err := run(ctx, i.one.query, head); err != nil {
			return err
		}
	}
	return nil
}

// Close finalises its statements.
func (i *Inserter) Close() error {
	if i == nil {
		return nil
	}
	return errors.Join(i.one.Close(), i.many.Close())
}

// numbered returns n arguments with their ordinals set.
func numbered(n int) []driver.NamedValue {
	args := make([]driver.NamedValue, n)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	return args
}
