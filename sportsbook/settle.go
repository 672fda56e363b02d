package sportsbook

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// SettlementConfig bounds settlement. The zero value of every field is a safe default.
type SettlementConfig struct {
	// ReadBets is how many bets of a market are read at once, per shard, to be settled player by player. They
	// are in memory meanwhile, some 450 bytes each; more of them are fewer pages of history and postings to
	// write, and more of what is ordered by time. 0 is 20,000.
	ReadBets int `yaml:"read_bets"`
	// ChunkBets is how many of them are graded at a time. 0 is 1,000.
	ChunkBets int `yaml:"chunk_bets"`
	// MessageBets is how many payout commands travel in one message. 0 is 500.
	MessageBets int `yaml:"message_bets"`
	// WindowBets bounds, per shard, the bets that were sent to the payer and that the log does not
	// show yet. 0 is 20,000.
	WindowBets int `yaml:"window_bets"`
	// RedriveAfter is how long nothing may arrive in the log before bets are sent again. 0 is 10 s:
	// commands are lost only with their stream, and sending them again under load adds to it.
	RedriveAfter time.Duration `yaml:"redrive_after"`
	// Retention is how long settled bets can be graded again. 0 is 35 days.
	Retention time.Duration `yaml:"retention"`
}

// Validate reports what is out of range.
func (c SettlementConfig) Validate() error {
	var check errs.Check
	if c.ReadBets < 0 || c.ReadBets > 1_000_000 {
		check.Add("settlement.read_bets", "want 0 to 1,000,000")
	}
	if c.ChunkBets < 0 || c.ChunkBets > 100_000 {
		check.Add("settlement.chunk_bets", "want 0 to 100,000")
	}
	if c.MessageBets < 0 || c.MessageBets > maxPayoutCommands {
		check.Add("settlement.message_bets", "want 0 to %d", maxPayoutCommands)
	}
	if c.WindowBets < 0 || c.WindowBets > 1_000_000 {
		check.Add("settlement.window_bets", "want 0 to 1,000,000")
	}
	if c.RedriveAfter < 0 || c.Retention < 0 {
		check.Add("settlement", "durations are not negative")
	}
	return check.Err()
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c SettlementConfig) WithDefaults() SettlementConfig {
	orDefault := func(n *int, otherwise int) {
		if *n == 0 {
			*n = otherwise
		}
	}
	orDefault(&c.ReadBets, 20_000)
	orDefault(&c.ChunkBets, 1000)
	orDefault(&c.MessageBets, 500)
	orDefault(&c.WindowBets, 20_000)
	if c.RedriveAfter == 0 {
		c.RedriveAfter = 10 * time.Second
	}
	if c.Retention == 0 {
		c.Retention = 35 * 24 * time.Hour
	}
	return c
}

//go:embed migrations_settlement/migrations/*.sql
var settlementMigrations embed.FS

// offerFacts is what settlement asks of the offer.
type offerFacts interface {
	marketFact(marketID string) (marketFact, bool)
	eventMarkets(eventID string) []marketFact
	decisions(ctx context.Context) ([]Decision, error)
	marketsSettled(ctx context.Context, eventID string, version int) error
	markReady()
}

// settler turns decisions into paid bets. For each decision every shard makes a pass: it waits until
// its projection of open bets shows the log as it was when the market had closed, grades the bets of
// the event, sends payout commands, and is done when the log shows every one of them.
//
// Nothing here needs to be kept to be right: what a bet should be settled to follows from the
// decisions, what it was settled to from the log, and a command says how to get from one to the
// other. A pass that is made twice finds nothing to do.
type settler struct {
	offer    offerFacts
	exposure *exposure
	ledger   Ledger
	clock    clock.Clock
	log      *slog.Logger
	cfg      SettlementConfig
	metrics  *settleMetrics
	ids      *id.Source
	db       *sqldb.DB
	commands *stream.Commands
	payer    *payer
	shards   []*shardSettler

	mu     sync.Mutex
	passes map[string][]*pass // by settlement id; one a shard
	order  []string           // settlement ids, oldest first
}

