package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
)

//go:embed migrations_directory/migrations/*.sql
var directoryMigrations embed.FS

// directory is the small database that says where each bucket lives, which process writes each
// shard, and which processes are alive. Nothing in it is trusted with money: a writer's right to
// commit is the epoch in its shard, and a bucket's home is told by the shards' own tables. So a directory
// that cannot be reached stops nobody from writing, and one that is lost is made again from the shards.
type directory struct {
	db    directoryDB
	clock clock.Clock
	first int // shards the books began with
}

// directoryDB is the database under a directory. Statements are written so that SQLite and MySQL
// both take them.
type directoryDB interface {
	// inTx runs fn in one DBTx that sees what others have committed before it.
	inTx(ctx context.Context, fn func(tx *sql.Tx) error) error
	// read runs a query outside of any DBTx and hands each row to scan.
	read(ctx context.Context, q string, args []any, scan func(*sql.Rows) error) error
	close() error
}

// directoryFile returns the file of the embedded directory.
func directoryFile(dir string) string { return filepath.Join(dir, "directory.db") }

// sqliteDirectory is the embedded directory: one file that several processes of a machine may share.
type sqliteDirectory struct{ db *sqldb.DB }

// openSQLiteDirectory opens or creates the file.
func openSQLiteDirectory(ctx context.Context, c Config, now time.Time) (*sqliteDirectory, error) {
	files, err := fs.Sub(directoryMigrations, "migrations_directory")
	if err != nil {
		return nil, fmt.Errorf("read directory migrations: %w", err)
	}
	db, err := sqldb.Open(directoryFile(c.Dir), sqldb.Options{Durability: sqldb.Durable, Readers: 2, BusyTimeout: c.lockWait()})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, files, now); err != nil {
		_ = db.Close()
		return nil, err
	}
	return &sqliteDirectory{db}, nil
}

func (d *sqliteDirectory) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return d.db.InTx(ctx, fn)
}

func (d *sqliteDirectory) read(ctx context.Context, q string, args []any, scan func(*sql.Rows) error) error {
	return eachRow(d.db.Read.QueryContext(ctx, q, args...))(scan)
}

func (d *sqliteDirectory) close() error { return d.db.Close() }

// DirectoryConfig says where the directory is kept.
type DirectoryConfig struct {
	// Cluster is the name of the cluster that keeps it, in the database ..._directory; empty is the file
	// directory.db in the ledger's folder, which processes of one machine can share.
	Cluster string `yaml:"cluster"`
}

// fillTries bounds how often an opening process tries to fill the directory.
const fillTries = 10

// openDirectory opens the directory of the books. If it is new or lost it is filled with what fresh
// returns.
func openDirectory(ctx context.Context, c Config, f *fleet, clk clock.Clock, fresh func(context.Context) (*layout, error)) (*directory, error) {
	db, err := openDirectoryDB(ctx, c, f, clk.Now())
	if err != nil {
		return nil, err
	}
	d := &directory{db: db, clock: clk}
	var l *layout
	if err = d.readFirst(ctx); err == nil && d.first == 0 {
		l, err = fresh(ctx)
	}
	// Another process may be filling it, or, where disks are slow, hold its lock for longer than a writer waits.
	for try := 1; err == nil; try++ {
		err = d.fill(ctx, l, c.shards())
		if try == fillTries || ctx.Err() != nil || !mysqldb.IsDuplicate(err) && !errs.Is(err, errs.CodeUnavailable) {
			break
		}
		err = nil
	}
	if err != nil {
		_ = db.close()
		return nil, fmt.Errorf("fill directory: %w", err)
	}
	return d, nil
}

// readFirst reads how many shards the books began with; 0 if the directory is empty.
func (d *directory) readFirst(ctx context.Context) error {
	const filled = `SELECT COALESCE(MAX(first), 0) FROM placement`
	err := d.db.read(ctx, filled, nil, func(rows *sql.Rows) error { return rows.Scan(&d.first) })
	return sqldb.Wrap("read placement", err)
}

