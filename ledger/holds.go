package ledger

import (
	"context"
	"database/sql"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
	"matchday/money"
	"matchday/stream"
)

// OpenHold is money of an account that is reserved and not yet moved or given back.
type OpenHold struct {
	Key         string // it was made under
	Position    stream.Position
	Account     Address
	Counter     Address // where it goes when it is posted
	Currency    money.Currency
	AmountMinor int64
	At          time.Time
	ExpiresAt   time.Time
}

// MaxOpenHolds bounds a page of open holds.
const MaxOpenHolds = 500

// OpenHolds returns the open holds of a player account, oldest first: at most limit of those made
// after a position, zero for the first. One that has run out is listed until it is ended, which takes about a
// second, or happens when somebody needs the money.
//
// Errors: invalid for a house account, which has no holds, and for a limit out of range.
func (s *Service) OpenHolds(ctx context.Context, a Address, after stream.Position, limit int) ([]OpenHold, error) {
	parts, ok := parseAddress(string(a))
	if !ok || parts.player == "" {
		return nil, errs.New(errs.CodeInvalid, "%.40q is not the address of a player account", string(a))
	}
	if limit < 1 || limit > MaxOpenHolds || after.Seq < 0 {
		return nil, errs.New(errs.CodeInvalid, "a page has 1 to %d holds after a position", MaxOpenHolds)
	}
	return atHome(ctx, s, parts.player, func() ([]OpenHold, error) {
		one, err := s.home(parts.player)
		if err != nil {
			return nil, err
		}
		seq, err := s.cursorOn(ctx, parts.player, one, after)
		if err != nil {
			return nil, err
		}
		list, err := one.store.openHolds(ctx, a, seq, limit)
		for i := range list {
			list[i].Position.Shard = one.number
		}
		return list, err
	})
}

// openHolds implements readerStore.
func (r tableReads) openHolds(ctx context.Context, a Address, after int64, limit int) ([]OpenHold, error) {
	return readOpenHolds(ctx, r.on, a, after, limit)
}

// readOpenHolds returns the open holds of an account, oldest first; both engines understand it.
func readOpenHolds(ctx context.Context, on querier, a Address, after int64, limit int) ([]OpenHold, error) {
	const q = `
		SELECT t.key, h.seq, c.address, h.currency, h.amount_minor, h.expires_us, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= h.seq
				ORDER BY b.last_seq
				LIMIT 1)
		FROM account a
		JOIN hold h ON h.account_id = a.id
		JOIN transfer t ON t.seq = h.seq
		JOIN account c ON c.id = h.counter_id
		WHERE a.address = ? AND h.state = 1 AND h.seq > ?
		ORDER BY h.seq
		LIMIT ?`
	var out []OpenHold
	err := eachRow(on.QueryContext(ctx, q, string(a), after, limit))(func(found *sql.Rows) error {
		h := OpenHold{Account: a}
		var atUS, expiresUS int64
		err := found.Scan(&h.Key, &h.Position.Seq, &h.Counter, &h.Currency, &h.AmountMinor, &expiresUS, &atUS)
		h.At, h.ExpiresAt = fromMicros(atUS), fromMicros(expiresUS)
		out = append(out, h)
		return err
	})
	return out, sqldb.Wrap("read open holds", err)
}