// newSettler opens the databases of settlement, when the catalogue is loaded.
func newSettler(ctx context.Context, s *Service) (_ *settler, err error) {
	t := &settler{
		offer: s, exposure: s.exposure, ledger: s.deps.Ledger, clock: s.deps.Clock, log: s.deps.Log,
		cfg: s.cfg.Settlement.WithDefaults(), ids: id.NewSource(s.deps.Clock.Now), passes: map[string][]*pass{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open settlement: %w", err), t.close())
		}
	}()
	if t.metrics, err = newSettleMetrics(s.deps.Metrics); err != nil {
		return nil, err
	}
	t.payer = &payer{ledger: t.ledger, log: t.log, metrics: t.metrics, refused: t.refused}
	deps := stream.Deps{Clock: s.deps.Clock, Log: s.deps.Log, Metrics: s.deps.Metrics}
	if t.commands, err = stream.NewCommands(s.deps.Transport, payoutQueue, deps); err != nil {
		return nil, err
	}
	if t.db, err = sqldb.Open(settlementPath(s.cfg.Dir), sqldb.Options{Readers: 1}); err != nil {
		return nil, err
	}
	files, err := fs.Sub(settlementMigrations, "migrations_settlement")
	if err != nil {
		return nil, err
	}
	if err := t.db.Migrate(ctx, files, t.clock.Now()); err != nil {
		return nil, err
	}
	for n := range t.ledger.Shards() {
		w, err := newShardSettler(ctx, t, s.cfg.Dir, n, s.deps.Transport, deps)
		if err != nil {
			return nil, err
		}
		t.shards = append(t.shards, w)
	}
	return t, t.load(ctx)
}

// settlementPath is where the passes are kept.
func settlementPath(dir string) string { return filepath.Join(dir, "settlement.db") }

// load queues the passes of every decision that are not done.
func (t *settler) load(ctx context.Context) error {
	known, err := loadPasses(ctx, t.db)
	if err != nil {
		return err
	}
	decisions, err := t.offer.decisions(ctx)
	if err != nil {
		return err
	}
	for _, d := range decisions {
		t.add(d, known[d.SettlementID])
	}
	return nil
}

// close closes the databases. It may be called twice.
func (t *settler) close() error {
	var err error
	for _, w := range t.shards {
		err = errors.Join(err, w.bets.close())
	}
	if t.db != nil {
		err = errors.Join(err, t.db.Close())
	}
	return err
}

// decided takes note of a decision. It does not block; a decision it already has changes nothing.
func (t *settler) decided(d Decision) { t.add(d, nil) }

// add queues the passes of a decision, except those that known says are done.
func (t *settler) add(d Decision, known map[int]*pass) {
	t.mu.Lock()
	if _, ok := t.passes[d.SettlementID]; ok {
		t.mu.Unlock()
		return
	}
	passes := make([]*pass, len(t.shards))
	for n := range passes {
		passes[n] = known[n]
		if passes[n] == nil {
			passes[n] = &pass{}
		}
		passes[n].Decision, passes[n].shard = d, n
	}
	t.passes[d.SettlementID] = passes
	t.order = append(t.order, d.SettlementID)
	t.mu.Unlock()
	for n, p := range passes {
		if p.doneUS == 0 {
			t.shards[n].enqueue(p)
		}
	}
}

// run settles until ctx is done. First the projections catch up with the ledger, so that every open
// bet is counted in the exposure before the first new one is accepted; payouts begin after that.
func (t *settler) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range t.shards {
		g.Go(func() error { return w.sink.Run(ctx) })
	}
	g.Go(func() error {
		if err := errors.Join(t.restore(ctx), t.showSettled(ctx)); err != nil {
			return ifRunning(ctx, err)
		}
		t.offer.markReady()
		for _, w := range t.shards {
			g.Go(func() error { return ifRunning(ctx, t.commands.Run(ctx, w.shard, t.payer.handle)) })
			g.Go(func() error { return ifRunning(ctx, w.run(ctx)) })
			g.Go(func() error { return ifRunning(ctx, w.retire(ctx)) })
		}
		return nil
	})
	return g.Wait()
}

// ifRunning returns err unless ctx is done: then whatever it is came from stopping.
func ifRunning(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// restore counts every open bet in the exposure. No settlement can be committed meanwhile, because
// the payers do not run yet.
func (t *settler) restore(ctx context.Context) error {
	for _, w := range t.shards {
		head := t.ledger.Head(w.shard)
		if err := w.sink.WaitFor(ctx, head); err != nil {
			return fmt.Errorf("wait for open bets of shard %d: %w", w.shard, err)
		}
		if err := w.restore(ctx, head); err != nil {
			return fmt.Errorf("restore exposure of shard %d: %w", w.shard, err)
		}
	}
	return nil
}

// showSettled tells the offer of settlements that were done when the process stopped before it could
// say so.
func (t *settler) showSettled(ctx context.Context) error {
	t.mu.Lock()
	var done []SettlementProgress
	for _, passes := range t.passes {
		if p := progress(passes); !p.DoneAt.IsZero() {
			done = append(done, p)
		}
	}
	t.mu.Unlock()
	for _, p := range done {
		closed := slices.ContainsFunc(t.offer.eventMarkets(p.EventID), func(f marketFact) bool { return f.Status == MarketClosed })
		if !closed {
			continue
		}
		if err := t.offer.marketsSettled(ctx, p.EventID, p.Version); err != nil {
			return fmt.Errorf("show settlement %s: %w", p.SettlementID, err)
		}
	}
	return nil
}

// SettlementProgress is how far the settlement of one decision has come, over all shards.
type SettlementProgress struct {
	SettlementID string
	EventID      string
	Version      int // of the decision
	Kind         DecisionKind
	MarketID     string // only of a void
	Bets         int64  // with a leg in the decided markets, as far as they have been read
	Settled      int64  // of them, seen settled in the log; the rest waits for other legs, or is on its way
	Paid         int64  // of the settled, those that pay something
	StartedAt    time.Time
	DoneAt       time.Time // zero while it runs
}

// maxSettlements bounds what Settlements returns.
const maxSettlements = 500

// Settlements lists the settlements, newest first, at most 500.
func (s *Service) Settlements(ctx context.Context) ([]SettlementProgress, error) {
	t := s.settler
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]SettlementProgress, 0, min(len(t.order), maxSettlements))
	for i := len(t.order) - 1; i >= 0 && len(all) < maxSettlements; i-- {
		all = append(all, progress(t.passes[t.order[i]]))
	}
	return all, ctx.Err()
}

