package mysqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/internal/sqltime"
)

// Deps is what a cluster needs from its process.
type Deps struct {
	Log     *slog.Logger // required
	Reading bool         // nothing will be written: no setting is refused
	Absent  bool         // the cluster may be down: Open finds no fault with that, each use does

	// Rebuildable says that the databases hold projections only: see [RebuildableRefusals].
	Rebuildable bool
}

// Cluster is the pools to the nodes of a cluster. It is safe for concurrent use, and shared by all
// shards that live there.
type Cluster struct {
	config  Config
	log     *slog.Logger
	reading bool
	rebuild bool
	nodes   map[string]*node

	readers map[string]*node // nodes added while running; under mu

	mu      sync.Mutex // held while the primary is looked for, so that one look serves all who wait
	primary *node      // nil: not known

	term atomic.Pointer[Term]
}

// Term is the time during which one node was the primary, as this process found it.
type Term struct {
	Node   string
	Number int64 // of the nodes that were found one after the other; the same node again is no new term
}

// node is one server.
type node struct {
	addr    string
	write   *sql.DB
	read    *sql.DB
	migrate *sql.DB
	look    *sql.DB // for questions about the node itself, which must not wait for those who write
	checked bool    // its settings were safe when they were looked at last; under Cluster.mu
	upTo    int64   // what made was then; under Cluster.mu
	served  bool    // it was a primary with safe settings once; under Cluster.mu
	told    bool    // the log says that it does not wait for a replica; under Cluster.mu
	packet  int     // max_allowed_packet; under Cluster.mu

	// made counts writing connections. A new one may be to a server that was restarted, with other settings:
	// the pool replaces dead ones without a word.
	made atomic.Int64
}

