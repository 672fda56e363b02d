package history

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/money"
	"matchday/stream"
)

// maxLegBytes bounds the stored legs of a bet; a record cannot be larger.
const maxLegBytes = stream.MaxRecordBytes

// betKey is the primary key of a bet.
type betKey struct {
	player id.Player
	bet    id.Bet
}

func (k betKey) compare(other betKey) int {
	return cmp.Or(cmp.Compare(k.player, other.player), cmp.Compare(k.bet, other.bet))
}

// settlement is the changing part of a bet.
type settlement struct {
	seq       int64
	state     state
	version   int
	settledUS int64 // 0 while open
	payout    int64
	outcomes  string
	atUS      int64 // of the record
}

// change is what a set of records does to one bet, put together in memory so that the database is
// told once.
type change struct {
	betKey
	jurisdiction id.Jurisdiction
	placedSeq    int64 // 0 when the bet was placed before
	placedAt     time.Time
	slip         stream.BetPlaced // without legs
	legs         []byte           // as they came: they are stored, not read
	settlement   settlement       // of the highest version; version 0 is none
	late         bool             // the bet is over once it is settled, and may have been dropped
	earlier      []settlement     // those that it replaced, oldest first
}

// shown is how the bet stands after the change, for one that was placed in it.
func (c *change) shown() settlement {
	if c.settlement.version == 0 {
		return settlement{seq: c.placedSeq, state: stateOpen}
	}
	return c.settlement
}

// project writes what the batches say; came is the sequence at which they came with their players' bucket, 0
// for records of the shard's own.
func (p *projector) project(ctx context.Context, on tables, batches []stream.Batch, came int64) error {
	changes, err := p.gather(batches, came)
	if err != nil {
		return err
	}
	return p.write(ctx, on, changes)
}

// write writes changes, and all that follows from them.
func (p *projector) write(ctx context.Context, on tables, changes []*change) error {
	p.kept.mark(changes)
	inserts, updates := make([]*change, 0, len(changes)), make([]*change, 0, len(changes))
	for _, c := range changes {
		if c.placedSeq > 0 {
			inserts = append(inserts, c)
		} else {
			updates = append(updates, c)
		}
	}
	if len(inserts) > 0 {
		if err := on.insertBets(ctx, inserts); err != nil {
			return err
		}
		if err := p.afterInsert(ctx, on, inserts); err != nil {
			return err
		}
	}
	if len(updates) == 0 {
		return nil
	}
	rare, err := p.rareOf(ctx, on, updates)
	if err != nil {
		return err
	}
	changed, err := on.settleBets(ctx, updates)
	if err != nil {
		return err
	}
	if changed != int64(len(updates)) {
		if err := explain(ctx, on, updates); err != nil {
			return err
		}
	}
	return p.afterSettle(ctx, on, rare)
}

// explain looks for the reason why a settlement changed nothing. The bet may show a newer one, which
// is in order, or be over; a bet that is not there otherwise is not.
func explain(ctx context.Context, on tables, changes []*change) error {
	const q = `
		SELECT COUNT(*)
		FROM bet
		WHERE player_id = ? AND bet_id = ? AND jurisdiction = ? AND slip_seq > 0`
	for _, c := range changes {
		var n int
		if err := on.QueryRowContext(ctx, q, string(c.player), string(c.bet), string(c.jurisdiction)).Scan(&n); err != nil {
			return sqldb.Wrap("find settled bet", err)
		}
		if n == 0 && !c.late {
			return errs.New(errs.CodeInternal, "history: bet %s is settled at sequence %d and was never placed in %s",
				c.bet, c.settlement.seq, c.jurisdiction)
		}
	}
	return nil
}

