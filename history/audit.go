package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
	"matchday/ledger"
	"matchday/stream"
)

// AuditOptions say what to audit. The files may be in use meanwhile.
type AuditOptions struct {
	Dir      string
	Shards   int              // 0 takes it from the log
	Log      stream.Log       // the ledger's
	Clusters []ledger.Cluster // as in Config
	Zone     Zone             // as in Deps
}

// AuditReport is what was found equal.
type AuditReport struct{ Shards []ShardAudit }

// ShardAudit is the part of one shard.
type ShardAudit struct {
	Shard    int
	Position int64 // the history was compared with the log up to here
	Head     int64 // where the log ended when the audit began
	Bets     int64
	Open     int64
}

const (
	auditPass = 2_000_000 // bets held in memory at a time
	auditRead = 5_000     // records read from the log at a time
)

// Audit compares each shard's files with the log, up to the position that the history says it has:
// every bet that was placed is there, once, as its records say, and nothing else is. The log is read
// record by record and not through the projection's code. A shard without a file has nothing to
// compare, since it would be rebuilt. A bet that is over by the history's own mark may be there or not: it is
// not shown. One that was never settled is to be there, however old it is.
//
// Errors: the first difference, naming bet and sequence.
func Audit(ctx context.Context, o AuditOptions) (AuditReport, error) {
	var report AuditReport
	if o.Log == nil || o.Dir == "" {
		return report, errors.New("audit history: a folder and a log are required")
	}
	if o.Shards == 0 {
		o.Shards = o.Log.Shards()
	}
	clusters, err := openFleet(ctx, o.Clusters, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Reading: true})
	if err != nil {
		return report, fmt.Errorf("audit history: %w", err)
	}
	defer func() { _ = clusters.close() }()
	for n := range o.Shards {
		a, err := auditShard(ctx, o, clusters, n)
		if err != nil {
			return report, fmt.Errorf("audit history shard %d: %w", n, err)
		}
		report.Shards = append(report.Shards, a)
	}
	return report, nil
}

// auditShard audits one database, in one snapshot.
func auditShard(ctx context.Context, o AuditOptions, clusters fleet, number int) (a ShardAudit, err error) {
	a = ShardAudit{Shard: number, Head: o.Log.Head(number)}
	at, err := o.openSnapshot(ctx, clusters, number)
	if err != nil || at == nil {
		return a, err
	}
	defer func() { err = errors.Join(err, at.close()) }()
	if at.floors, err = readFloors(ctx, at.on); err != nil {
		return a, err
	}
	const q = `
		SELECT (SELECT COUNT(*) FROM bet),
		       (SELECT COUNT(*) FROM bet WHERE status = 1)`
	if err := at.on.QueryRowContext(ctx, q).Scan(&a.Bets, &a.Open); err != nil {
		return a, sqldb.Wrap("count bets", err)
	}
	a.Position = slices.Min(at.positions)
	if head := o.Log.Head(number); slices.Max(at.positions) > head {
		return a, fmt.Errorf("history at %d, log at %d: %w", slices.Max(at.positions), head, stream.ErrAhead)
	}
	passes := uint64(a.Bets/auditPass + 1)
	for pass := range passes {
		p := auditor{seed: maphash.MakeSeed(), pass: pass, passes: passes, want: make(map[uint64]auditBet), at: at}
		if err := p.read(ctx, o.Log, number); err != nil {
			return a, err
		}
		if err := p.compare(ctx); err != nil {
			return a, err
		}
	}
	return a, auditDigests(ctx, at, newDigests(o.Zone, at.keeper()))
}

// auditBet is what the log says of a bet, in little memory.
type auditBet struct {
	seq        int64  // of the placement
	slip       uint64 // hash of what never changes
	settlement uint64 // hash of the settlement with the highest version
	version    int
	bucket     int // of the player

	settled int    // how many settlements it showed
	wasOpen bool   // one of them left it open
	changes uint64 // sum of the hashes of all of them
}

// kept returns what bet_change should have of the bet, as the sum of the hashes of its rows.
func (b *auditBet) kept() uint64 {
	if b.settled > 1 || b.wasOpen || b.version > 1 {
		return b.changes
	}
	return 0
}

