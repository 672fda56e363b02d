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

// Settlement is one settlement of a bet.
type Settlement struct {
	Version  int
	Status   Status // open where it left the bet open again
	At       time.Time
	Position stream.Position
	Payout   money.Money
	Outcomes []string // of the legs, in their order; "" while undecided
}

// BetLife is a bet with all that has happened to it.
type BetLife struct {
	Bet
	Placed      stream.Position // of the placement
	Settlements []Settlement    // oldest first; the last is what Bet shows
	Freshness
}

// Follow returns one bet of the player with every settlement it had. With an error Freshness.History says which
// history was asked, "" if none was.
//
// Errors: as Find.
func (s *Service) Follow(ctx context.Context, player id.Player, j id.Jurisdiction, bet id.Bet, at *stream.Position) (BetLife, error) {
	var none BetLife
	for range 2 { // a player who moves meanwhile is looked for again
		h, err := s.shardFor(ctx, player, at)
		none.Freshness = h.asked()
		if err != nil {
			return none, fmt.Errorf("follow bet: %w", err)
		}
		out := BetLife{Freshness: h.freshness()}
		var left bool
		if out.Bet, left, err = s.find(ctx, h, player, j, bet); err != nil {
			return none, err
		} else if left {
			continue
		}
		whole, err := out.read(ctx, h)
		if err != nil {
			return none, fmt.Errorf("follow bet %s: %w", bet, err)
		}
		if whole {
			return out, nil
		}
	}
	return none, errs.New(errs.CodeUnavailable, "the bet is changing")
}

// read reads the settlements: those kept beside the bet, or the only one, which is in it. False where the
// bet is no longer as it was found, or no longer here.
func (b *BetLife) read(ctx context.Context, h *shard) (whole bool, err error) {
	const q = `
		SELECT 0, slip_seq, status, settled_us, payout_minor, outcomes
		FROM bet
		WHERE player_id = ?
		  AND bet_id = ?
		UNION ALL
		SELECT version, seq, status, at_us, payout_minor, outcomes
		FROM bet_change
		WHERE player_id = ?
		  AND bet_id = ?
		UNION ALL
		SELECT version, seq, status, settled_us, payout_minor, outcomes
		FROM bet
		WHERE player_id = ?
		  AND bet_id = ?
		ORDER BY 1`
	player, bet := string(b.Player), string(b.ID)
	rows, err := h.store.QueryContext(ctx, q, player, bet, player, bet, player, bet)
	if err != nil {
		return false, sqldb.Wrap("read settlements", err)
	}
	defer rows.Close()
	for rows.Next() {
		var version int
		var seq, us, payout int64
		var st state
		var letters string
		if err := rows.Scan(&version, &seq, &st, &us, &payout, &letters); err != nil {
			return false, sqldb.Wrap("read settlements", err)
		}
		b.take(Settlement{Version: version, Status: statuses[st], Position: stream.Position{Shard: h.number, Seq: seq}, Payout: money.New(payout, b.Stake.Currency())}, us, letters)
	}
	n := len(b.Settlements)
	whole = b.Placed.Seq > 0 && (n == 0 && b.Version == 0 || n > 0 && b.Settlements[n-1].Version == b.Version)
	return whole, sqldb.Wrap("read settlements", rows.Err())
}

// take takes one row: version 0 is the placement, and a settlement that comes twice counts once, with the
// time that it has where it is kept beside the bet.
func (b *BetLife) take(s Settlement, us int64, letters string) {
	if s.Version == 0 {
		if b.Placed.Seq == 0 {
			b.Placed = s.Position
		}
		return
	}
	if us > 0 {
		s.At = time.UnixMicro(us).UTC()
	}
	s.Outcomes = outcomesOf(letters)
	if n := len(b.Settlements); n > 0 && b.Settlements[n-1].Version == s.Version {
		if b.Settlements[n-1].At.IsZero() {
			b.Settlements[n-1].At = s.At
		}
		return
	}
	b.Settlements = append(b.Settlements, s)
}
