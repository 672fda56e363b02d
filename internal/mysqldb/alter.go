package mysqldb

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// alterWait is how many seconds an ALTER waits for those who use the table. Everybody else's statements wait
// behind it meanwhile.
const alterWait = 2

// Alter changes tables of a database as the migrator, one statement. It gives up, as [IsDeadlock] says, when
// a long read keeps a table in use: try again later.
func (c *Cluster) Alter(ctx context.Context, database, statement string) (err error) {
	n, err := c.forWrites(ctx)
	if err != nil {
		return err
	}
	conn, err := n.migrate.Conn(ctx)
	if err != nil {
		c.Forget(n.addr)
		return Wrap("connect to "+n.addr, err)
	}
	defer func() {
		if err != nil { // it may wait for less than others expect
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		_ = conn.Close()
	}()
	const (
		before = "USE %s;SET SESSION lock_wait_timeout = %d"
		after  = "SET SESSION lock_wait_timeout = DEFAULT"
	)
	if _, err = conn.ExecContext(ctx, fmt.Sprintf(before, Quote(database), alterWait)); err != nil {
		return Wrap("use "+database, err)
	}
	if _, err = conn.ExecContext(ctx, statement); err != nil {
		return Wrap("alter "+database, err)
	}
	_, err = conn.ExecContext(ctx, after)
	return Wrap("alter "+database, err)
}