// auditor compares the bets of one pass: a part of them by hash, so that memory is bounded.
type auditor struct {
	seed   maphash.Seed
	pass   uint64
	passes uint64
	want   map[uint64]auditBet
	at     *snapshot
	kept   map[betKey]uint64 // of each bet with rows in bet_change: the sum of their hashes

	bucketOf func(id.Player) int // nil: the log has no buckets
}

// key returns the map's key of a bet, and whether it belongs to this pass. The passes are divided by
// the bet's own characters, which no seed changes.
func (p *auditor) key(player, bet, jurisdiction string) (uint64, bool) {
	var sum uint64
	for _, c := range []byte(bet) {
		sum = sum*31 + uint64(c)
	}
	return maphash.Comparable(p.seed, [3]string{player, bet, jurisdiction}), sum%p.passes == p.pass
}

// slipFacts are what never changes of a bet.
type slipFacts struct {
	product, currency          string
	placedUS, stake, potential int64
	legs                       string
}

// settlementFacts are what a settlement sets.
type settlementFacts struct {
	outcome           string
	version           int
	settledUS, payout int64
	legs              string
}

// read gathers what the log says, of each player up to the position of their writer.
func (p *auditor) read(ctx context.Context, log stream.Log, shard int) error {
	position := slices.Max(p.at.positions)
	for at := int64(0); at < position; {
		batches, err := log.ReadLog(ctx, shard, at, auditRead)
		if err != nil {
			return fmt.Errorf("read log after %d: %w", at, err)
		}
		if len(batches) == 0 {
			return fmt.Errorf("the log ends at %d: %w", at, stream.ErrAhead)
		}
		at = batches[len(batches)-1].Last
		for i := range batches {
			batches[i].Records = slices.DeleteFunc(slices.Clone(batches[i].Records), func(r stream.Record) bool {
				return r.Position.Seq > position || !r.IsMove() && r.Position.Seq > p.at.position(r.Player)
			})
		}
		if err := p.moves(ctx, log, shard).Each(batches); err != nil {
			return err
		}
	}
	return nil
}

