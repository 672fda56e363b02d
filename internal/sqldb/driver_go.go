//go:build !cgo

package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// engine is SQLite translated to Go, where there is no C compiler.
var engine driver.Driver = separateCaches{&sqlite.Driver{}}

// engineOptions are none.
var engineOptions map[string][]string

// resultCode returns SQLite's extended result code of an error, and whether it has one.
func resultCode(err error) (int, bool) {
	coded, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return 0, false
	}
	return coded.Code(), true
}

// run executes a statement whose count of rows nobody asks for.
func run(ctx context.Context, s driver.StmtQueryContext, args []driver.NamedValue) error {
	_, err := s.(driver.StmtExecContext).ExecContext(ctx, args)
	return err
}
