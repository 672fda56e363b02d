package mysqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"matchday/errs"
)

// connector makes connections whose session has our settings.
type connector struct {
	driver.Connector
	made *atomic.Int64 // counts the connections that were made, for writing; nil: they are for something else
}

// newConnector returns the connector of one account on one node. Several statements may travel in
// one packet, and parameters are put into the text by the driver: a batch is one round trip, and no
// server keeps prepared statements of hundreds of databases.
func newConnector(c Config, addr, user, password string, read time.Duration) (*connector, error) {
	d := mysql.NewConfig()
	d.User, d.Passwd, d.Net, d.Addr = user, password, "tcp", addr
	d.Timeout, d.ReadTimeout, d.WriteTimeout = min(c.timeout(), 5*time.Second), read, c.timeout()
	d.TLSConfig = tlsModes[c.TLS]
	d.InterpolateParams, d.MultiStatements = true, true
	d.MaxAllowedPacket = 0 // ask the server
	d.Logger = silent{}    // its errors are returned as well
	d.ConnectionAttributes = "program_name:matchday"
	// With a hook the driver gives each connection a copy of the configuration. Without one, connections that
	// find a server without TLS write to the one they share.
	own := mysql.BeforeConnect(func(context.Context, *mysql.Config) error { return nil })
	if err := d.Apply(mysql.Charset("binary", ""), own); err != nil {
		return nil, fmt.Errorf("configure driver: %w", err)
	}
	inner, err := mysql.NewConnector(d)
	if err != nil {
		return nil, fmt.Errorf("configure driver: %w", err)
	}
	return &connector{Connector: inner}, nil
}

// Connect implements driver.Connector. MariaDB is also told to end a DBTx that its process has left
// alone in the middle, stopped or cut off: one that has written, and for those who write also one that has only
// locked. MySQL reads that part as a comment. What a server's
// defaults could turn off is turned on: the fence of a shard is a CHECK and its keys are unique keys.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	const settings = `
		SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',
			SESSION innodb_lock_wait_timeout = %d,
			SESSION autocommit = 1, SESSION completion_type = 0,
			SESSION unique_checks = 1, SESSION foreign_key_checks = 1
			/*M!100300 , SESSION check_constraint_checks = 1, SESSION idle_write_transaction_timeout = %d,
			SESSION idle_transaction_timeout = %d */;
		SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED`
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errs.New(errs.CodeInternal, "driver connection %T cannot execute", conn), conn.Close())
	}
	locked := 0 // an audit may take its time over its snapshot
	if c.made != nil {
		locked = idleWait
	}
	if _, err := execer.ExecContext(ctx, fmt.Sprintf(settings, lockWait, idleWait, locked), nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if c.made != nil {
		c.made.Add(1)
	}
	return conn, nil
}

// silent drops what the driver would log.
type silent struct{}

func (silent) Print(...any) {}
