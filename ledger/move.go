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
	WaitsFor  string // the move before it that shares a shard with it; "" if its turn has come
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

// MaxMoveRate bounds MoveRequest.Rate.
const MaxMoveRate = 10_000_000

// StartMove begins to move buckets to another shard. The process that writes From does it in the
// background; [Service.Moves] tells how far it is. Moves that share no shard are done at once, those that do one
// after the other, in the order in which they were asked for. A move survives restarts, and if that process
// dies or hangs whoever takes the shard over goes on.
//
// Errors: invalid; conflict if a bucket does not live on From or is being moved already; unavailable if
// this machine's clock is behind that of who began the last move.
func (s *Service) StartMove(ctx context.Context, r MoveRequest) (Move, error) {
	return s.desk().Start(ctx, r)
}

// Moves returns moves, newest first, at most limit of them (MaxMoves at most): the newest, or those before
// the one with the given id.
//
// Errors: not_found if there is no such move.
func (s *Service) Moves(ctx context.Context, before string, limit int) ([]Move, error) {
	return s.desk().Moves(ctx, before, limit)
}

// FindMove returns a move; errs.CodeNotFound if there is none.
func (s *Service) FindMove(ctx context.Context, moveID string) (Move, error) {
	return s.desk().Find(ctx, moveID)
}

// AbortMove stops a move. Buckets that have changed sides stay there; the others stay where they
// were, served all the time. What was copied of them is kept and counts for nothing: a later move
// goes on from it.
//
// Errors: not_found; conflict if the move is over.
func (s *Service) AbortMove(ctx context.Context, moveID string) (Move, error) {
	return s.desk().Abort(ctx, moveID)
}

// Rebalance returns the moves that would spread the buckets evenly over all shards, as few buckets as
// possible changing sides. It starts none.
func (s *Service) Rebalance(ctx context.Context) ([]MoveRequest, error) {
	return s.desk().Rebalance(ctx)
}

// Remaining estimates how long the move will still take: copying by how fast the log was read so far,
// switching by the longest pause of a bucket. False if nothing is known yet, or the move is over.
func (m *Move) Remaining() (time.Duration, bool) {
	switch {
	case m.Step == MoveCopying && m.Copied > 0 && m.Head >= m.Copied:
		took := m.UpdatedAt.Sub(m.CreatedAt)
		return took / time.Duration(m.Copied) * time.Duration(m.Head-m.Copied), took > 0
	case m.Step == MoveSwitching && m.Switched > 0:
		return m.LongestPause * time.Duration(len(m.Buckets)-m.Switched), true
	}
	return 0, false
}

func (m *Move) over() bool { return m.Step == MoveDone || m.Step == MoveAborted }

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
