package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"matchday/errs"
	"matchday/ledger"
	"matchday/player"
)

// moveRoutes let staff move players from one ledger shard to another while they bet.
func (a *API) moveRoutes() []route {
	const tag = "Running"
	const cleared = "Buckets have players of every jurisdiction, so this needs an account that is cleared for every one."
	return []route{
		{method: "POST", path: "/v1/operator/moves", id: "start-move", tag: tag, who: whoStaff, role: player.RoleOperator, status: http.StatusAccepted,
			summary: "Begin to move buckets of players to another shard", end: taking(a.startMove),
			detail: "The log of the buckets is copied beside the load; then one bucket after the other changes sides, and its players wait " +
				"for less than a second as a rule. Moves that share a shard are done one after the other, others at the same time. " + cleared},
		{method: "GET", path: "/v1/operator/moves", id: "moves", tag: tag, who: whoStaff, params: paged,
			summary: "Moves of buckets, newest first", detail: cleared, end: reading(a.listMoves)},
		{method: "POST", path: "/v1/operator/moves/rebalance", id: "rebalance", tag: tag, who: whoStaff, role: player.RoleOperator, status: http.StatusAccepted,
			summary: "Spread the buckets evenly over all shards", end: taking(a.rebalance),
			detail: "Begins as many moves as it takes, with as few buckets as possible; those that share a shard are done one after the other. `dry_run` only shows them: they have no id then. " + cleared},
		{method: "GET", path: "/v1/operator/moves/{id}", id: "move", tag: tag, who: whoStaff,
			summary: "One move and how far it is", detail: cleared, end: reading(a.findMove)},
		{method: "POST", path: "/v1/operator/moves/{id}/abort", id: "abort-move", tag: tag, who: whoStaff, role: player.RoleOperator, status: http.StatusAccepted,
			summary: "Stop a move", end: reading(a.abortMove),
			detail: "Buckets that have changed sides stay there, the others stay where they were. What was copied is kept for a later move and counts for nothing. " + cleared},
	}
}

// MoveRequest asks for a move of buckets.
type MoveRequest struct {
	Buckets string `json:"buckets" doc:"Numbers and ranges, such as 0-99,120, of 0 to 1023" maxLength:"8000"`
	From    *int   `json:"from" minimum:"0" nullable:"false" doc:"The shard where all of them live"`
	To      *int   `json:"to" minimum:"0" nullable:"false"`
	Rate    int    `json:"rate,omitempty" minimum:"0" maximum:"10000000" doc:"Most transfers copied in a second; 0 is no limit"`
}

// RebalanceRequest asks for an even spread.
type RebalanceRequest struct {
	DryRun bool `json:"dry_run,omitempty" doc:"Only show the moves"`
	Rate   int  `json:"rate,omitempty" minimum:"0" maximum:"10000000" doc:"Of each move: most transfers copied in a second; 0 is no limit"`
}

// Move is a set of buckets on its way from one shard to another.
type Move struct {
	ID             string     `json:"id" doc:"Empty in a dry run"`
	Buckets        string     `json:"buckets" doc:"Such as 0-99,120"`
	From           int        `json:"from"`
	To             int        `json:"to"`
	Rate           int        `json:"rate" doc:"0 is no limit"`
	By             string     `json:"by" doc:"Who asked for it"`
	Step           string     `json:"step" enum:"planned,copying,switching,done,aborting,aborted"`
	Problem        string     `json:"problem,omitempty" doc:"What holds it up; it is tried again every second"`
	WaitsFor       string     `json:"waits_for,omitempty" doc:"The move before it that shares a shard with it; absent once its turn has come"`
	Count          int        `json:"count" doc:"Buckets in all"`
	Switched       int        `json:"switched" doc:"Buckets that have changed sides"`
	Position       int64      `json:"position" doc:"The source's log has been read up to here"`
	Head           int64      `json:"head" doc:"Of this length"`
	Transfers      int64      `json:"transfers" doc:"Copied since the process began or took the move up again"`
	LongestPauseMS int64      `json:"longest_pause_ms" doc:"How long one bucket's players waited at most"`
	CreatedAt      *time.Time `json:"created_at" doc:"Null in a dry run"`
	UpdatedAt      *time.Time `json:"updated_at"`
	DoneAt         *time.Time `json:"done_at" doc:"When it will be done at this speed, as far as that is known"`
}