// progress adds up the passes of one decision.
func progress(passes []*pass) SettlementProgress {
	d := passes[0].Decision
	sum := SettlementProgress{
		SettlementID: d.SettlementID, EventID: d.EventID, Version: d.Version, Kind: d.Kind, MarketID: d.MarketID,
		StartedAt: d.EnteredAt,
	}
	done := true
	for _, p := range passes {
		sum.Bets += p.bets
		sum.Settled += p.settled
		sum.Paid += p.paid
		done = done && p.doneUS != 0
		if at := time.UnixMicro(p.doneUS).UTC(); p.doneUS != 0 && at.After(sum.DoneAt) {
			sum.DoneAt = at
		}
	}
	if !done {
		sum.DoneAt = time.Time{}
	}
	return sum
}

// loadPasses returns what is stored of the passes, by settlement id and shard.
func loadPasses(ctx context.Context, db *sqldb.DB) (map[string]map[int]*pass, error) {
	const q = `
		SELECT settlement_id, shard, head_seq, bets, settled, paid, started_us, COALESCE(done_us, 0)
		FROM settlement_pass`
	rows, err := db.Read.QueryContext(ctx, q)
	if err != nil {
		return nil, sqldb.Wrap("load settlement passes", err)
	}
	defer func() { _ = rows.Close() }() // the error is in rows.Err
	known := map[string]map[int]*pass{}
	for rows.Next() {
		var settlement string
		p := &pass{}
		if err := rows.Scan(&settlement, &p.shard, &p.head, &p.bets, &p.settled, &p.paid, &p.startedUS, &p.doneUS); err != nil {
			return nil, sqldb.Wrap("load settlement passes", err)
		}
		if known[settlement] == nil {
			known[settlement] = map[int]*pass{}
		}
		known[settlement][p.shard] = p
	}
	return known, sqldb.Wrap("load settlement passes", rows.Err())
}

// storePass writes a pass as it stands; doneUS is 0 while it runs.
func (t *settler) storePass(ctx context.Context, p *pass, doneUS int64) error {
	t.mu.Lock()
	row := *p
	t.mu.Unlock()
	const q = `
		INSERT INTO settlement_pass (settlement_id, shard, event_id, version, head_seq, bets, settled, paid, started_us, done_us)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (settlement_id, shard) DO UPDATE SET
			head_seq = excluded.head_seq,
			bets = excluded.bets,
			settled = excluded.settled,
			paid = excluded.paid,
			started_us = excluded.started_us,
			done_us = excluded.done_us`
	done := sql.NullInt64{Int64: doneUS, Valid: doneUS != 0}
	_, err := t.db.Write.ExecContext(ctx, q, row.SettlementID, row.shard, row.EventID, row.Version, row.head,
		row.bets, row.settled, row.paid, row.startedUS, done)
	return sqldb.Wrap("store settlement pass", err)
}

// finish notes that a pass is done, durably first, and tells the offer when it was the last of its
// decision.
func (t *settler) finish(ctx context.Context, p *pass) error {
	now := t.clock.Now()
	if err := t.storePass(ctx, p, now.UnixMicro()); err != nil {
		return err
	}
	t.metrics.passDone(now.Sub(time.UnixMicro(p.startedUS)))
	t.mu.Lock()
	p.doneUS = now.UnixMicro()
	sum := progress(t.passes[p.SettlementID])
	t.mu.Unlock()
	if sum.DoneAt.IsZero() {
		return nil
	}
	t.log.InfoContext(ctx, "settlement done", "event_id", sum.EventID, "version", sum.Version, "settlement_id", sum.SettlementID,
		"bets", sum.Bets, "settled", sum.Settled, "paid", sum.Paid, "took", now.Sub(sum.StartedAt))
	return t.offer.marketsSettled(ctx, p.EventID, p.Version)
}
