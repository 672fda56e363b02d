package mysqldb

import (
	"context"
	"database/sql"
	"errors"
)

// On runs fn on a writing connection to the primary that uses the database. What fn leaves open after an
// error is rolled back.
func (c *Cluster) On(ctx context.Context, database string, fn func(conn *sql.Conn) error) (err error) {
	conn, node, err := c.Primary(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if IsLost(err) || IsReadOnly(err) {
			c.Forget(node)
		}
		Release(ctx, conn, err)
	}()
	if _, err = conn.ExecContext(ctx, "USE "+Quote(database)); err != nil {
		return Wrap("use "+database, err)
	}
	return fn(conn)
}

// InDBTx runs fn between BEGIN and COMMIT. After an error everything is rolled back, or the connection is
// given up and the server rolls back.
func InDBTx(ctx context.Context, conn *sql.Conn, fn func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return Wrap("begin", err)
	}
	err := fn()
	if err == nil {
		if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
		err = Wrap("commit", err)
	}
	if IsLost(err) {
		return err
	}
	if _, undone := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); undone != nil {
		return errors.Join(err, Wrap("roll back", undone))
	}
	return err
}
