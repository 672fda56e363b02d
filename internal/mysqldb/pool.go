package mysqldb

import (
	"context"
	"database/sql"
)

// Pool runs statements on the node that is the primary at the time, over its writing or its reading
// connections. A statement may be several, separated by semicolons.
type Pool struct {
	cluster *Cluster
	write   bool
}

// Writes returns the writing connections to the primary.
func (c *Cluster) Writes() *Pool { return &Pool{cluster: c, write: true} }

// Reads returns the reading connections to the primary, with the reader's rights.
func (c *Cluster) Reads() *Pool { return &Pool{cluster: c} }

// on returns the pool of the node that is the primary now.
func (p *Pool) on(ctx context.Context) (*sql.DB, string, error) {
	if p.write {
		n, err := p.cluster.forWrites(ctx)
		if err != nil {
			return nil, "", err
		}
		return n.write, n.addr, nil
	}
	return p.cluster.PrimaryReads(ctx)
}

// QueryContext runs a query; on a connection that is lost, or a node that is no primary any more, a
// second time on whatever is the primary then.
func (p *Pool) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	for attempt := 0; ; attempt++ {
		db, node, err := p.on(ctx)
		if err != nil {
			return nil, err
		}
		rows, err := db.QueryContext(ctx, q, args...)
		if err == nil || ctx.Err() != nil || !IsLost(err) && !IsReadOnly(err) {
			return rows, err //nolint:sqlclosecheck // the caller's
		}
		p.cluster.Forget(node)
		if attempt == 1 {
			return nil, err
		}
	}
}

// ExecContext runs statements once: whether a lost connection has run them is the caller's to find
// out.
func (p *Pool) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	db, node, err := p.on(ctx)
	if err != nil {
		return nil, err
	}
	done, err := db.ExecContext(ctx, q, args...)
	if ctx.Err() == nil && (IsLost(err) || IsReadOnly(err)) {
		p.cluster.Forget(node)
	}
	return done, err
}
