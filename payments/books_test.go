package payments

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/money"
	"matchday/stream"
)

// testBooks keeps the contract of Books in a real database: one transfer a key, refusals frozen.
type testBooks struct{ db *sqldb.DB }

func openBooks(t testing.TB, dir string) *testBooks {
	t.Helper()
	db, err := sqldb.Open(filepath.Join(dir, "books.db"), sqldb.Options{Durability: sqldb.Rebuildable})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	const schema = `
		CREATE TABLE IF NOT EXISTS transfer (
			seq     INTEGER PRIMARY KEY,
			key     TEXT NOT NULL UNIQUE,
			refused INTEGER NOT NULL
		) STRICT;
		CREATE TABLE IF NOT EXISTS account (
			player_id   TEXT PRIMARY KEY,
			cash        INTEGER NOT NULL DEFAULT 0 CHECK (cash >= 0),
			withdrawing INTEGER NOT NULL DEFAULT 0 CHECK (withdrawing >= 0)
		) STRICT;`
	if _, err := db.Write.ExecContext(context.Background(), schema); err != nil {
		t.Fatal(err)
	}
	return &testBooks{db: db}
}

var errNoFunds = errs.New(errs.CodeInsufficientFunds, "available balance too low")

// move applies the changes to cash and withdrawing once under the key.
func (b *testBooks) move(ctx context.Context, key string, player id.Player, cash, withdrawing int64) (stream.Position, error) {
	var (
		seq     int64
		refused bool
	)
	err := b.db.InTx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT seq, refused FROM transfer WHERE key = ?`, key).Scan(&seq, &refused)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO account (player_id) VALUES (?) ON CONFLICT DO NOTHING`, player); err != nil {
			return err
		}
		var have int64
		if err := tx.QueryRowContext(ctx, `SELECT cash FROM account WHERE player_id = ?`, player).Scan(&have); err != nil {
			return err
		}
		if refused = have+cash < 0; !refused {
			const q = `UPDATE account SET cash = cash + ?, withdrawing = withdrawing + ? WHERE player_id = ?`
			if _, err := tx.ExecContext(ctx, q, cash, withdrawing, player); err != nil {
				return err
			}
		}
		const q = `INSERT INTO transfer (key, refused) VALUES (?, ?) RETURNING seq`
		return tx.QueryRowContext(ctx, q, key, refused).Scan(&seq)
	})
	if err == nil && refused {
		err = errNoFunds
	}
	return stream.Position{Seq: seq}, err
}

func (b *testBooks) Deposit(ctx context.Context, p Payment) (stream.Position, error) {
	return b.move(ctx, "deposit/"+p.ID, p.Player, p.Amount.Minor(), 0)
}

func (b *testBooks) Withhold(ctx context.Context, p Payment) (stream.Position, error) {
	return b.move(ctx, "withhold/"+p.ID, p.Player, -p.Amount.Minor(), p.Amount.Minor())
}

func (b *testBooks) Complete(ctx context.Context, p Payment) (stream.Position, error) {
	return b.move(ctx, "complete/"+p.ID, p.Player, 0, -p.Amount.Minor())
}

func (b *testBooks) Return(ctx context.Context, p Payment) (stream.Position, error) {
	return b.move(ctx, "return/"+p.ID, p.Player, p.Amount.Minor(), -p.Amount.Minor())
}

// has reports whether a transfer was made (and not refused) under the key.
func (b *testBooks) has(t testing.TB, key string) bool {
	t.Helper()
	var n int
	const q = `SELECT COUNT(*) FROM transfer WHERE key = ? AND refused = 0`
	if err := b.db.Write.QueryRowContext(context.Background(), q, key).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n == 1
}

func (b *testBooks) balance(t testing.TB, p id.Player) (cash, withdrawing int64) {
	t.Helper()
	const q = `SELECT COALESCE(SUM(cash), 0), COALESCE(SUM(withdrawing), 0) FROM account WHERE player_id = ?`
	if err := b.db.Write.QueryRowContext(context.Background(), q, p).Scan(&cash, &withdrawing); err != nil {
		t.Fatal(err)
	}
	return cash, withdrawing
}

// testLimits are 5.00 to 1,000.00 USD in, from 1.00 out, in New Jersey and Pennsylvania.
type testLimits struct{}

func (testLimits) DepositRange(j id.Jurisdiction) (least, most money.Money, err error) {
	if j != nj && j != pa {
		return money.Money{}, money.Money{}, errs.New(errs.CodeNotFound, "no such jurisdiction")
	}
	return usd(500), usd(100_000), nil
}

func (l testLimits) WithdrawalLeast(j id.Jurisdiction) (money.Money, error) {
	_, _, err := l.DepositRange(j)
	return usd(100), err
}

const (
	nj id.Jurisdiction = "US-NJ"
	pa id.Jurisdiction = "US-PA"
)

func usd(minor int64) money.Money { return money.New(minor, money.USD) }

var (
	start   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testIDs = id.NewSource(func() time.Time { return start })
)
