package sportsbook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/ledger"
	"matchday/stream"
)

// run makes all checks.
func (a *auditor) run(ctx context.Context) (AuditReport, error) {
	for _, b := range a.shards {
		for _, check := range []func(context.Context, *openBets) (*Finding, error){a.checkLog, a.checkGrades} {
			f, err := check(ctx, b)
			if err != nil {
				return a.report, fmt.Errorf("audit bets of shard %d: %w", b.shard, err)
			}
			if f != nil {
				f.Shard = b.shard
				a.report.Findings = append(a.report.Findings, *f)
				break
			}
		}
	}
	if err := a.checkEscrow(ctx); err != nil {
		return a.report, fmt.Errorf("audit escrow: %w", err)
	}
	return a.report, nil
}

// checkLog compares a projection with the log, up to the projection's position.
func (a *auditor) checkLog(ctx context.Context, b *openBets) (*Finding, error) {
	end, err := b.position(ctx)
	if err != nil {
		return nil, err
	}
	var after int64
	for after < end {
		batches, err := a.log.ReadLog(ctx, b.shard, after, auditRecords)
		if err != nil {
			return nil, err
		}
		if len(batches) == 0 {
			return &Finding{Invariant: "the projection is not ahead of the log", Table: "sink_position", Key: "openbets",
				Expected: "at most " + strconv.FormatInt(after, 10), Found: strconv.FormatInt(end, 10)}, nil
		}
		var records []stream.Record
		for _, batch := range batches {
			records = append(records, batch.Records...)
			after = batch.Last
		}
		if f, err := a.checkRecords(ctx, b, records, end); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

// checkRecords compares the rows of some records with them.
func (a *auditor) checkRecords(ctx context.Context, b *openBets, records []stream.Record, end int64) (*Finding, error) {
	records = slices.DeleteFunc(records, func(r stream.Record) bool {
		return r.Position.Seq > end || (r.Type != stream.TypeBetPlaced && r.Type != stream.TypeBetSettled)
	})
	ids := make([]id.Bet, len(records))
	for i, r := range records {
		ids[i] = id.Bet(r.Subject)
	}
	rows, err := b.byID(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[id.Bet]*bet, len(rows))
	for i := range rows {
		byID[rows[i].id] = &rows[i]
	}
	a.report.Records += int64(len(records))
	for i := range records {
		r := &records[i]
		row := byID[id.Bet(r.Subject)]
		if row == nil && r.Time.Before(a.retiredBefore) {
			continue
		}
		f, err := checkRecord(r, row)
		if f != nil && row == nil {
			var moved bool
			if moved, err = a.isElsewhere(ctx, b, id.Bet(r.Subject)); moved {
				continue
			}
		}
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

// isElsewhere reports whether a bet has gone to another shard with its player.
func (a *auditor) isElsewhere(ctx context.Context, b *openBets, bet id.Bet) (bool, error) {
	for _, other := range a.shards {
		if other.shard == b.shard {
			continue
		}
		if rows, err := other.byID(ctx, []id.Bet{bet}); err != nil || len(rows) > 0 {
			return len(rows) > 0, err
		}
	}
	return false, nil
}

// checkRecord compares one row with one of its records.
func checkRecord(r *stream.Record, row *bet) (*Finding, error) {
	f := &Finding{Invariant: "open bets equal the log", Table: "bet", Key: r.Subject, Found: "no row"}
	if r.Type == stream.TypeBetPlaced {
		var placed stream.BetPlaced
		if err := json.Unmarshal(r.Data, &placed); err != nil {
			return nil, fmt.Errorf("record %s: %w", r.Position, err)
		}
		if placed.Product != Product {
			return nil, nil
		}
		legs, err := legsText(placed.Legs)
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", r.Position, err)
		}
		f.Expected = fmt.Sprint(r.Position.Seq, placed.PlayerID, placed.Jurisdiction, placed.Currency, placed.StakeMinor,
			placed.PotentialPayoutMinor, r.Time.UnixMicro(), legs)
		if row != nil {
			f.Found = fmt.Sprint(row.seq, row.player, row.jurisdiction, row.currency, row.stakeMinor,
				row.potentialMinor, row.placedUS, row.legs)
		}
	} else {
		var settled stream.BetSettled
		if err := json.Unmarshal(r.Data, &settled); err != nil {
			return nil, fmt.Errorf("record %s: %w", r.Position, err)
		}
		f.Table = "bet_settled"
		f.Expected = settlementText(settled.Version, settled.Outcome, settled.PayoutMinor)
		if row != nil {
			f.Found = settlementText(row.version, row.outcome, row.payoutMinor)
		}
		if row != nil && row.version > settled.Version {
			return nil, nil // a later record has its turn
		}
	}
	if f.Found == f.Expected {
		return nil, nil
	}
	return f, nil
}

func settlementText(version int, outcome string, payoutMinor int64) string {
	if outcome == outcomeOpen {
		outcome = "open"
	}
	return fmt.Sprintf("version %d: %s, payout %d", version, outcome, payoutMinor)
}

// checkGrades grades every bet again. Bets that are just being settled are looked at a second time.
func (a *auditor) checkGrades(ctx context.Context, b *openBets) (*Finding, error) {
	facts, err := a.facts(ctx)
	if err != nil {
		return nil, err
	}
	j := judge{fact: facts.fact}
	var suspects []int64
	var chunk []bet
	var after int64
	for {
		if chunk, err = b.all(ctx, after, auditChunk, chunk[:0]); err != nil {
			return nil, err
		}
		for i := range chunk {
			a.report.Bets++
			if chunk[i].isOpen() {
				a.report.Open++
			}
			if gradeFinding(&j, &chunk[i]) != nil && len(suspects) < auditSuspects {
				suspects = append(suspects, chunk[i].seq)
			}
		}
		if len(chunk) < auditChunk {
			break
		}
		after = chunk[len(chunk)-1].seq
	}
	return a.checkSuspects(ctx, b, suspects)
}

// checkSuspects looks at the bets again until they are settled as graded, or the tries are used up.
func (a *auditor) checkSuspects(ctx context.Context, b *openBets, suspects []int64) (*Finding, error) {
	for try := 1; ; try++ {
		f, waiting, err := a.recheck(ctx, b, suspects)
		if err != nil || f == nil && waiting == 0 {
			return nil, err
		}
		if try == auditTries {
			a.report.Waiting += waiting
			return f, nil
		}
		if !pause(ctx, a.patience/auditTries) {
			return nil, ctx.Err()
		}
	}
}

// recheck returns the finding of the first bet that is still not settled as graded, and how many
// bets may well be so because their settlement is under way.
func (a *auditor) recheck(ctx context.Context, b *openBets, seqs []int64) (first *Finding, waiting int64, err error) {
	if len(seqs) == 0 {
		return nil, 0, nil
	}
	facts, err := a.facts(ctx)
	if err != nil {
		return nil, 0, err
	}
	bets, err := b.bySeq(ctx, seqs)
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(bets, func(x, y bet) int { return cmp.Compare(x.seq, y.seq) })
	j := judge{fact: facts.fact}
	for i := range bets {
		f := gradeFinding(&j, &bets[i])
		switch {
		case f == nil:
		case facts.isWaiting(&j, b.shard, &bets[i]):
			waiting++
		case first == nil:
			first = f
		}
	}
	return first, waiting, nil
}

// gradeFinding returns what is wrong with how a bet is settled, or nil.
func gradeFinding(j *judge, b *bet) *Finding {
	f := &Finding{Invariant: "bets are settled as their results grade", Table: "bet_settled", Key: string(b.id),
		Found: settlementText(b.version, b.outcome, b.payoutMinor)}
	t, err := j.target(b)
	if err != nil {
		f.Expected = err.Error()
		return f
	}
	command, needed := b.settles(t)
	if !needed {
		return nil
	}
	f.Expected = settlementText(command.Version, t.outcome, t.payoutMinor)
	return f
}

// checkEscrow compares the stakes of open bets with the ledger, in a moment in which the log does
// not move.
func (a *auditor) checkEscrow(ctx context.Context) error {
	for range auditTries {
		heads := a.heads()
		sums, err := a.openStakes(ctx)
		switch {
		case errs.Is(err, errs.CodeUnavailable) && ctx.Err() == nil: // a projection is behind: wait for it
		case err != nil:
			return err
		default:
			f, err := a.compareEscrow(ctx, sums)
			if err != nil {
				return err
			}
			if slices.Equal(heads, a.heads()) {
				a.report.EscrowCompared = true
				if f != nil {
					a.report.Findings = append(a.report.Findings, *f)
				}
				return nil
			}
		}
		if !pause(ctx, a.patience/auditTries) {
			return ctx.Err()
		}
	}
	return nil
}

// pause waits; false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *auditor) heads() []int64 {
	heads := make([]int64, len(a.shards))
	for shard := range heads {
		heads[shard] = a.log.Head(shard)
	}
	return heads
}

// openStakes adds up the stakes of open bets per jurisdiction, when all projections have caught up.
// A jurisdiction without bets has the sum 0: money in its escrow would belong to nobody.
func (a *auditor) openStakes(ctx context.Context) (map[id.Jurisdiction]int64, error) {
	sums := map[id.Jurisdiction]int64{}
	for _, code := range a.jurisdictions {
		sums[code] = 0
	}
	for _, b := range a.shards {
		if err := a.caughtUp(ctx, b.shard); err != nil {
			return nil, err
		}
		if err := b.addOpenStakes(ctx, sums); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// compareEscrow returns the first jurisdiction whose escrow is not the sum of its open stakes.
func (a *auditor) compareEscrow(ctx context.Context, sums map[id.Jurisdiction]int64) (*Finding, error) {
	codes := make([]id.Jurisdiction, 0, len(sums))
	for code := range sums {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		account := ledger.Bets(code, Product)
		balance, err := a.balance(ctx, account)
		if err != nil {
			return nil, fmt.Errorf("balance of %s: %w", account, err)
		}
		if balance.PostedMinor != sums[code] {
			return &Finding{Shard: -1, Invariant: "escrow is the sum of open stakes", Table: "bet", Key: string(account),
				Expected: strconv.FormatInt(balance.PostedMinor, 10), Found: strconv.FormatInt(sums[code], 10)}, nil
		}
	}
	return nil, nil
}

// addOpenStakes adds the stakes of open bets to sums; a jurisdiction whose bets are all settled has
// the sum 0.
func (o *openBets) addOpenStakes(ctx context.Context, sums map[id.Jurisdiction]int64) error {
	const q = `
		SELECT b.jurisdiction, SUM(CASE WHEN COALESCE(s.outcome, '') = '' THEN b.stake_minor ELSE 0 END)
		FROM bet b
		LEFT JOIN bet_settled s ON s.bet_id = b.bet_id
		GROUP BY b.jurisdiction`
	rows, err := o.db.Read.QueryContext(ctx, q)
	if err != nil {
		return sqldb.Wrap("add up open stakes", err)
	}
	defer func() { _ = rows.Close() }() // the error is in rows.Err
	for rows.Next() {
		var code id.Jurisdiction
		var sum int64
		if err := rows.Scan(&code, &sum); err != nil {
			return sqldb.Wrap("add up open stakes", err)
		}
		sums[code] += sum
	}
	return sqldb.Wrap("add up open stakes", rows.Err())
}

// position returns the sink's position as the database has it.
func (o *openBets) position(ctx context.Context) (int64, error) {
	const q = `
		SELECT COALESCE(MAX(seq), 0)
		FROM sink_position
		WHERE name = ?`
	var seq int64
	err := o.db.Read.QueryRowContext(ctx, q, openBetsSink).Scan(&seq)
	return seq, sqldb.Wrap("read position of open bets", err)
}
