package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"matchday/history"
	"matchday/id"
	"matchday/player"
)

// secondRoutes are for what becomes of a second bet history: what `matchday history` does, by the same rules.
func (a *API) secondRoutes() []route {
	const (
		tag   = "Running"
		rules = "Who did it and why is kept. What is so already is answered the same way and not noted again. Every process follows within two seconds. " +
			"Conflict where there is no second history. It concerns players of every jurisdiction, so it needs an account that is cleared for every one."
		equal = "Refused while the second is not complete, has not been compared, or differs. "
	)
	step := func(path, id, summary, detail string, end endpoint) route {
		return route{method: "POST", path: "/v1/operator/history/" + path, id: id, tag: tag, who: whoStaff, role: player.RoleOperator,
			status: http.StatusAccepted, summary: summary, detail: detail + rules, end: end}
	}
	return []route{
		{method: "GET", path: "/v1/operator/history", id: "second-history", tag: tag, who: whoStaff,
			summary: "The second bet history: how far it is copied, how equal, who sees it, and the last steps", end: reading(a.secondStatus),
			detail: "Conflict where there is none. It names players of every jurisdiction, so it needs an account that is cleared for every one."},
		step("share", "share-second-history", "Show the second bet history to some players",
			"`percent` of the players, the same ones each time, and those who are named. "+equal, taking(a.shareSecond)),
		step("switch", "switch-to-second-history", "Show the second bet history to everybody",
			equal+"The first goes on being fed, so that the next route can undo it at once. ", taking(a.switchToSecond)),
		step("back", "back-to-first-history", "Show the first bet history to everybody again",
			"The second goes on being fed. ", taking(a.backToFirst)),
		step("drop", "drop-history", "Let go of the bet history that nobody sees",
			"It is no longer fed. It cannot be taken back; nothing is deleted. Change the configuration before the next start. ", taking(a.dropHistory)),
	}
}

// HistoryStepRequest asks for a step.
type HistoryStepRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" example:"equal for a week, ticket 4711" doc:"Why this is right, for whoever asks later"`
}

// HistoryShareRequest says who is to see the second history.
type HistoryShareRequest struct {
	HistoryStepRequest
	Percent int      `json:"percent,omitempty" minimum:"0" maximum:"100" example:"5" doc:"Players in a hundred, chosen by their id"`
	Players []string `json:"players,omitempty" maxItems:"1000" doc:"Ids of players who see it besides"`
}

// HistoryDropRequest says which history to let go of.
type HistoryDropRequest struct {
	HistoryStepRequest
	History string `json:"history" enum:"first,second" example:"first"`
}

// HistoryChoice is who sees which history.
type HistoryChoice struct {
	Shown   string   `json:"shown" enum:"first,share,second" example:"share" doc:"share: some players see the second"`
	Percent int      `json:"percent" example:"5" doc:"Players in a hundred who see the second, while it is shown to a share"`
	Players []string `json:"players" doc:"Who see it besides"`
	Dropped string   `json:"dropped,omitempty" enum:"first,second" example:"first" doc:"No longer fed; absent while both are"`
}

// SecondHistory is everything about a second history.
type SecondHistory struct {
	HistoryChoice
	At        *time.Time      `json:"at" doc:"Of the oldest figures; null before there are any"`
	Trouble   string          `json:"trouble,omitempty" doc:"Why it cannot be fed; it is tried again every few seconds"`
	Shards    []SecondShard   `json:"shards" doc:"That a process feeds"`
	Steps     []HistoryAction `json:"steps" doc:"Newest first, at most 100"`
	Processes []HistoryLook   `json:"processes" doc:"That answer for the history, and looked at the choice in the last ten minutes"`
}

// HistoryLook says of a process whether it goes by the last step.
type HistoryLook struct {
	Process string    `json:"process" example:"books-2:417:K7QZPA" doc:"Machine, process id and a few letters by chance"`
	At      time.Time `json:"at" doc:"When it looked last"`
	Current bool      `json:"current" doc:"It goes by the last step, and has the same second history configured"`
}

// SecondShard is one shard of a second history.
type SecondShard struct {
	Shard       int               `json:"shard"`
	Position    int64             `json:"position" doc:"Of the log: it has everything up to here"`
	LagSeconds  float64           `json:"lag_seconds"`
	Done        bool              `json:"done" doc:"Every bet is there"`
	Copied      int64             `json:"copied" doc:"Bets"`
	Expected    int64             `json:"expected" doc:"Bets to copy, those placed meanwhile included; 0 while not known"`
	Rate        int64             `json:"rate" doc:"Bets copied in a second, lately"`
	LeftSeconds float64           `json:"left_seconds" doc:"How long it still takes, by the trend of what it cost until now; 0 while not known"`
	Since       *time.Time        `json:"since" doc:"Since when the process copies that does, which the rate and the estimate go by; null before and once it is done"`
	Waiting     string            `json:"waiting,omitempty" doc:"What copying waits for"`
	Comparison  HistoryComparison `json:"comparison"`
}

// HistoryComparison says how equal both histories of a shard are, by the last pass over both.
type HistoryComparison struct {
	Passes    int64               `json:"passes" doc:"0: not compared yet"`
	At        *time.Time          `json:"at" doc:"End of the last pass"`
	Bets      int64               `json:"bets" doc:"Compared in it"`
	Skipped   int64               `json:"skipped" doc:"Not compared: they changed meanwhile"`
	Buckets   int                 `json:"buckets" doc:"Of players, that have bets"`
	Unequal   int                 `json:"unequal" doc:"Buckets whose counts or contents differed in the last two passes"`
	Suspected int64               `json:"suspected" doc:"Bets that differed in the last pass"`
	Different int64               `json:"different" doc:"Bets that differed in the last two"`
	Named     []HistoryDifference `json:"named" doc:"The first of them"`
	Problem   string              `json:"problem,omitempty" doc:"Why the last pass did not end"`
}

