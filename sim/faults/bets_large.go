package faults

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
	"matchday/ledger"
)

// largeMostMiB bounds the memory of a process whose log has grown by one DBTx of a million rows.
const largeMostMiB = 1536

// largeDBTx has each shard's log grow by one DBTx with as many rows as the bets of a burst make. The ledger bounds its
// own commits, so a copy of the books takes the bets as usual, and what is new there comes back at once. The process
// is down meanwhile: a shard has one writer.
func largeDBTx(ctx context.Context, s *betsStage) error {
	if err := s.await(ctx, "streams that tell their place in the binlog", func() bool { return s.pastOf(ctx, 0) }); err != nil {
		return err
	}
	if err := s.process.stop(); err != nil {
		return err
	}
	rows, err := s.growAtOnce(ctx)
	if err != nil {
		return err
	}
	upTo, err := s.binlogEnd(ctx)
	if err != nil {
		return err
	}
	if err := s.startBets(ctx); err != nil {
		return err
	}
	if err := s.over(ctx); err != nil {
		return err
	}
	if err := s.noteCatchUp(ctx); err != nil {
		return err
	}
	// What follows the large ones comes from the binlog again, so its reader has got past them.
	if err := s.await(ctx, "the reader of the binlog to pass the large DBTx", func() bool { return s.pastOf(ctx, upTo) }); err != nil {
		return err
	}
	peak, err := s.process.peakMiB()
	if err != nil {
		return err
	}
	s.note = fmt.Sprintf("one DBTx for each shard, of %v rows; the process used at most %d MiB", rows, peak)
	if peak > largeMostMiB {
		return fmt.Errorf("%s, more than %d", s.note, largeMostMiB)
	}
	return nil
}

// growAtOnce returns how many rows each shard's DBTx has.
func (s *betsStage) growAtOnce(ctx context.Context) (rows []int64, err error) {
	c, err := s.copyBooks(ctx)
	if err != nil {
		return nil, err
	}
	if err := burstOn(ctx, c, s.Burst); err != nil {
		return nil, fmt.Errorf("bets on the copy of the books: %w", err)
	}
	for n := range shards {
		one, err := s.bringBack(ctx, c, n)
		if err != nil {
			return nil, fmt.Errorf("bring shard %d back: %w", n, err)
		}
		rows = append(rows, one)
	}
	books := s.config()
	report, err := ledger.Audit(ctx, ledger.AuditOptions{Dir: books.Dir, Clusters: books.Clusters})
	if err == nil && len(report.Findings) > 0 {
		err = errors.New(report.Findings[0].String())
	}
	return rows, err
}

// copied is the prefix of the databases, and the folder, of the copy.
const copied = "copied"

// copyBooks copies the books, which nobody writes, and returns their configuration.
func (s *betsStage) copyBooks(ctx context.Context) (ledger.Config, error) {
	c := s.config()
	c.Dir = filepath.Join(s.dir, copied)
	if err := os.CopyFS(c.Dir, os.DirFS(s.books)); err != nil {
		return c, err
	}
	for i := range c.Clusters {
		from := c.Clusters[i].Config
		c.Clusters[i].Database = copied
		for n := range shards {
			if err := s.copyDatabase(ctx, from.DatabaseOf(n), c.Clusters[i].DatabaseOf(n)); err != nil {
				return c, fmt.Errorf("copy shard %d: %w", n, err)
			}
		}
	}
	return c, nil
}

// copyDatabase copies tables and rows.
func (s *betsStage) copyDatabase(ctx context.Context, from, to string) error {
	const tables = `
		SELECT table_name
		FROM information_schema.tables
		WHERE table_schema = ?`
	admin := s.server.Admin()
	if _, err := admin.ExecContext(ctx, `CREATE DATABASE `+mysqldb.Quote(to)); err != nil {
		return err
	}
	rows, err := admin.QueryContext(ctx, tables, from)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // read to its end
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		const q = `
			CREATE TABLE %[1]s LIKE %[2]s;
			INSERT INTO %[1]s SELECT * FROM %[2]s`
		table := mysqldb.Quote(name)
		if _, err := admin.ExecContext(ctx, fmt.Sprintf(q, mysqldb.Quote(to)+"."+table, mysqldb.Quote(from)+"."+table)); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	return rows.Err()
}

