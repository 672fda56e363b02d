package sportsbook

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	Patience  time.Duration // how long bets that are just being settled may take; 0 is 5 s
	// Jurisdictions are compared with the ledger's escrow even where no bet of theirs is left.
	Jurisdictions []id.Jurisdiction
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
		retiredBefore: s.deps.Clock.Now().Add(-s.settler.cfg.Retention), patience: auditPatience,
		caughtUp: func(ctx context.Context, shard int) error {
			return s.settler.shards[shard].sink.WaitFor(ctx, s.deps.Ledger.Head(shard))
		},
	}
	for _, j := range s.deps.Jurisdictions.List() {
		a.jurisdictions = append(a.jurisdictions, j.Code)
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
	cfg := SettlementConfig{Retention: o.Retention}.WithDefaults()
	a := auditor{log: o.Log, balance: o.Balance, retiredBefore: o.Clock.Now().Add(-cfg.Retention), patience: o.Patience,
		jurisdictions: o.Jurisdictions}
	if a.patience == 0 {
		a.patience = auditPatience
	}
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
	auditPatience = 5 * time.Second // over all tries
)

// auditor is one run of an audit.
type auditor struct {
	facts         func(ctx context.Context) (auditFacts, error) // as they are now
	log           stream.Log
	balance       func(ctx context.Context, a ledger.Address) (ledger.Balance, error)
	caughtUp      func(ctx context.Context, shard int) error // unavailable while the projection is behind
	shards        []*openBets
	jurisdictions []id.Jurisdiction // whose escrow is compared, besides those of the bets
	retiredBefore time.Time
	patience      time.Duration
	report        AuditReport
}
