package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/money"
	"matchday/stream"
)

// columns are what scanBets reads, followed by the store's sameBet.
const columns = `
		SELECT b.player_id, b.bet_id, b.jurisdiction, b.status, b.version, b.settled_us, b.payout_minor, b.outcomes,
		       s.product, s.currency, s.placed_us, s.stake_minor, s.potential_minor, s.legs` + betTables

// betTables are both tables of a bet.
const betTables = `
		FROM bet AS b
		CROSS JOIN slip AS s ON s.seq = b.slip_seq`

// bets returns the query of whole bets with these conditions.
func (h *shard) bets(where string) string { return columns + h.store.sameBet() + where }

// Find returns one bet of the player.
//
// Errors: not_found, also for a bet of another player or jurisdiction; gone for one that is no longer kept;
// unavailable when the position is not shown in time.
func (s *Service) Find(ctx context.Context, player id.Player, j id.Jurisdiction, bet id.Bet, at *stream.Position) (Bet, error) {
	for {
		h, err := s.shardFor(ctx, player, at)
		if err != nil {
			return Bet{}, fmt.Errorf("find bet: %w", err)
		}
		b, left, err := s.find(ctx, h, player, j, bet)
		if !left {
			return b, err
		}
	}
}

// find looks for a bet on a shard. Left says that the player's bets are on another one by now.
func (s *Service) find(ctx context.Context, h *shard, player id.Player, j id.Jurisdiction, bet id.Bet) (b Bet, left bool, err error) {
	const q = `
		WHERE b.player_id = ?
		  AND b.bet_id = ?
		  AND b.jurisdiction = ?`
	rows, err := h.store.QueryContext(ctx, h.bets(q), string(player), string(bet), string(j))
	if err != nil {
		return Bet{}, false, sqldb.Wrap("find bet", err)
	}
	bets, err := scanBets(rows)
	if err != nil {
		return Bet{}, false, fmt.Errorf("find bet %s: %w", bet, err)
	}
	if len(bets) == 0 {
		if left, err := s.hasLeft(ctx, h, player); err != nil || left {
			return Bet{}, left, err
		}
		if err := h.gone(j, bet); err != nil && id.Check(id.KindBet, string(bet)) == nil {
			return Bet{}, false, err
		}
		return Bet{}, false, errs.New(errs.CodeNotFound, "no such bet")
	}
	if bets[0].Status != StatusOpen {
		if err := h.gone(j, bet); err != nil {
			return Bet{}, false, err
		}
	}
	return bets[0], false, nil
}

// shardFor returns the player's shard once it shows the position. With an error too, if it is known by then.
func (s *Service) shardFor(ctx context.Context, player id.Player, at *stream.Position) (*shard, error) {
	n := s.deps.ShardOf(player)
	if n < 0 || n >= len(s.shards) {
		return nil, errs.New(errs.CodeInternal, "player on shard %d of %d", n, len(s.shards))
	}
	h, err := s.shown(n, player)
	if err != nil {
		return nil, err
	}
	need := stream.Position{Shard: n}
	if s.deps.Since != nil {
		need.Seq = s.deps.Since(player)
	}
	switch {
	case at == nil:
	case at.Shard == n:
		need.Seq = max(need.Seq, at.Seq)
	case need.Seq == 0: // otherwise it is from before the player moved, and came along
		return h, errs.New(errs.CodeInvalid, "position %s is of another shard than the player", *at)
	}
	if h.sink.Position() >= need.Seq {
		return h, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.ReadWait)
	defer cancel()
	if err := h.sink.WaitFor(ctx, need.Seq); err != nil {
		late := errs.Wrap(err, errs.CodeUnavailable, "the history does not show position %s yet", need)
		late.RetryAfter = time.Second
		return h, late
	}
	return h, nil
}

// shown returns the player's shard of the history that the player sees.
//
// Errors: unavailable while the only one that is still fed is not open, or nobody can say which one the player sees.
func (s *Service) shown(n int, player id.Player) (*shard, error) {
	if s.desk != nil && s.deps.Hold != nil && s.second.age(s.deps.Clock.Now()) > deskLost {
		return nil, errs.New(errs.CodeUnavailable, "which history is shown could not be read lately")
	}
	if h := s.second.shardFor(n, player); h != nil {
		s.nextMetrics.read("second")
		return h, nil
	}
	if s.isLeft() {
		return nil, errs.New(errs.CodeUnavailable, "the history is being opened again")
	}
	s.nextMetrics.read("first")
	return s.shards[n], nil
}

// forEachPage is how many bets ForEach reads at a time, so that no long read keeps the write-ahead
// log from being reused.
const forEachPage = 1000

// ForEach hands over every bet, shard by shard, by player and then oldest first, until fn fails.
// Bets that are placed meanwhile may or may not be among them.
func (s *Service) ForEach(ctx context.Context, fn func(Bet) error) error {
	const (
		rest = `
			WHERE b.player_id = ?
			  AND b.bet_id > ?
			ORDER BY b.bet_id
			LIMIT ?`
		others = `
			WHERE b.player_id > ?
			ORDER BY b.player_id, b.bet_id
			LIMIT ?`
	)
	for _, h := range s.main() {
		var last betKey
		each := func(q string, args ...any) (int, error) {
			rows, err := h.store.QueryContext(ctx, h.bets(q), append(args, forEachPage)...)
			if err != nil {
				return 0, sqldb.Wrap("read all bets", err)
			}
			bets, err := scanBets(rows)
			if err != nil {
				return 0, fmt.Errorf("read all bets: %w", err)
			}
			for _, b := range bets {
				if err := fn(b); err != nil {
					return 0, err
				}
				last = betKey{b.Player, b.ID}
			}
			return len(bets), nil
		}
		for more := true; more; {
			n, err := each(rest, string(last.player), string(last.bet)) // of the player the page before ended in
			if err == nil && n < forEachPage {
				n, err = each(others, string(last.player))
			}
			if err != nil {
				return err
			}
			more = n == forEachPage
		}
	}
	return nil
}

// scanBets reads and closes rows of columns.
func scanBets(rows *sql.Rows) ([]Bet, error) {
	defer rows.Close()
	var out []Bet
	for rows.Next() {
		var b Bet
		var st state
		var settledUS, placedUS, payout, stake, potential int64
		var outcomes, currency string
		var legs []byte
		err := rows.Scan(&b.Player, &b.ID, &b.Jurisdiction, &st, &b.Version, &settledUS, &payout, &outcomes,
			&b.Product, &currency, &placedUS, &stake, &potential, &legs)
		if err != nil {
			return nil, sqldb.Wrap("scan bet", err)
		}
		if err := json.Unmarshal(legs, &b.Legs); err != nil {
			return nil, errs.Wrap(err, errs.CodeInternal, "legs of bet %s", b.ID)
		}
		for i := range min(len(outcomes), len(b.Legs)) {
			b.Legs[i].Outcome = outcome(outcomes[i])
		}
		c := money.Currency(currency)
		b.Stake, b.PotentialPayout, b.Payout = money.New(stake, c), money.New(potential, c), money.New(payout, c)
		b.Status, b.PlacedAt = statuses[st], time.UnixMicro(placedUS).UTC()
		if st != stateOpen {
			b.SettledAt = time.UnixMicro(settledUS).UTC()
		}
		out = append(out, b)
	}
	return out, sqldb.Wrap("scan bets", rows.Err())
}