// openDirectoryDB opens the database where the configuration says that it is.
func openDirectoryDB(ctx context.Context, c Config, f *fleet, now time.Time) (db directoryDB, err error) {
	if cluster := f.named(c.Directory.Cluster); cluster != nil {
		db, err = openMySQLDirectory(ctx, cluster, now)
	} else {
		db, err = openSQLiteDirectory(ctx, c, now)
	}
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return db, nil
}

// openDirectoryAsIs opens the directory for a tool: one that is lost or empty is not_found and stays
// so. Only a process that opens the shards too knows what to fill it with.
func openDirectoryAsIs(ctx context.Context, c Config, f *fleet, clk clock.Clock) (*directory, error) {
	if _, err := os.Stat(directoryFile(c.Dir)); c.Directory.Cluster == "" && err != nil {
		return nil, errs.New(errs.CodeNotFound, "there is no directory in %s: start a process on the books", c.Dir)
	}
	db, err := openDirectoryDB(ctx, c, f, clk.Now())
	if err != nil {
		return nil, err
	}
	d := &directory{db: db, clock: clk}
	err = d.readFirst(ctx)
	if err == nil && d.first == 0 {
		err = errs.New(errs.CodeNotFound, "the directory is empty: start a process on the books")
	}
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	return d, nil
}

func (d *directory) close() error { return d.db.close() }

// fill makes the bucket table if there is none yet, and adds shards that are new.
func (d *directory) fill(ctx context.Context, l *layout, shards int) error {
	const known = `SELECT COUNT(*) FROM shard`
	const add = `INSERT INTO shard (shard, owner, epoch, changed_us) VALUES (?, '', 0, ?)`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		var err error
		if d.first, err = fillBuckets(ctx, tx, l); err != nil {
			return err
		}
		var have int
		if err := tx.QueryRowContext(ctx, known).Scan(&have); err != nil {
			return sqldb.Wrap("count shards", err)
		}
		if have > shards {
			return errs.New(errs.CodeInvalid, "the directory has %d shards, the configuration %d: shards can be added, not removed", have, shards)
		}
		for n := have; n < shards; n++ {
			if _, err := tx.ExecContext(ctx, add, n, d.clock.Now().UnixMicro()); err != nil {
				return sqldb.Wrap("add shard", err)
			}
		}
		return nil
	})
}

// fillBuckets writes every bucket's home as version 1, and the moves that must go on, once. It returns how
// many shards the books began with.
func fillBuckets(ctx context.Context, tx *sql.Tx, l *layout) (int, error) {
	const filled = `SELECT COALESCE(MAX(first), 0) FROM placement`
	const begin = `INSERT INTO placement (id, first, version) VALUES (1, ?, 1)`
	const add = `INSERT INTO bucket (bucket, shard, version) VALUES (?, ?, 1)`
	var have int
	if err := tx.QueryRowContext(ctx, filled).Scan(&have); err != nil {
		return 0, sqldb.Wrap("read placement", err)
	}
	if have > 0 {
		return have, nil
	}
	if l == nil {
		return 0, errs.New(errs.CodeUnavailable, "the directory was emptied while it was opened")
	}
	if _, err := tx.ExecContext(ctx, begin, l.first); err != nil {
		return 0, sqldb.Wrap("begin placement", err)
	}
	for b, shard := range l.home.shards {
		if _, err := tx.ExecContext(ctx, add, b, int(shard)); err != nil {
			return 0, sqldb.Wrap("place bucket", err)
		}
	}
	for i := range l.moves {
		if err := insertMove(ctx, tx, &l.moves[i]); err != nil {
			return 0, err
		}
	}
	return l.first, nil
}

