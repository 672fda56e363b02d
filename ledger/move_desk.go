package ledger

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
)

// MoveDesk is where moves of buckets are asked for: a directory, and who is told that there is something
// new in it. The process that writes a move's source does it.
type MoveDesk struct {
	directory *directory
	shards    int
	clock     clock.Clock
	ids       *id.Source
	raise     func()
	fleet     *fleet // of a desk of its own
}

// desk is the desk of a process that writes.
func (s *Service) desk() *MoveDesk {
	return &MoveDesk{
		directory: s.directory, shards: len(s.shards),
		clock: s.clock, ids: s.ids, raise: s.asked.raise,
	}
}

// OpenMoveDesk opens the directory of books that another process may be running on. That process sees
// what is asked for here within two seconds; without one, it is done when the next is started.
//
// It needs the directory and no shard: with a cluster down that does not keep the directory, moves are shown, asked
// for and stopped all the same.
//
// Errors: not_found for books that have no directory yet: start a process on them once; unavailable if the cluster
// that keeps the directory does not answer.
func OpenMoveDesk(ctx context.Context, c Config, clk clock.Clock) (*MoveDesk, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f, err := openFleet(ctx, c.directoryClusters(), mysqldb.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	d, err := openDirectoryAsIs(ctx, c, f, clk)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return &MoveDesk{
		directory: d, shards: c.shards(),
		clock: clk, ids: id.NewSource(clk.Now), raise: func() {}, fleet: f,
	}, nil
}

// Close gives up what OpenMoveDesk opened.
func (d *MoveDesk) Close() error { return errors.Join(d.directory.close(), d.fleet.close()) }

// Start is [Service.StartMove].
func (d *MoveDesk) Start(ctx context.Context, r MoveRequest) (Move, error) {
	if err := r.validate(d.shards); err != nil {
		return Move{}, err
	}
	list := slices.Clone(r.Buckets)
	slices.Sort(list)
	list = slices.Compact(list)
	home, err := d.directory.placement(ctx, 0)
	if err != nil {
		return Move{}, err
	}
	for _, b := range list {
		if at := int(home.shards[b]); at != r.From {
			return Move{}, errs.New(errs.CodeConflict, "bucket %d lives on shard %d, not %d", b, at, r.From)
		}
	}
	m := Move{
		Buckets: list, From: r.From, To: r.To, Rate: r.Rate, By: r.By,
		Step: MoveCopying, CreatedAt: d.clock.Now().UTC().Truncate(time.Microsecond),
	}
	m.UpdatedAt = m.CreatedAt
	if err := d.directory.addMove(ctx, &m, d.ids); err != nil {
		return Move{}, err
	}
	d.raise()
	if open, err := d.directory.openMoves(ctx, MaxMoves); err == nil { // otherwise the list of moves tells
		m.WaitsFor = turns(open)[m.ID]
	}
	return m, nil
}

// validate checks what needs no state.
func (r *MoveRequest) validate(shards int) error {
	var check errs.Check
	if len(r.Buckets) == 0 {
		check.Add("buckets", "must not be empty")
	}
	for _, b := range r.Buckets {
		if b < 0 || b >= buckets {
			check.Add("buckets", "must be 0 to %d", buckets-1)
			break
		}
	}
	if r.From < 0 || r.From >= shards {
		check.Add("from", "must be 0 to %d", shards-1)
	}
	if r.To < 0 || r.To >= shards || r.To == r.From {
		check.Add("to", "must be 0 to %d and not the source", shards-1)
	}
	if r.Rate < 0 || r.Rate > MaxMoveRate {
		check.Add("rate", "must be 0 to %d", MaxMoveRate)
	}
	return check.Err()
}

// MaxMoves bounds what [Service.Moves] returns.
const MaxMoves = 1000

// Moves is [Service.Moves].
func (d *MoveDesk) Moves(ctx context.Context, before string, limit int) ([]Move, error) {
	limit = min(limit, MaxMoves)
	if before == "" {
		list, err := d.directory.moves(ctx, limit)
		return d.withTurns(ctx, list, err)
	}
	last, err := d.directory.move(ctx, before)
	if err != nil {
		return nil, err
	}
	list, err := d.directory.movesBefore(ctx, &last, limit)
	return d.withTurns(ctx, list, err)
}

// withTurns says of each of the moves which one it waits for.
func (d *MoveDesk) withTurns(ctx context.Context, list []Move, err error) ([]Move, error) {
	if err != nil || !slices.ContainsFunc(list, func(m Move) bool { return !m.over() }) {
		return list, err
	}
	open, err := d.directory.openMoves(ctx, MaxMoves)
	if err != nil {
		return nil, err
	}
	waits := turns(open)
	for i := range list {
		list[i].WaitsFor = waits[list[i].ID]
	}
	return list, nil
}

// Find is [Service.FindMove].
func (d *MoveDesk) Find(ctx context.Context, moveID string) (Move, error) {
	m, err := d.directory.move(ctx, moveID)
	list, err := d.withTurns(ctx, []Move{m}, err)
	if err != nil {
		return Move{}, err
	}
	return list[0], nil
}

// Abort is [Service.AbortMove].
func (d *MoveDesk) Abort(ctx context.Context, moveID string) (Move, error) {
	for {
		m, err := d.directory.move(ctx, moveID)
		if err != nil || m.Step == MoveAborting {
			return m, err
		}
		if m.over() {
			return m, errs.New(errs.CodeConflict, "move %s is %s", m.ID, m.Step)
		}
		m.Step = MoveAborting
		if err = d.directory.saveMove(ctx, &m); err == nil {
			d.raise()
			return m, nil
		}
		if !errs.Is(err, errs.CodeConflict) { // a conflict: its mover has just noted progress
			return m, err
		}
	}
}

// Rebalance is [Service.Rebalance].
func (d *MoveDesk) Rebalance(ctx context.Context) ([]MoveRequest, error) {
	home, err := d.directory.placement(ctx, 0)
	if err != nil {
		return nil, err
	}
	return planEven(&home.shards, d.shards), nil
}
