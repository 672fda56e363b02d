package history

import (
	"context"
	"fmt"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/money"
	"matchday/stream"
)

// exportPage is how many bets Export holds in memory at a time.
const exportPage = 500

// Export hands over every bet of a player behind one, oldest first, until fn fails; "" begins with the oldest. So who
// was cut off goes on behind the last bet that came. Settlements has all settlements of
// a bet that was settled more than once; of others it is empty, since the bet shows its only one. It returns
// how fresh the oldest of what was handed over is; with an error History of it says which history was asked, "" if
// none was.
//
// Errors: unavailable when the position is not shown in time, or the player moved to another shard meanwhile.
func (s *Service) Export(ctx context.Context, player id.Player, j id.Jurisdiction, after id.Bet, at *stream.Position, fn func(BetLife) error) (Freshness, error) {
	const where = `
		WHERE b.player_id = ?
		  AND b.jurisdiction = ?
		  AND b.bet_id > ?
		  AND (b.bet_id >= ? OR b.status = 1)
		ORDER BY b.bet_id
		LIMIT ?`
	h, err := s.shardFor(ctx, player, at)
	if err != nil {
		return h.asked(), fmt.Errorf("export bets: %w", err)
	}
	fresh := h.freshness()
	last := after
	for more := true; more; {
		rows, err := h.store.QueryContext(ctx, h.bets(where), string(player), string(j), string(last), string(h.kept.floor(j)), exportPage)
		if err != nil {
			return fresh, sqldb.Wrap("export bets", err)
		}
		bets, err := scanBets(rows)
		if err != nil || len(bets) == 0 {
			if err != nil {
				return fresh, fmt.Errorf("export bets: %w", err)
			}
			break
		}
		changes, err := h.settlements(ctx, player, bets)
		if err != nil {
			return fresh, err
		}
		for _, b := range bets {
			if err := fn(BetLife{Bet: b, Settlements: changes[b.ID], Freshness: fresh}); err != nil {
				return fresh, err
			}
			last = b.ID
		}
		more = len(bets) == exportPage
	}
	if left, err := s.hasLeft(ctx, h, player); err != nil {
		return fresh, err
	} else if left {
		return fresh, errs.New(errs.CodeUnavailable, "the player's bets moved to another shard")
	}
	return fresh, nil
}

// settlements returns the settlements that are kept beside the bets, which are in order.
func (h *shard) settlements(ctx context.Context, player id.Player, bets []Bet) (map[id.Bet][]Settlement, error) {
	const q = `
		SELECT bet_id, version, seq, status, at_us, payout_minor, outcomes
		FROM bet_change
		WHERE player_id = ?
		  AND bet_id >= ?
		  AND bet_id <= ?
		ORDER BY bet_id, version`
	currency := make(map[id.Bet]money.Currency, len(bets))
	for _, b := range bets {
		currency[b.ID] = b.Stake.Currency()
	}
	rows, err := h.store.QueryContext(ctx, q, string(player), string(bets[0].ID), string(bets[len(bets)-1].ID))
	if err != nil {
		return nil, sqldb.Wrap("read settlements", err)
	}
	defer rows.Close()
	out := map[id.Bet][]Settlement{}
	for rows.Next() {
		var bet id.Bet
		var st state
		var us, payout int64
		var letters string
		one := Settlement{Position: stream.Position{Shard: h.number}}
		if err := rows.Scan(&bet, &one.Version, &one.Position.Seq, &st, &us, &payout, &letters); err != nil {
			return nil, sqldb.Wrap("read settlements", err)
		}
		one.Status, one.At, one.Payout, one.Outcomes = statuses[st], time.UnixMicro(us).UTC(), money.New(payout, currency[bet]), outcomesOf(letters)
		out[bet] = append(out[bet], one)
	}
	return out, sqldb.Wrap("read settlements", rows.Err())
}

// outcomesOf returns the outcomes of legs from how they are stored.
func outcomesOf(letters string) []string {
	out := make([]string, len(letters))
	for i := range out {
		out[i] = outcome(letters[i])
	}
	return out
}
