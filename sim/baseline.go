package sim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"matchday/internal/mariadb"
	"matchday/ledger"
	"matchday/sim/workload"
)

// The baselines are what a competent team writes when it keeps a ledger in MariaDB without a writer of
// its own: every operation is a DBTx from one of many connections, with a row lock on the player's
// account. They do the work of a ledger transfer and no more: the balance check, the idempotency key with
// its stored answer (refusals included), two postings, the balance, and the record of 300 bytes. The
// settings of the server are the same durable ones.
//
// What could be judged either way is decided in their favour: prepared statements, no locked row for the
// house account (its balance is the sum of its postings; one locked row would make all operations wait
// for one another), accounts by number, the procedure's answer in the same round trip as its call, no
// seals, no log positions, no stream.

// baselineConnections are the numbers of connections that are tried; the best one is the figure.
var baselineConnections = []int{16, 64, 192}

// accountOps is one way to make a transfer on the baseline's tables.
type accountOps interface {
	// transfer makes one on a connection of its own and returns whether it was done or refused.
	transfer(ctx context.Context, t *baselineTransfer) (done bool, err error)
	close() error
}

// baselineTransfer is a transfer as the baselines take it.
type baselineTransfer struct {
	key     string
	account int64 // of the player
	house   int64
	minor   int64 // what the player's account gains; negative is a debit
	at      int64
	record  []byte
}

// baselines are the ways, by the name of their figures.
var baselines = []struct {
	name string
	open func(ctx context.Context, db *sql.DB) (accountOps, error)
}{
	{"row_locks", openRowLocks},
	{"procedure", openProcedure},
}

// benchBaseline measures the baselines with the ledger workload.
func benchBaseline(ctx context.Context, o BenchOptions, out io.Writer) error {
	r := newBenchReport("ledger-baseline", o.Commit, map[string]any{
		"engine": "mariadb", "accounts": o.Accounts, "seconds": o.Seconds, "runs": o.Runs, "connections": fmt.Sprint(baselineConnections),
		"record_bytes": workload.RecordBytes, "durability": durability(engineMySQL), "seed": o.Seed,
	})
	r.Data = "workload.Ledger, one operation a DBTx: row_locks is SELECT FOR UPDATE, inserts and an update from the client, procedure is one call of a stored procedure with OUT parameters"
	r.Excluded = "making the accounts and one second of warm-up; of the numbers of connections the best counts; processor time is the client's and the server's"
	for range o.Runs {
		for _, b := range baselines {
			err := onMariaDB(ctx, func(s *mariadb.Server, cpu cpuClock) error {
				return measureBaseline(ctx, o, r, b.name, b.open, s, cpu)
			})
			if err != nil {
				return fmt.Errorf("bench ledger, baseline %s: %w", b.name, err)
			}
		}
	}
	return r.write(out, o.JSON)
}

type openOps func(ctx context.Context, db *sql.DB) (accountOps, error)

// measureBaseline measures one way once, with each number of connections.
func measureBaseline(ctx context.Context, o BenchOptions, r *BenchReport, name string, open openOps, s *mariadb.Server, cpu cpuClock) error {
	db, err := openBaseline(ctx, s, o.Accounts)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // the server goes with it
	best, done := speed{}, int64(0)
	var bestLatency *latency
	for i, n := range baselineConnections {
		m, count, l, err := runBaseline(ctx, o, db, open, cpu, n, i)
		if err != nil {
			return err
		}
		if done += count; m.perMinute > best.perMinute {
			best, bestLatency = m, l
		}
	}
	if err := proveBaseline(ctx, db, done); err != nil {
		return err
	}
	r.add(name+"_transfers_per_min", best.perMinute)
	r.add(name+"_cpu_us_per_transfer", best.cpuMicros)
	r.add(name+"_p99_ms", bestLatency.percentiles().P99)
	return nil
}

// runBaseline runs n connections at full load and returns their speed and how many transfers they made.
func runBaseline(ctx context.Context, o BenchOptions, db *sql.DB, open openOps, cpu cpuClock, n, round int) (speed, int64, *latency, error) {
	var count atomic.Int64
	var failed firstError
	l := newLatency()
	load, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for i := range n {
		source := workload.NewLedger(fmt.Sprintf("b%d-%d-", round, i), o.Accounts, o.Seed+uint64(i)+1) // #nosec: small
		wg.Go(func() {
			if err := useBaseline(ctx, load, db, open, source, &count, l); err != nil {
				failed.note(err)
				stop(err)
			}
		})
	}
	got, err := steadySpeed(load, o.length(), &count, cpu)
	stop(nil)
	wg.Wait()
	if err := errors.Join(failed.err(), err); err != nil {
		return speed{}, 0, nil, err
	}
	return got, count.Load(), l, nil
}

