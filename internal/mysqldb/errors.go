package mysqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/go-sql-driver/mysql"

	"matchday/errs"
)

// Numbers of server errors, by what they mean here. MariaDB and MySQL share them unless noted.
var (
	duplicate = []uint16{1062, 1586}
	violated  = []uint16{3819, 4025, 1048, 1264, 1406} // CHECK (MySQL, MariaDB), NOT NULL, range, length
	deadlock  = []uint16{1213, 1205, 1020, 3572}       // deadlock, lock wait, record changed, no wait
	readOnly  = []uint16{1290, 1836, 1792, 3100}
	full      = []uint16{1021, 1114, 1026, 3, 1030, 1041}
	// interrupted ends the statement only: KILL QUERY, max_statement_time, max_execution_time.
	interrupted = []uint16{1317, 1969, 3024}
	// lost ends the connection without saying how far the statement came.
	lost  = []uint16{1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 3169, 4031}
	there = []uint16{1060, 1061} // a column, an index: added before
	busy  = []uint16{1040, 1129, 1203, 1226}
	// denied is a right that the account lacks: on a database, a table, a column, the whole server. 1133
	// and 1045, an unknown account or a wrong password, explain themselves.
	denied = []uint16{1044, 1142, 1143, 1227}
)

func isNumber(err error, list []uint16) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains(list, e.Number)
}

// IsDuplicate reports whether err is a violated unique or primary key.
func IsDuplicate(err error) bool { return isNumber(err, duplicate) }

// IsViolation reports whether err is a violated CHECK, NOT NULL, range or length.
func IsViolation(err error) bool { return isNumber(err, violated) }

// IsDeadlock reports whether err is a deadlock or a lock that did not come free in time: roll back
// and try again.
func IsDeadlock(err error) bool { return isNumber(err, deadlock) }

// IsReadOnly reports whether the node takes no writes: it is no primary, or no more.
func IsReadOnly(err error) bool { return isNumber(err, readOnly) }

// IsFull reports whether the node has no room to write.
func IsFull(err error) bool { return isNumber(err, full) }

// IsInterrupted reports whether an operator or a time limit of the server ended the statement. The
// connection lives on, and what it had open is open still: roll back before anything else.
func IsInterrupted(err error) bool { return isNumber(err, interrupted) }

// IsLost reports whether the connection ended, so that a statement's outcome is unknown.
func IsLost(err error) bool {
	if err == nil {
		return false
	}
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.As(err, &network) || isNumber(err, lost)
}

// IsDenied reports whether the account lacks the right to do that.
func IsDenied(err error) bool { return isNumber(err, denied) }

// Refused reports whether the server answered that it did not do the statement: then nothing of it
// was done. A lost connection, or an error of the disk, says nothing of the kind.
func Refused(err error) bool {
	return IsDuplicate(err) || IsViolation(err) || IsDeadlock(err) || IsReadOnly(err)
}

// Wrap adds the operation and turns a driver's error into a code, by its number: violated
// constraints are conflict; lost connections, interrupted statements, deadlocks, read-only, full and busy nodes are
// unavailable; sql.ErrNoRows is not_found. nil stays nil; what already has a code keeps it.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if coder, ok := errors.AsType[errs.Coder](err); ok {
		return fmt.Errorf("%s: %w", op, coder)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errs.Wrap(err, errs.CodeNotFound, "%s", op)
	case IsDuplicate(err), IsViolation(err):
		return errs.Wrap(err, errs.CodeConflict, "%s", op)
	case IsLost(err), IsInterrupted(err), IsDeadlock(err), IsReadOnly(err), IsFull(err), isNumber(err, busy):
		return errs.Wrap(err, errs.CodeUnavailable, "%s", op)
	case IsDenied(err):
		return fmt.Errorf("%s: %w (the account lacks a right: see matchday config grants)", op, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