// burstOn opens books and places and settles bets there.
func burstOn(ctx context.Context, c ledger.Config, bets int) (err error) {
	books, err := ledger.Open(ctx, c, ledger.Deps{Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- books.Run(run) }()
	err = burst(ctx, books, bets)
	stop()
	return errors.Join(err, <-ended, books.Close())
}

// bringBack brings a shard of the copy back in one DBTx and returns of how many rows.
func (s *betsStage) bringBack(ctx context.Context, from ledger.Config, shard int) (rows int64, err error) {
	if len(from.Clusters) > 0 {
		return bringOver(ctx, s.server.Admin(), s.config().Clusters[0].DatabaseOf(shard), from.Clusters[0].DatabaseOf(shard))
	}
	name := fmt.Sprintf("shard-%03d.db", shard)
	db, err := sqldb.Open(filepath.Join(s.books, name), sqldb.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Write.ExecContext(ctx, `ATTACH DATABASE ? AS `+copied, filepath.Join(from.Dir, name)); err != nil {
		return 0, err
	}
	return bringOver(ctx, db.Write, "main", copied)
}

// grown are the tables of a shard that bets add rows to, and the column that tells new ones. The audit would miss a
// table that was forgotten.
var grown = []struct{ table, column string }{
	{"account", "id"}, {"transfer", "seq"}, {"posting", "seq"}, {"batch", "last_seq"},
}

// bringOver adds what one shard's tables have and another's have not yet, in one DBTx. All columns are meant: the
// tables are the same.
func bringOver(ctx context.Context, db *sql.DB, to, from string) (rows int64, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	const head = `
		SELECT seq, accounts
		FROM %s.shard
		WHERE id = 1`
	var seq, accounts int64
	if err := tx.QueryRowContext(ctx, fmt.Sprintf(head, to)).Scan(&seq, &accounts); err != nil {
		return 0, err
	}
	const add = `
		INSERT INTO %[1]s.%[3]s
		SELECT *
		FROM %[2]s.%[3]s
		WHERE %[4]s > ?
		ORDER BY %[4]s`
	for _, g := range grown {
		after := seq
		if g.table == "account" {
			after = accounts
		}
		done, err := tx.ExecContext(ctx, fmt.Sprintf(add, to, from, g.table, g.column), after)
		if err != nil {
			return 0, fmt.Errorf("table %s: %w", g.table, err)
		}
		n, err := done.RowsAffected()
		if err != nil {
			return 0, err
		}
		rows += n
	}
	const replace = `
		REPLACE INTO %[1]s.shard
		SELECT *
		FROM %[2]s.shard`
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(replace, to, from)); err != nil {
		return 0, err
	}
	return rows, tx.Commit()
}

// binlogEnd returns the number of the newest DBTx in the binlog, 0 if there is none.
func (s *betsStage) binlogEnd(ctx context.Context) (number int64, err error) {
	if s.server == nil {
		return 0, nil
	}
	var position string
	if err := s.server.Admin().QueryRowContext(ctx, `SELECT @@GLOBAL.gtid_binlog_pos`).Scan(&position); err != nil {
		return 0, err
	}
	return gtidNumber(position)
}

// gtidNumber returns the last part of a position such as 0-101-42.
func gtidNumber(position string) (n int64, err error) {
	if _, err := fmt.Sscanf(position[strings.LastIndexByte(position, '-')+1:], "%d", &n); err != nil {
		return 0, fmt.Errorf("position %q: %w", position, err)
	}
	return n, nil
}

// pastOf reports whether every shard's stream ends at a place of the binlog behind a number; books in files have none.
func (s *betsStage) pastOf(ctx context.Context, number int64) bool {
	if s.server == nil {
		return true
	}
	a := s.client.ask(ctx, 10*tryFor, &betOp{Do: doSources})
	for _, source := range a.Sources {
		if n, err := gtidNumber(source); err != nil || n <= number {
			return false
		}
	}
	return len(a.Sources) == shards
}