// useBaseline makes transfers on one connection until load is done. The transfer in hand is finished
// under ctx, so that every one is counted.
func useBaseline(ctx, load context.Context, db *sql.DB, open openOps, source *workload.Ledger, count *atomic.Int64, l *latency) error {
	ops, err := open(ctx, db)
	if err != nil {
		return err
	}
	one := make([]ledger.Transfer, 1)
	for load.Err() == nil {
		source.Next(one)
		t, err := baselineOf(&one[0])
		if err != nil {
			return errors.Join(err, ops.close())
		}
		start := time.Now()
		done, err := ops.transfer(ctx, &t)
		if err != nil || !done {
			return errors.Join(fmt.Errorf("transfer %s: done %t: %w", t.key, done, err), ops.close())
		}
		l.since(start)
		count.Add(1)
	}
	return ops.close()
}

// baselineOf turns a transfer of the workload into account numbers: players count from 1, and the two
// house accounts of the workload follow them.
func baselineOf(t *ledger.Transfer) (baselineTransfer, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(string(t.Player), "plr_"), 10, 64)
	if err != nil {
		return baselineTransfer{}, fmt.Errorf("player %s: %w", t.Player, err)
	}
	b := baselineTransfer{key: t.Key, account: n + 1, house: -1, at: time.Now().UnixMicro(), record: t.Record.Data}
	b.minor = t.Postings[1].AmountMinor
	if t.Kind == ledger.KindStake {
		b.minor, b.house = t.Postings[0].AmountMinor, -2
	}
	return b, nil
}

// baselineSchema are the tables: what a ledger needs, without a log.
const baselineSchema = `
CREATE TABLE account (
	id            BIGINT PRIMARY KEY,
	balance_minor BIGINT NOT NULL CHECK (balance_minor >= 0)
);
CREATE TABLE transfer (
	id            BIGINT PRIMARY KEY AUTO_INCREMENT,
	transfer_key  VARBINARY(200) NOT NULL UNIQUE,
	refused       TINYINT NOT NULL,
	balance_minor BIGINT NOT NULL,
	record        BLOB,
	at_us         BIGINT NOT NULL
);
CREATE TABLE posting (
	account_id    BIGINT NOT NULL,
	transfer_id   BIGINT NOT NULL,
	amount_minor  BIGINT NOT NULL,
	balance_minor BIGINT NOT NULL,
	PRIMARY KEY (account_id, transfer_id)
);`

// openBaseline makes the database with funded accounts.
func openBaseline(ctx context.Context, s *mariadb.Server, accounts int) (*sql.DB, error) {
	if _, err := s.Admin().ExecContext(ctx, "CREATE DATABASE baseline"); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", s.DSN("baseline")+"?multiStatements=true&interpolateParams=true")
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(1_000)
	for _, q := range []string{baselineSchema, baselineProcedure} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	const rows = 1_000
	for from := 1; from <= accounts; from += rows {
		var b strings.Builder
		b.WriteString("INSERT INTO account (id, balance_minor) VALUES ")
		for n := from; n < from+rows && n <= accounts; n++ {
			if n > from {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d,%d)", n, int64(workload.FundMinor))
		}
		if _, err := db.ExecContext(ctx, b.String()); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// proveBaseline checks that what was counted is there: a baseline that loses work would be a quick one.
func proveBaseline(ctx context.Context, db *sql.DB, done int64) error {
	const q = `
		SELECT
			(SELECT COUNT(*) FROM transfer WHERE refused = 0),
			(SELECT COUNT(*) FROM posting),
			(SELECT SUM(amount_minor) FROM posting),
			(SELECT SUM(balance_minor) - COUNT(*) * ? FROM account),
			(SELECT COALESCE(SUM(amount_minor), 0) FROM posting WHERE account_id > 0)`
	var transfers, postings, sum, gained, posted int64
	if err := db.QueryRowContext(ctx, q, int64(workload.FundMinor)).Scan(&transfers, &postings, &sum, &gained, &posted); err != nil {
		return err
	}
	if transfers != done || postings != 2*done || sum != 0 || gained != posted {
		return fmt.Errorf("the baseline's books are wrong: %d transfers of %d, %d postings that sum to %d, balances %d, postings of players %d",
			transfers, done, postings, sum, gained, posted)
	}
	return nil
}

// retryDeadlock makes f again while the server ends it as the victim of a deadlock.
func retryDeadlock(ctx context.Context, rng *rand.Rand, f func() (bool, error)) (bool, error) {
	for {
		done, err := f()
		if !isDeadlock(err) {
			return done, err
		}
		pause(ctx, time.Duration(rng.IntN(3_000))*time.Microsecond)
		if ctx.Err() != nil {
			return false, errors.Join(err, ctx.Err())
		}
	}
}