// placement returns where every bucket lives if that has changed since the version, else nil.
func (d *directory) placement(ctx context.Context, since int64) (*placement, error) {
	const version = `SELECT version FROM placement WHERE id = 1`
	const homes = `
		SELECT b.bucket, b.shard, p.version
		FROM bucket b
		JOIN placement p ON p.id = 1
		ORDER BY b.bucket`
	var now int64
	err := d.db.read(ctx, version, nil, func(rows *sql.Rows) error { return rows.Scan(&now) })
	if err != nil || now == since {
		return nil, sqldb.Wrap("read placement version", err)
	}
	out, count := &placement{}, 0
	err = d.db.read(ctx, homes, nil, func(rows *sql.Rows) error {
		var bucket, shard int
		if err := rows.Scan(&bucket, &shard, &out.version); err != nil {
			return err
		}
		if bucket < 0 || bucket >= buckets || shard < 0 || shard >= maxShards {
			return errs.New(errs.CodeInternal, "the directory has bucket %d on shard %d", bucket, shard)
		}
		out.shards[bucket] = uint16(shard) // #nosec: checked above
		count++
		return nil
	})
	if err == nil && count != buckets {
		err = errs.New(errs.CodeInternal, "the directory has %d buckets, not %d", count, buckets)
	}
	if err != nil {
		return nil, sqldb.Wrap("read placement", err)
	}
	return out, nil
}

// refreshPlacement takes over what the directory says now.
func (s *Service) refreshPlacement(ctx context.Context) error {
	now := s.place.current.Load()
	next, err := s.directory.placement(ctx, now.version)
	if err != nil || next == nil {
		return err
	}
	if s.keeper != nil {
		if err := s.learnBuckets(ctx, now, next); err != nil {
			return err
		}
	}
	s.place.advance(next)
	return nil
}

// learnBuckets finds out where the buckets came that have another home now: replicas that have not got so
// far do not have their rows. A process that writes both shards knows that already.
func (s *Service) learnBuckets(ctx context.Context, now, next *placement) error {
	var asked [maxShards]bool
	for bucket, home := range next.shards {
		shard := int(home)
		if home == now.shards[bucket] || shard >= len(s.shards) || asked[shard] {
			continue
		}
		asked[shard] = true
		list, err := s.shards[shard].store.bucketRows(ctx)
		if err != nil {
			return fmt.Errorf("buckets of ledger shard %d: %w", shard, err)
		}
		for _, r := range list {
			if r.state == bucketLive && int(next.shards[r.bucket]) == shard {
				s.came(shard, r.bucket, r.seq)
			}
		}
	}
	return nil
}

// moveBucket changes a bucket's home for a move, if it is where the caller believes: conflict otherwise.
// One that lives at its new home already is no conflict, so a move that was interrupted can ask again. A
// move that is over is one: its mover has slept, and the bucket may have moved on.
func (d *directory) moveBucket(ctx context.Context, moveID string, bucket, from, to int) error {
	const raise = `UPDATE placement SET version = version + 1 WHERE id = 1`
	const move = `
		UPDATE bucket
		SET shard = ?, version = version + 1
		WHERE bucket = ? AND shard = ?`
	const home = `SELECT shard FROM bucket WHERE bucket = ?`
	const over = `SELECT COUNT(*) FROM move WHERE id = ? AND step IN ('done', 'aborted')`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, raise); err != nil { // locks first: moves queue up here
			return sqldb.Wrap("raise placement version", err)
		}
		var isOver bool // a new move of the bucket begins under the same lock
		if err := tx.QueryRowContext(ctx, over, moveID).Scan(&isOver); err != nil {
			return sqldb.Wrap("read move", err)
		}
		if isOver {
			return errs.New(errs.CodeConflict, "move %s is over", moveID)
		}
		moved, err := changed(tx.ExecContext(ctx, move, to, bucket, from))
		if err != nil || moved == 1 {
			return sqldb.Wrap("move bucket", err)
		}
		var at int
		if err := tx.QueryRowContext(ctx, home, bucket).Scan(&at); err != nil {
			return sqldb.Wrap("read bucket", err)
		}
		if at != to {
			return errs.New(errs.CodeConflict, "bucket %d lives on shard %d, not %d", bucket, at, from)
		}
		return nil
	})
}

// changed returns how many rows a statement changed.
func changed(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
