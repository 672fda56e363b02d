//go:build cgo

package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/mattn/go-sqlite3"
)

// engine is SQLite itself, wherever Go finds a C compiler.
var engine driver.Driver = &sqlite3.SQLiteDriver{}

// engineOptions tell the driver that two goroutines never use a connection at once, which database/sql sees to,
// and to keep statements that come again prepared.
var engineOptions = map[string][]string{"_mutex": {"no"}, "_stmt_cache_size": {"32"}}

// resultCode returns SQLite's extended result code of an error, and whether it has one.
func resultCode(err error) (int, bool) {
	coded, ok := errors.AsType[sqlite3.Error](err)
	return int(coded.ExtendedCode) | int(coded.Code), ok
}

// run executes a statement whose count of rows nobody asks for. As a query its values are bound, and its first
// step taken, in one call into C and without a copy of each text; a statement that writes is whole with its first step.
func run(ctx context.Context, s driver.StmtQueryContext, args []driver.NamedValue) error {
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return err
	}
	return rows.Close()
}