// Open makes the pools, finds the primary and checks its settings. It returns CodeInvalid with every
// setting that would lose money, CodeUnavailable if no primary answers (but see Deps.Absent).
func Open(ctx context.Context, c Config, d Deps) (*Cluster, error) {
	var check errs.Check
	c.Validate(&check, "")
	if err := check.Err(); err != nil {
		return nil, err
	}
	if d.Log == nil {
		return nil, errs.New(errs.CodeInternal, "a cluster needs a log")
	}
	out := &Cluster{config: c, log: d.Log, reading: d.Reading, rebuild: d.Rebuildable, nodes: map[string]*node{}}
	for _, addr := range c.Nodes {
		n, err := c.pools(addr)
		if err != nil {
			return nil, errors.Join(err, out.Close())
		}
		out.nodes[addr] = n
	}
	if _, err := out.forWrites(ctx); err != nil && (!d.Absent || !errs.Is(err, errs.CodeUnavailable)) {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

// pools makes the pools to one node, without connecting.
func (c Config) pools(addr string) (*node, error) {
	n := &node{addr: addr}
	most := c.maxConns()
	for _, p := range []struct {
		into  **sql.DB
		who   secret
		conns int
		read  time.Duration
	}{
		{&n.write, secret{"password", c.User, c.PasswordFile, c.PasswordEnv}, most, c.timeout()},
		{&n.look, secret{"password", c.User, c.PasswordFile, c.PasswordEnv}, 2, lookTime},
		{&n.read, orWriter(c, secret{"reader_password", c.Reader, c.ReaderPasswordFile, c.ReaderPasswordEnv}), most, slowRead},
		{&n.migrate, orWriter(c, secret{"migrator_password", c.Migrator, c.MigratorPasswordFile, c.MigratorPasswordEnv}), 1, slowRead},
	} {
		password, err := p.who.read()
		if err != nil {
			return nil, err
		}
		connect, err := newConnector(c, addr, p.who.user, password, p.read)
		if err != nil {
			return nil, err
		}
		if p.into == &n.write {
			connect.made = &n.made
		}
		db := sql.OpenDB(sqltime.Process().Connector(connect, "cluster"))
		db.SetMaxOpenConns(p.conns)
		db.SetMaxIdleConns(p.conns)
		db.SetConnMaxIdleTime(idleTime)
		db.SetConnMaxLifetime(lifeTime)
		*p.into = db
	}
	return n, nil
}

// Bounds of connections.
const (
	idleTime = time.Minute      // then an idle connection is closed
	lifeTime = 30 * time.Minute // then it is made anew, so that names that moved are followed
	slowRead = 10 * time.Minute // an audit's or export's single statement
	lookTime = 3 * time.Second  // to ask a node whether it is the primary
	lockWait = 2                // seconds a statement waits for a row lock
	idleWait = 4                // seconds a DBTx that has written waits for its next statement
)

// orWriter is the account, or the writing one if it is not named.
func orWriter(c Config, s secret) secret {
	if s.user == "" {
		return secret{"password", c.User, c.PasswordFile, c.PasswordEnv}
	}
	return s
}

// Close closes all connections. It may be called twice.
func (c *Cluster) Close() error {
	var list []error
	for _, n := range c.nodes {
		list = append(list, n.close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.readers {
		list = append(list, n.close())
	}
	return errors.Join(list...)
}

func (n *node) close() error {
	return errors.Join(n.write.Close(), n.read.Close(), n.migrate.Close(), n.look.Close())
}

// Nodes returns the nodes as configured.
func (c *Cluster) Nodes() []string { return c.config.Nodes }

// Config returns what the cluster was opened with.
func (c *Cluster) Config() Config { return c.config }

// Primary returns a writing connection to the node that is the primary now, and the node. It waits
// while all connections are in use. [Release] gives the connection back. An error of the connection
// that is [IsLost] or [IsReadOnly] should be told to [Cluster.Forget].
func (c *Cluster) Primary(ctx context.Context) (*sql.Conn, string, error) {
	n, err := c.forWrites(ctx)
	if err != nil {
		return nil, "", err
	}
	conn, err := n.write.Conn(ctx)
	if err != nil {
		c.Forget(n.addr)
		return nil, "", Wrap("connect to "+n.addr, err)
	}
	if err := c.verify(ctx, n); err != nil {
		Release(ctx, conn, nil)
		return nil, "", err
	}
	return conn, n.addr, nil
}

// verify looks at the node's settings, if a connection was made since they were looked at.
func (c *Cluster) verify(ctx context.Context, n *node) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.check(ctx, n)
}

// rollbackTime bounds the ROLLBACK of a connection that is given back after an error.
const rollbackTime = 2 * time.Second

// Release gives a connection back to its pool after work that ended with err. The driver does not
// clean a connection, and the BEGIN of its next user would commit what is left open: so after any
// error it is rolled back first, and where that cannot be done for certain it is closed, so that the
// server rolls back.
func Release(ctx context.Context, conn *sql.Conn, err error) {
	if err != nil && (IsLost(err) || rollback(ctx, conn) != nil) {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // this error closes it, and is all that Raw returns
	}
	_ = conn.Close() // gives it back, if it is not closed
}

// rollback ends what is open on the connection, also for a caller whose context has ended.
func rollback(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// PrimaryReads returns the reading pool to the node that is the primary now, and the node.
func (c *Cluster) PrimaryReads(ctx context.Context) (*sql.DB, string, error) {
	n, err := c.find(ctx)
	if err != nil {
		return nil, "", err
	}
	return n.read, n.addr, nil
}

// MaxPacket returns how long a statement the primary takes, 0 if there has been none.
func (c *Cluster) MaxPacket() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.primary == nil {
		return 0
	}
	return c.primary.packet
}

// Replica returns the reading pool to a node, with the reader's rights.
func (c *Cluster) Replica(addr string) (*sql.DB, error) {
	n, ok := c.nodes[addr]
	if !ok {
		return nil, errs.New(errs.CodeNotFound, "%s is no node of the cluster", addr)
	}
	return n.read, nil
}

// Forget makes the next call look for the primary anew, if it is still the node named, and the next that
// writes look at its settings again: it may have been restarted with others.
func (c *Cluster) Forget(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.primary != nil && c.primary.addr == addr {
		c.primary.checked = false
		c.primary = nil
	}
}

// Term returns the newest term, also while the primary is not known. It never waits. What a caller of
// this cluster has from another primary it has after the term has changed.
func (c *Cluster) Term() Term {
	if now := c.term.Load(); now != nil {
		return *now
	}
	return Term{}
}

// find returns the primary, looking for it if it is not known.
func (c *Cluster) find(ctx context.Context) (*node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findLocked(ctx)
}

// forWrites returns the primary if its settings are safe. Reads need no more than find.
func (c *Cluster) forWrites(ctx context.Context) (*node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.findLocked(ctx)
	if err != nil {
		return nil, err
	}
	return n, c.check(ctx, n)
}

// Recheck looks at the settings of the primary again, which somebody may have changed while it runs. It
// returns CodeInvalid with every one that would lose money; then nothing is written until they are mended,
// which the next write sees.
func (c *Cluster) Recheck(ctx context.Context) error {
	n, err := c.find(ctx)
	if err != nil || c.reading {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	have, err := n.settings(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.refuse(ctx, n, have)
	n.checked = err == nil
	return err
}

func (c *Cluster) findLocked(ctx context.Context) (*node, error) {
	if c.primary != nil {
		return c.primary, nil
	}
	writable, problem := c.ask(ctx)
	switch len(writable) {
	case 0:
		return nil, errs.Wrap(problem, errs.CodeUnavailable, "no node of %v is a primary", c.config.Nodes)
	case 1:
	default:
		return nil, errs.New(errs.CodeUnavailable, "%s and %s both take writes: make the old primary read-only",
			writable[0].addr, writable[1].addr)
	}
	c.primary = writable[0]
	if now := c.Term(); now.Node != c.primary.addr {
		c.term.Store(&Term{c.primary.addr, now.Number + 1})
	}
	c.log.InfoContext(ctx, "database primary found", "node", c.primary.addr)
	return c.primary, nil
}

// ask asks all nodes at once whether they take writes. The error is what was wrong with those that
// did not answer.
func (c *Cluster) ask(ctx context.Context) ([]*node, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	answers := make([]bool, len(c.config.Nodes))
	problems := make([]error, len(c.config.Nodes))
	var g errgroup.Group
	for i, addr := range c.config.Nodes {
		g.Go(func() error {
			answers[i], problems[i] = c.nodes[addr].takesWrites(ctx)
			return nil
		})
	}
	_ = g.Wait() // the problems are kept one by one
	var out []*node
	for i, addr := range c.config.Nodes {
		if problems[i] != nil {
			problems[i] = fmt.Errorf("%s: %w", addr, problems[i])
		}
		if answers[i] {
			out = append(out, c.nodes[addr])
		}
	}
	return out, errors.Join(problems...)
}

// takesWrites asks the node itself. Aurora's readers say so by innodb_read_only.
func (n *node) takesWrites(ctx context.Context) (bool, error) {
	const q = `SELECT @@global.read_only, @@global.innodb_read_only`
	var readOnly, engineReadOnly int
	if err := n.look.QueryRowContext(ctx, q).Scan(&readOnly, &engineReadOnly); err != nil {
		return false, err
	}
	return readOnly == 0 && engineReadOnly == 0, nil
}

// check refuses a primary whose settings would lose money. Semi-synchronous replication is required
// of the first primary only: after a fail-over there may be no second node left to wait for, and a
// ledger that stops then helps nobody; it is said loudly instead.
func (c *Cluster) check(ctx context.Context, n *node) error {
	made := n.made.Load()
	if n.checked && n.upTo == made || c.reading {
		return nil
	}
	n.checked = false
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	have, err := n.settings(ctx)
	if err != nil {
		return err
	}
	if err := c.refuse(ctx, n, have); err != nil {
		return err
	}
	if _, err := fmt.Sscan(have["max_allowed_packet"], &n.packet); err != nil {
		return fmt.Errorf("read max_allowed_packet: %w", err)
	}
	n.checked, n.served, n.upTo = true, true, made
	return nil
}

// settings reads the node's variables.
func (n *node) settings(ctx context.Context) (map[string]string, error) {
	conn, err := n.look.Conn(ctx)
	if err != nil {
		return nil, Wrap("connect to "+n.addr, err)
	}
	defer func() { _ = conn.Close() }()
	return variables(ctx, conn)
}

// refuse returns an error for a node with settings that it may not be used with.
func (c *Cluster) refuse(ctx context.Context, n *node, have map[string]string) error {
	if c.rebuild {
		return refuse(n.addr, RebuildableRefusals(have))
	}
	if err := refuse(n.addr, Refusals(have, ReplicationNone)); err != nil {
		return err
	}
	err := refuse(n.addr, Refusals(have, c.config.Replication))
	if err != nil && c.failedOver(n) {
		if !n.told {
			c.log.ErrorContext(ctx, "the new primary does not wait for a replica", "node", n.addr, "error", err)
		}
		n.told = true
		return nil
	}
	n.told = false
	return err
}

// failedOver reports whether another node was the primary before.
func (c *Cluster) failedOver(now *node) bool {
	for _, n := range c.nodes {
		if n.served && n != now {
			return true
		}
	}
	return false
}
