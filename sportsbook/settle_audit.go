package sportsbook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/ledger"
	"matchday/stream"
)

// AuditOptions says what an audit reads.
type AuditOptions struct {
	Dir       string        // the room's folder
	Clock     clock.Clock   // for what may have retired
	Retention time.Duration // as in SettlementConfig; 0 is its default
	Log       stream.Log    // the ledger's log
	// Balance reads the ledger's posted balance of an account, summed over shards for a house account.
	Balance func(ctx context.Context, a ledger.Address) (ledger.Balance, error)
}

// AuditReport is what an audit found.
type AuditReport struct {
	Bets     int64 // in the projections
	Open     int64 // of them
	Records  int64 // of bets in the log
	Waiting  int64 // bets whose settlement is under way; a stopped process goes on with it when it starts
	Findings []Finding

	// EscrowCompared says whether open stakes were compared with the ledger's escrow. That needs a
	// moment in which the ledger stands still; a busy one is tried for some seconds.
	EscrowCompared bool
}

// Finding names the first row of a shard that breaks an invariant.
type Finding struct {
	Shard     int // -1 for what concerns all shards
	Invariant string
	Table     string
	Key       string // a bet id or an account
	Expected  string
	Found     string
}

// Audit proves, on the running sportsbook, that the open bets equal the log, that every bet is
// settled to what the results say, and that the stakes of open bets are what the ledger holds in
// escrow. It reports the first row of each shard that breaks one of them.
func (s *Service) Audit(ctx context.Context) (AuditReport, error) {
	a := auditor{
		facts: s.auditFacts, log: s.deps.Ledger, balance: s.deps.Ledger.Balance,
		retiredBefore: s.deps.Clock.Now().Add(-s.settler.cfg.Retention),
		caughtUp: func(ctx context.Context, shard int) error {
			return s.settler.shards[shard].sink.WaitFor(ctx, s.deps.Ledger.Head(shard))
		},
	}
	for _, w := range s.settler.shards {
		a.shards = append(a.shards, w.bets)
	}
	return a.run(ctx)
}

// Audit proves the same on the files, read-only, beside a running process or without one.
func Audit(ctx context.Context, o AuditOptions) (_ AuditReport, err error) {
	if o.Clock == nil || o.Log == nil || o.Balance == nil {
		return AuditReport{}, errors.New("audit sportsbook: clock, log and balance are required")
	}
	cfg := SettlementConfig{Retention: o.Retention}.withDefaults()
	a := auditor{log: o.Log, balance: o.Balance, retiredBefore: o.Clock.Now().Add(-cfg.Retention)}
	a.facts = func(ctx context.Context) (auditFacts, error) { return storedFacts(ctx, o.Dir, o.Log.Shards()) }
	defer func() {
		for _, b := range a.shards {
			err = errors.Join(err, b.close())
		}
	}()
	for shard := range o.Log.Shards() {
		if _, err := os.Stat(openBetsPath(o.Dir, shard)); err != nil {
			return AuditReport{}, fmt.Errorf("audit sportsbook: %w", err)
		}
		db, err := sqldb.Open(openBetsPath(o.Dir, shard), sqldb.Options{ReadOnly: true, Readers: 1})
		if err != nil {
			return AuditReport{}, fmt.Errorf("audit sportsbook: %w", err)
		}
		a.shards = append(a.shards, &openBets{shard: shard, db: db})
	}
	a.caughtUp = func(ctx context.Context, shard int) error {
		position, err := a.shards[shard].position(ctx)
		if head := o.Log.Head(shard); err == nil && position < head {
			return errs.New(errs.CodeUnavailable, "open bets of shard %d are at %d, the log at %d", shard, position, head)
		}
		return err
	}
	return a.run(ctx)
}

// auditFacts are the decisions as they are at one moment.
type auditFacts struct {
	fact func(marketID string) (marketFact, bool)

	// passed holds per event and shard the sequence up to which bets must have been settled by what
	// was decided of the event: 0 while a pass is under way.
	passed map[string][]int64
}

// auditFacts returns what the running service knows.
func (s *Service) auditFacts(ctx context.Context) (auditFacts, error) {
	decisions, err := s.decisions(ctx)
	if err != nil {
		return auditFacts{}, err
	}
	t := s.settler
	known := map[string]map[int]*pass{}
	t.mu.Lock()
	for settlementID, passes := range t.passes {
		known[settlementID] = map[int]*pass{}
		for shard, p := range passes {
			row := *p
			known[settlementID][shard] = &row
		}
	}
	t.mu.Unlock()
	return auditFacts{fact: s.marketFact, passed: passedUpTo(decisions, known, len(t.shards))}, nil
}

// storedFacts reads the same from the files.
func storedFacts(ctx context.Context, dir string, shards int) (_ auditFacts, err error) {
	db, err := sqldb.Open(settlementPath(dir), sqldb.Options{ReadOnly: true, Readers: 1})
	if err != nil {
		return auditFacts{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	known, err := loadPasses(ctx, db)
	if err != nil {
		return auditFacts{}, err
	}
	offer, err := readCatalogue(ctx, dir)
	if err != nil {
		return auditFacts{}, err
	}
	defer func() { err = errors.Join(err, offer.close()) }()
	decisions, err := offer.store.decisions(ctx, "")
	if err != nil {
		return auditFacts{}, err
	}
	return auditFacts{fact: offer.marketFact, passed: passedUpTo(decisions, known, shards)}, nil
}

// passedUpTo returns auditFacts.passed: the head of the last decision's pass, if all are done.
func passedUpTo(decisions []Decision, known map[string]map[int]*pass, shards int) map[string][]int64 {
	passed := map[string][]int64{}
	for _, d := range decisions { // oldest first
		heads, ok := passed[d.EventID]
		if !ok {
			heads = make([]int64, shards)
			passed[d.EventID] = heads
		}
		for shard := range heads {
			p := known[d.SettlementID][shard]
			switch {
			case p == nil || p.doneUS == 0:
				heads[shard] = -1
			case heads[shard] >= 0:
				heads[shard] = p.head
			}
		}
	}
	return passed
}

// isWaiting reports whether a bet may not be settled yet as graded: a decision of one of its events
// is being settled, or it came after that had been done and is being settled by itself.
func (f auditFacts) isWaiting(j *judge, shard int, b *bet) bool {
	legs, err := j.parser.parse(b.legs)
	if err != nil {
		return false
	}
	for _, l := range legs {
		if heads, ok := f.passed[l.eventID]; ok && heads[shard] < b.seq {
			return true
		}
	}
	return false
}

// Bounds of an audit.
const (
	auditChunk    = 2000
	auditRecords  = 4096
	auditSuspects = 1000 // bets that are looked at again before they become a finding
	auditTries    = 20
	auditPause    = 250 * time.Millisecond
)

// auditor is one run of an audit.
type auditor struct {
	facts         func(ctx context.Context) (auditFacts, error) // as they are now
	log           stream.Log
	balance       func(ctx context.Context, a ledger.Address) (ledger.Balance, error)
	caughtUp      func(ctx context.Context, shard int) error // unavailable while the projection is behind
	shards        []*openBets
	retiredBefore time.Time
	report        AuditReport
}

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
		if f, err := checkRecord(r, row); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
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
		if !pause(ctx, auditPause) {
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
		if !pause(ctx, auditPause) {
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
func (a *auditor) openStakes(ctx context.Context) (map[id.Jurisdiction]int64, error) {
	sums := map[id.Jurisdiction]int64{}
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