// HistoryDifference is a bet that is not the same in both histories.
type HistoryDifference struct {
	PlayerID string `json:"player_id"`
	BetID    string `json:"bet_id"`
	What     string `json:"what" example:"missing in the second"`
}

// HistoryAction is a step that somebody took.
type HistoryAction struct {
	At     time.Time `json:"at"`
	By     string    `json:"by" example:"trader"`
	What   string    `json:"what" example:"show the second to everybody"`
	Reason string    `json:"reason" example:"equal for a week, ticket 4711"`
}

func choiceOf(c history.Choice) HistoryChoice {
	out := HistoryChoice{Shown: string(c.Shown), Percent: c.Share, Players: make([]string, len(c.Players)), Dropped: c.Dropped}
	for i, p := range c.Players {
		out.Players[i] = string(p)
	}
	return out
}

// secondOf makes the answer of a status, whose two lists are of the same shards.
func secondOf(s history.NextStatus) SecondHistory {
	out := SecondHistory{HistoryChoice: choiceOf(s.Choice), At: optional(s.At), Trouble: s.Trouble}
	for i, p := range s.Copy {
		out.Shards = append(out.Shards, SecondShard{Shard: p.Shard, Position: p.Position, LagSeconds: p.Lag.Seconds(), Done: p.Done, Copied: p.Bets,
			Expected: p.Expected, Rate: p.Rate, LeftSeconds: p.Left.Seconds(), Since: optional(p.Since), Waiting: p.Waiting, Comparison: comparisonOf(s.Equal[i])})
	}
	for _, a := range s.Acts {
		out.Steps = append(out.Steps, HistoryAction(a))
	}
	for _, l := range s.Looks {
		out.Processes = append(out.Processes, HistoryLook(l))
	}
	return out
}

func comparisonOf(c history.Comparison) HistoryComparison {
	out := HistoryComparison{Passes: c.Passes, At: optional(c.At), Bets: c.Bets, Skipped: c.Skipped, Buckets: c.Buckets,
		Unequal: c.Unequal, Suspected: c.Suspected, Different: c.Different, Problem: c.Problem}
	for _, d := range c.Named {
		out.Named = append(out.Named, HistoryDifference{PlayerID: string(d.Player), BetID: string(d.Bet), What: d.What})
	}
	return out
}

func (a *API) secondStatus(ctx context.Context, c *call) (SecondHistory, error) {
	if err := c.mayActEverywhere(); err != nil {
		return SecondHistory{}, err
	}
	desk, err := a.deps.History.Desk()
	if err != nil {
		return SecondHistory{}, err
	}
	s, err := desk.Status(ctx)
	if err != nil {
		return SecondHistory{}, fmt.Errorf("status of the second history: %w", err)
	}
	return secondOf(s), nil
}

func (a *API) shareSecond(ctx context.Context, c *call, in *HistoryShareRequest) (HistoryChoice, error) {
	return a.stepOfHistory(ctx, c, in.HistoryStepRequest, func(d *history.Desk, r history.ActRequest) (history.Choice, error) {
		players := make([]id.Player, len(in.Players))
		for i, which := range in.Players {
			if id.Check(id.KindPlayer, which) != nil {
				return history.Choice{}, invalidField("players["+strconv.Itoa(i)+"]", "is not the id of a player")
			}
			players[i] = id.Player(which)
		}
		return d.Share(ctx, r, in.Percent, players)
	})
}

func (a *API) switchToSecond(ctx context.Context, c *call, in *HistoryStepRequest) (HistoryChoice, error) {
	return a.stepOfHistory(ctx, c, *in, func(d *history.Desk, r history.ActRequest) (history.Choice, error) { return d.Switch(ctx, r) })
}

func (a *API) backToFirst(ctx context.Context, c *call, in *HistoryStepRequest) (HistoryChoice, error) {
	return a.stepOfHistory(ctx, c, *in, func(d *history.Desk, r history.ActRequest) (history.Choice, error) { return d.Back(ctx, r) })
}

func (a *API) dropHistory(ctx context.Context, c *call, in *HistoryDropRequest) (HistoryChoice, error) {
	return a.stepOfHistory(ctx, c, in.HistoryStepRequest, func(d *history.Desk, r history.ActRequest) (history.Choice, error) {
		if in.History != string(history.ShownFirst) && in.History != string(history.ShownSecond) {
			return history.Choice{}, invalidField("history", "is not first or second")
		}
		return d.Drop(ctx, r, in.History)
	})
}

// stepOfHistory takes a step in the caller's name and logs it.
func (a *API) stepOfHistory(ctx context.Context, c *call, in HistoryStepRequest,
	step func(d *history.Desk, r history.ActRequest) (history.Choice, error),
) (HistoryChoice, error) {
	if err := c.mayActEverywhere(); err != nil {
		return HistoryChoice{}, err
	}
	desk, err := a.deps.History.Desk()
	if err != nil {
		return HistoryChoice{}, err
	}
	by := c.caller.session.Staff
	choice, err := step(desk, history.ActRequest{By: by, Reason: in.Reason})
	if err != nil {
		return HistoryChoice{}, fmt.Errorf("%s: %w", c.route.id, err)
	}
	a.log.InfoContext(ctx, "staff chose who sees which history", "operation", c.route.id, "by", by, "shown", string(choice.Shown),
		"share", choice.Share, "players", len(choice.Players), "dropped", choice.Dropped, "request_id", c.requestID)
	return choiceOf(choice), nil
}