// gather merges the records per bet, in order of first mention.
func (p *projector) gather(batches []stream.Batch, came int64) ([]*change, error) {
	records := 0
	for i := range batches {
		records += len(batches[i].Records)
	}
	index := make(map[betKey]*change, records)
	slab, out := make([]change, 0, records), make([]*change, 0, records) // a record is at most one change
	at := func(k betKey, j id.Jurisdiction) *change {
		c := index[k]
		if c == nil {
			slab = append(slab, change{betKey: k, jurisdiction: j})
			c = &slab[len(slab)-1]
			index[k] = c
			out = append(out, c)
		}
		return c
	}
	for i := range batches {
		for j := range batches[i].Records {
			r := &batches[i].Records[j]
			if p.mine != nil && !p.mine(r.Player) {
				continue
			}
			if k := (betKey{r.Player, id.Bet(r.Subject)}); !p.fill.takes(k, cmp.Or(came, r.Position.Seq)) {
				if r.Type == stream.TypeBetPlaced && p.fill.isBehind(k) {
					p.fill.later.Add(1)
				}
				continue
			}
			var err error
			switch r.Type {
			case stream.TypeBetPlaced:
				err = gatherPlaced(r, at)
			case stream.TypeBetSettled:
				err = gatherSettled(r, at)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// broken reports a record that contradicts the log's promises. The sink then stands still at it:
// a history that went on would be wrong without anybody knowing.
func broken(r *stream.Record, format string, args ...any) error {
	return errs.New(errs.CodeInternal, "history: record %s (%s): %s", r.Position, r.Type, fmt.Sprintf(format, args...))
}

// gatherPlaced reads a placement.
func gatherPlaced(r *stream.Record, at func(betKey, id.Jurisdiction) *change) error {
	p, legs, err := stream.ParseBetPlaced(r.Data)
	if err != nil {
		return broken(r, "payload: %v", err)
	}
	switch _, err := money.ParseCurrency(p.Currency); {
	case err != nil:
		return broken(r, "%v", err)
	case p.BetID == "" || p.PlayerID == "" || p.PlayerID != r.Player || p.Jurisdiction == "" || p.Jurisdiction != r.Jurisdiction:
		return broken(r, "bet, player and jurisdiction differ from the envelope")
	case len(legs) == 0 || len(legs) > maxLegBytes:
		return broken(r, "legs of %d bytes", len(legs))
	}
	c := at(betKey{p.PlayerID, p.BetID}, p.Jurisdiction)
	if c.placedSeq > 0 || c.settlement.version > 0 {
		return broken(r, "bet %s is placed twice or after its settlement", p.BetID)
	}
	c.placedSeq, c.placedAt, c.slip, c.legs = r.Position.Seq, r.Time, p, legs
	return nil
}

// gatherSettled reads a settlement; the highest version of a bet wins.
func gatherSettled(r *stream.Record, at func(betKey, id.Jurisdiction) *change) error {
	p, err := stream.ParseBetSettled(r.Data)
	if err != nil {
		return broken(r, "payload: %v", err)
	}
	to, ok := stateAfter(p.Outcome)
	if p.BetID == "" || p.PlayerID == "" || p.PlayerID != r.Player || p.Jurisdiction != r.Jurisdiction {
		return broken(r, "bet, player and jurisdiction differ from the envelope")
	}
	if !ok || p.Version < 1 || p.PayoutMinor < 0 || to == stateOpen && p.PayoutMinor > 0 {
		return broken(r, "outcome %q, version %d, payout %d", p.Outcome, p.Version, p.PayoutMinor)
	}
	outcomes := make([]byte, len(p.LegOutcomes))
	for i, o := range p.LegOutcomes {
		if outcomes[i], ok = letter(o); !ok {
			return broken(r, "leg outcome %q", o)
		}
	}
	c := at(betKey{p.PlayerID, p.BetID}, p.Jurisdiction)
	if c.jurisdiction != p.Jurisdiction {
		return broken(r, "bet %s is of another jurisdiction", p.BetID)
	}
	if p.Version > c.settlement.version {
		if c.settlement.version > 0 {
			c.earlier = append(c.earlier, c.settlement)
		}
		c.settlement = settlement{seq: r.Position.Seq, state: to, version: p.Version,
			payout: p.PayoutMinor, outcomes: string(outcomes), atUS: r.Time.UnixMicro()}
		if to != stateOpen {
			c.settlement.settledUS = r.Time.UnixMicro()
		}
	}
	return nil
}

// stateAfter returns where a settlement leaves the bet. Without an outcome the bet is open again: a
// corrected result may revive a parlay whose other legs are undecided.
func stateAfter(outcome string) (state, bool) {
	switch outcome {
	case "":
		return stateOpen, true
	case stream.OutcomeWon:
		return stateWon, true
	case stream.OutcomeLost:
		return stateLost, true
	case stream.OutcomePush:
		return statePush, true
	case stream.OutcomeVoid:
		return stateVoid, true
	}
	return 0, false
}