// moves follows buckets that left the shard or came to it.
func (p *auditor) moves(ctx context.Context, log stream.Log, shard int) *stream.Moves {
	note := func(list []stream.Record) error {
		for i := range list {
			if err := p.note(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}
	buckets, ok := log.(stream.BucketLog)
	if ok {
		p.bucketOf = buckets.BucketOf
	}
	return &stream.Moves{
		Records: note,
		Left: func(bucket int) error {
			maps.DeleteFunc(p.want, func(_ uint64, b auditBet) bool { return b.bucket == bucket })
			return nil
		},
		Came: func(bucket int, seq int64) error {
			if !ok {
				return errs.New(errs.CodeInternal, "the log cannot list the records of bucket %d", bucket)
			}
			return buckets.BucketRecords(ctx, shard, bucket, seq, note)
		},
	}
}

// bucket returns the bucket of the record's player; -1 if the log has no buckets.
func (p *auditor) bucket(r *stream.Record) int {
	if p.bucketOf == nil {
		return -1
	}
	return p.bucketOf(r.Player)
}

// note takes one record into account.
func (p *auditor) note(r *stream.Record) error {
	key, mine := p.key(string(r.Player), r.Subject, string(r.Jurisdiction))
	if !mine {
		return nil
	}
	switch r.Type {
	case stream.TypeBetPlaced:
		var b struct {
			stream.BetPlaced
			Legs json.RawMessage `json:"legs"`
		}
		if err := json.Unmarshal(r.Data, &b); err != nil {
			return broken(r, "payload: %v", err)
		}
		none := settlementFacts{outcome: string(StatusOpen)}
		p.want[key] = auditBet{seq: r.Position.Seq, bucket: p.bucket(r), settlement: maphash.Comparable(p.seed, none),
			slip: maphash.Comparable(p.seed, slipFacts{b.Product, b.Currency, r.Time.UnixMicro(), b.StakeMinor, b.PotentialPayoutMinor, string(b.Legs)})}
	case stream.TypeBetSettled:
		var b stream.BetSettled
		if err := json.Unmarshal(r.Data, &b); err != nil {
			return broken(r, "payload: %v", err)
		}
		bet, ok := p.want[key]
		if p.at.isOver(b.Jurisdiction, b.BetID) && (!ok || b.Outcome != "") {
			delete(p.want, key)
			return nil
		}
		if !ok {
			return broken(r, "bet %s was never placed", b.BetID)
		}
		if b.Version <= bet.version {
			return nil
		}
		facts := settlementFacts{b.Outcome, b.Version, r.Time.UnixMicro(), b.PayoutMinor, fmt.Sprint(b.LegOutcomes)}
		if b.Outcome == "" {
			facts.outcome, facts.settledUS = string(StatusOpen), 0
		}
		bet.version, bet.settlement = b.Version, maphash.Comparable(p.seed, facts)
		bet.settled++
		bet.wasOpen = bet.wasOpen || b.Outcome == ""
		bet.changes += maphash.Comparable(p.seed, changeFacts{facts.outcome, b.Version, r.Position.Seq, r.Time.UnixMicro(), b.PayoutMinor, facts.legs})
		p.want[key] = bet
	}
	return nil
}

// compare reads every bet of the file and takes it off the list.
func (p *auditor) compare(ctx context.Context) error {
	const q = `
		SELECT b.player_id, b.bet_id, b.jurisdiction, b.slip_seq, b.status, b.version, b.settled_us, b.payout_minor, b.outcomes,
		       s.product, s.currency, s.placed_us, s.stake_minor, s.potential_minor, s.legs
		FROM bet AS b
		LEFT JOIN slip AS s ON s.seq = b.slip_seq AND s.jurisdiction = b.jurisdiction`
	const order = `
		ORDER BY b.player_id, b.bet_id`
	if err := p.readKept(ctx); err != nil {
		return err
	}
	rows, err := p.at.on.QueryContext(ctx, q+p.at.sameBet+order)
	if err != nil {
		return sqldb.Wrap("read bets", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := p.row(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return sqldb.Wrap("read bets", err)
	}
	first := int64(0)
	for _, bet := range p.want {
		if first == 0 || bet.seq < first {
			first = bet.seq
		}
	}
	if first > 0 {
		return errs.New(errs.CodeInternal, "the bet placed at sequence %d is missing, with %d others", first, len(p.want)-1)
	}
	for k := range p.kept {
		return errs.New(errs.CodeInternal, "settlements of bet %s of %s are kept, and the bet is not there", k.bet, k.player)
	}
	return nil
}

// row checks one bet.
func (p *auditor) row(rows *sql.Rows) error {
	var player, bet, jurisdiction, outcomes string
	var seq int64
	var st state
	var settled settlementFacts
	var product, currency, legs sql.NullString
	var placedUS, stake, potential sql.NullInt64
	err := rows.Scan(&player, &bet, &jurisdiction, &seq, &st, &settled.version, &settled.settledUS, &settled.payout, &outcomes,
		&product, &currency, &placedUS, &stake, &potential, &legs)
	if err != nil {
		return sqldb.Wrap("scan bet", err)
	}
	key, mine := p.key(player, bet, jurisdiction)
	if !mine {
		return nil
	}
	want, ok := p.want[key]
	delete(p.want, key)
	if !ok && p.at.isOver(id.Jurisdiction(jurisdiction), id.Bet(bet)) {
		return nil
	}
	if settled.outcome = string(statuses[st]); settled.version > 0 {
		list := make([]string, len(outcomes))
		for i := range list {
			list[i] = outcome(outcomes[i])
		}
		settled.legs = fmt.Sprint(list)
	}
	slip := slipFacts{product.String, currency.String, placedUS.Int64, stake.Int64, potential.Int64, legs.String}
	switch {
	case !ok || want.seq != seq:
		return errs.New(errs.CodeInternal, "bet %s of %s was never placed at sequence %d", bet, player, seq)
	case maphash.Comparable(p.seed, slip) != want.slip:
		return errs.New(errs.CodeInternal, "bet %s of %s differs from its placement at sequence %d", bet, player, seq)
	case settled.version != want.version || maphash.Comparable(p.seed, settled) != want.settlement:
		return errs.New(errs.CodeInternal, "bet %s of %s shows settlement %d as %s, payout %d; the log's is %d and differs",
			bet, player, settled.version, settled.outcome, settled.payout, want.version)
	}
	k := betKey{id.Player(player), id.Bet(bet)}
	if kept := p.kept[k]; kept != want.kept() && (kept != 0 || !p.at.isOver(id.Jurisdiction(jurisdiction), k.bet)) {
		return errs.New(errs.CodeInternal, "bet %s of %s: the settlements kept beside it are not the log's %d", bet, player, want.settled)
	}
	delete(p.kept, k)
	return nil
}
