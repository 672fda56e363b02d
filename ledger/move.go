package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
)

// Steps of a move.
const (
	MoveCopying   = "copying"   // the log of the source is being copied and followed
	MoveSwitching = "switching" // buckets change sides, one after the other
	MoveDone      = "done"
	MoveAborting  = "aborting" // asked to stop
	MoveAborted   = "aborted"  // stopped: buckets that had not changed sides stay where they were
)

// Move is a set of buckets on its way from one shard to another, and how far it has come.
type Move struct {
	ID        string
	Buckets   []int
	From, To  int
	Rate      int // most transfers copied in a second; 0 is no limit
	By        string
	Step      string
	Problem   string // what holds it up; tried again
	CreatedAt time.Time
	UpdatedAt time.Time

	Copied       int64 // the source's log has been read up to here
	Head         int64 // of Head
	Rows         int64 // transfers copied
	Switched     int   // buckets that have changed sides
	LongestPause time.Duration

	version int64
}

// MoveRequest asks for a move.
type MoveRequest struct {
	Buckets  []int
	From, To int
	Rate     int
	By       string // who asked, for the record
}

// maxMoveRate bounds MoveRequest.Rate.
const maxMoveRate = 10_000_000

// StartMove begins to move buckets to another shard. The shards' owner does it in the background;
// [Service.Moves] tells how far it is. It survives restarts.
//
// Errors: invalid; conflict if a bucket does not live on From, or is being moved already.
func (s *Service) StartMove(ctx context.Context, r MoveRequest) (Move, error) {
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
	if r.From < 0 || r.From >= len(s.shards) {
		check.Add("from", "must be 0 to %d", len(s.shards)-1)
	}
	if r.To < 0 || r.To >= len(s.shards) || r.To == r.From {
		check.Add("to", "must be 0 to %d and not the source", len(s.shards)-1)
	}
	if r.Rate < 0 || r.Rate > maxMoveRate {
		check.Add("rate", "must be 0 to %d", maxMoveRate)
	}
	if err := check.Err(); err != nil {
		return Move{}, err
	}
	list := slices.Clone(r.Buckets)
	slices.Sort(list)
	list = slices.Compact(list)
	home, err := s.directory.placement(ctx, 0)
	if err != nil {
		return Move{}, err
	}
	for _, b := range list {
		if at := int(home.shards[b]); at != r.From {
			return Move{}, errs.New(errs.CodeConflict, "bucket %d lives on shard %d, not %d", b, at, r.From)
		}
	}
	m := Move{
		ID: s.ids.New("mov"), Buckets: list, From: r.From, To: r.To, Rate: r.Rate, By: r.By,
		Step: MoveCopying, CreatedAt: s.clock.Now().UTC().Truncate(time.Microsecond),
	}
	m.UpdatedAt = m.CreatedAt
	if err := s.directory.addMove(ctx, &m); err != nil {
		return Move{}, err
	}
	s.asked.raise()
	return m, nil
}

// MaxMoves bounds what [Service.Moves] returns.
const MaxMoves = 200

// Moves returns the newest moves, newest first.
func (s *Service) Moves(ctx context.Context) ([]Move, error) {
	return s.directory.moves(ctx, false, MaxMoves)
}

// AbortMove stops a move. Buckets that have changed sides stay there; the others stay where they
// were, served all the time. What was copied of them is kept and counts for nothing: a later move
// goes on from it.
//
// Errors: not_found; conflict if the move is over.
func (s *Service) AbortMove(ctx context.Context, moveID string) (Move, error) {
	for {
		m, err := s.directory.move(ctx, moveID)
		if err != nil || m.Step == MoveAborting {
			return m, err
		}
		if m.over() {
			return m, errs.New(errs.CodeConflict, "move %s is %s", m.ID, m.Step)
		}
		m.Step = MoveAborting
		if err = s.directory.saveMove(ctx, &m); err == nil {
			s.asked.raise()
			return m, nil
		}
		if !errs.Is(err, errs.CodeConflict) { // a conflict: its mover has just noted progress
			return m, err
		}
	}
}

func (m *Move) over() bool { return m.Step == MoveDone || m.Step == MoveAborted }

// Rebalance returns the moves that would spread the buckets evenly over all shards, as few buckets as
// possible changing sides. It starts none.
func (s *Service) Rebalance(ctx context.Context) ([]MoveRequest, error) {
	home, err := s.directory.placement(ctx, 0)
	if err != nil {
		return nil, err
	}
	return planEven(&home.shards, len(s.shards)), nil
}

// planEven takes buckets from shards that have more than their share and gives them to those that
// have less. Shards may differ by one bucket in the end.
func planEven(home *[buckets]uint16, shards int) []MoveRequest {
	have := make([][]int, shards)
	for b, shard := range home {
		if int(shard) < shards {
			have[shard] = append(have[shard], b)
		}
	}
	order := make([]int, shards) // fullest first: they keep what does not divide
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(len(have[y]), len(have[x])) })
	want := make([]int, shards)
	for i, n := range order {
		want[n] = buckets / shards
		if i < buckets%shards {
			want[n]++
		}
	}
	var plan []MoveRequest
	for to := range shards {
		for from := 0; from < shards && len(have[to]) < want[to]; from++ {
			n := min(len(have[from])-want[from], want[to]-len(have[to]))
			if n <= 0 {
				continue
			}
			keep := len(have[from]) - n
			given := slices.Clone(have[from][keep:])
			have[from] = have[from][:keep]
			have[to] = append(have[to], given...)
			plan = append(plan, MoveRequest{Buckets: given, From: from, To: to})
		}
	}
	return plan
}

// ParseBuckets reads a list of buckets and ranges such as 0-99,120.
func ParseBuckets(text string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		low, err := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || low < 0 || high >= buckets || low > high {
			return nil, errs.New(errs.CodeInvalid, "%.40q is not a list of buckets such as 0-99,120, of 0 to %d", text, buckets-1)
		}
		for b := low; b <= high; b++ {
			out = append(out, b)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// FormatBuckets writes a sorted list of buckets as ParseBuckets reads it.
func FormatBuckets(list []int) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		end := i
		for end+1 < len(list) && list[end+1] == list[end]+1 {
			end++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(list[i]))
		if end > i {
			fmt.Fprintf(&b, "-%d", list[end])
		}
		i = end + 1
	}
	return b.String()
}
