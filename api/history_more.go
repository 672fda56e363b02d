package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"matchday/history"
)

func settlementsOf(list []history.Settlement) []BetSettlement {
	out := make([]BetSettlement, len(list))
	for i, s := range list {
		out[i] = BetSettlement{Version: s.Version, Status: string(s.Status), At: s.At, Position: s.Position.String(), Payout: amount(s.Payout), Outcomes: s.Outcomes}
	}
	return out
}

func (a *API) summariseBets(ctx context.Context, c *call) (BetSummary, error) {
	of, err := a.ownerOf(ctx, c)
	if err != nil {
		return BetSummary{}, err
	}
	limit, err := c.limit()
	if err != nil {
		return BetSummary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, positionWait)
	defer cancel()
	s, err := a.deps.History.Summarise(ctx, history.SummaryQuery{Player: of.player, Jurisdiction: of.home.Code, At: of.at, Limit: limit,
		By: orElse(history.Grain(c.query.Get("by")), history.GrainMonth), From: c.query.Get("from"), To: c.query.Get("to"), Before: c.query.Get("cursor")})
	if err != nil {
		return BetSummary{}, fmt.Errorf("summarise bets of player %s: %w", of.player, inQuery(err))
	}
	out := BetSummary{Lines: make([]BetSummaryLine, len(s.Lines)), Next: s.Next, Zone: s.Zone, Position: s.Position.String(), FreshAt: s.FreshAt}
	for i, l := range s.Lines {
		out.Lines[i] = BetSummaryLine{Period: l.Period, Product: l.Product, Bets: l.Bets, Open: l.Open, Staked: amount(l.Staked),
			AtStake: amount(l.AtStake), Returned: amount(l.Returned), Net: amount(l.Net)}
	}
	return out, nil
}

// exportedBet is a line of an export.
type exportedBet struct {
	Bet
	Settlements []BetSettlement `json:"settlements,omitempty"`
}

// exportTrailer is the last line of an export that is whole.
type exportTrailer struct {
	Trailer struct {
		Bets     int       `json:"bets"`
		Position string    `json:"position"`
		FreshAt  time.Time `json:"fresh_at"`
	} `json:"trailer"`
}

// exportBets streams a player's bets. Once something was sent an error can only be told by the stream's end.
func (a *API) exportBets(ctx context.Context, c *call) error {
	of, err := a.ownerOf(ctx, c)
	if err != nil {
		return err
	}
	done, err := a.exports.take()
	if err != nil {
		return err
	}
	defer done()
	w := &lateWriter{w: c.w, rc: http.NewResponseController(c.w), now: a.deps.Clock.Now}
	h := c.w.Header()
	line := func(v any) error {
		if !w.began {
			h["Cache-Control"] = noStore
			h.Set("Content-Type", "application/x-ndjson")
			h.Set("Content-Disposition", `attachment; filename="matchday-bets.ndjson"`)
		}
		body, err := json.Marshal(v, json.DefaultOptionsV2())
		if err != nil {
			return err
		}
		_, err = w.Write(append(body, '\n'))
		return err
	}
	var end exportTrailer
	fresh, err := a.deps.History.Export(ctx, of.player, of.home.Code, of.at, func(b history.BetLife) error {
		end.Trailer.Bets++
		return line(exportedBet{betOf(b.Bet), settlementsOf(b.Settlements)})
	})
	if err == nil {
		end.Trailer.Position, end.Trailer.FreshAt = fresh.Position.String(), fresh.FreshAt
		err = line(end)
	}
	switch {
	case err != nil && w.began:
		a.log.WarnContext(ctx, "export of bets cut off", "request_id", c.requestID, "error", err)
		_ = w.rc.SetWriteDeadline(a.deps.Clock.Now().Add(-time.Second)) // so that it does not end as if it were whole
		return nil
	case err != nil:
		return fmt.Errorf("export bets of player %s: %w", of.player, err)
	}
	_ = w.rc.SetWriteDeadline(time.Time{}) // the connection lives on
	return nil
}