func moveOf(m ledger.Move) Move {
	out := Move{ID: m.ID, Buckets: ledger.FormatBuckets(m.Buckets), From: m.From, To: m.To, Rate: m.Rate, By: m.By, Step: m.Step,
		Problem: m.Problem, WaitsFor: m.WaitsFor, Count: len(m.Buckets), Switched: m.Switched, Position: m.Copied, Head: m.Head, Transfers: m.Rows,
		LongestPauseMS: m.LongestPause.Milliseconds(), CreatedAt: optional(m.CreatedAt), UpdatedAt: optional(m.UpdatedAt)}
	if left, known := m.Remaining(); known {
		out.DoneAt = optional(m.UpdatedAt.Add(left))
	}
	return out
}

func (a *API) startMove(ctx context.Context, c *call, in *MoveRequest) (Move, error) {
	if err := c.mayActEverywhere(); err != nil {
		return Move{}, err
	}
	var check errs.Check
	list, err := ledger.ParseBuckets(in.Buckets)
	if err != nil {
		check.Add("buckets", "is not a list such as 0-99,120, of 0 to 1023")
	}
	if in.From == nil {
		check.Add("from", "is required")
	}
	if in.To == nil {
		check.Add("to", "is required")
	}
	if err := check.Err(); err != nil {
		return Move{}, err
	}
	return a.beginMove(ctx, c, ledger.MoveRequest{Buckets: list, From: *in.From, To: *in.To, Rate: in.Rate})
}

// beginMove starts a move in the caller's name and logs it.
func (a *API) beginMove(ctx context.Context, c *call, r ledger.MoveRequest) (Move, error) {
	r.By = c.caller.session.Staff
	m, err := a.deps.Ledger.StartMove(ctx, r)
	if err != nil {
		return Move{}, fmt.Errorf("move buckets from shard %d to %d: %w", r.From, r.To, err)
	}
	a.log.InfoContext(ctx, "move of buckets begun", "move_id", m.ID, "from", m.From, "to", m.To, "buckets", len(m.Buckets), "by", m.By)
	return moveOf(m), nil
}

func (a *API) listMoves(ctx context.Context, c *call) (List[Move], error) {
	none := List[Move]{}
	if err := c.mayActEverywhere(); err != nil {
		return none, err
	}
	limit, err := c.limit()
	if err != nil {
		return none, err
	}
	list, err := a.deps.Ledger.Moves(ctx, c.query.Get("cursor"), limit+1)
	if errs.Is(err, errs.CodeNotFound) {
		return none, invalidField("query.cursor", "is not a cursor of this list")
	}
	if err != nil {
		return none, fmt.Errorf("list moves: %w", err)
	}
	next := ""
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].ID
	}
	return listOf(list, next, moveOf), nil
}

func (a *API) rebalance(ctx context.Context, c *call, in *RebalanceRequest) (List[Move], error) {
	out := List[Move]{Items: []Move{}}
	if err := c.mayActEverywhere(); err != nil {
		return out, err
	}
	if in.Rate < 0 || in.Rate > ledger.MaxMoveRate {
		return out, invalidField("rate", "must be 0 to %d", ledger.MaxMoveRate)
	}
	plan, err := a.deps.Ledger.Rebalance(ctx)
	if err != nil {
		return out, fmt.Errorf("plan moves: %w", err)
	}
	for _, r := range plan {
		r.Rate = in.Rate
		m := moveOf(ledger.Move{Buckets: r.Buckets, From: r.From, To: r.To, Rate: r.Rate, By: c.caller.session.Staff, Step: "planned"})
		if !in.DryRun {
			if m, err = a.beginMove(ctx, c, r); err != nil { // those begun go on: they are in the list of moves
				return out, err
			}
		}
		out.Items = append(out.Items, m)
	}
	return out, nil
}

func (a *API) findMove(ctx context.Context, c *call) (Move, error) {
	if err := c.mayActEverywhere(); err != nil {
		return Move{}, err
	}
	m, err := a.deps.Ledger.FindMove(ctx, c.r.PathValue("id"))
	if err != nil {
		return Move{}, fmt.Errorf("find move: %w", err)
	}
	return moveOf(m), nil
}

func (a *API) abortMove(ctx context.Context, c *call) (Move, error) {
	if err := c.mayActEverywhere(); err != nil {
		return Move{}, err
	}
	m, err := a.deps.Ledger.AbortMove(ctx, c.r.PathValue("id"))
	if err != nil {
		return Move{}, fmt.Errorf("abort move: %w", err)
	}
	a.log.InfoContext(ctx, "move of buckets aborted", "move_id", m.ID, "by", c.caller.session.Staff)
	return moveOf(m), nil
}
