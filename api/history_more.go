package api

import (
	"context"
	"fmt"

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
	c.setHistory(s.Freshness)
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
