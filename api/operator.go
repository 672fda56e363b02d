package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/player"
	"matchday/sportsbook"
)

func (a *API) operatorRoutes() []route {
	const everywhere = "Counts all jurisdictions together, so it needs an account that is cleared for every one."
	return []route{
		{method: "POST", path: "/v1/operator/sessions", id: "staff-sign-in", tag: "Staff", who: whoPublic, status: http.StatusCreated, limited: true,
			summary: "Sign a member of staff in", end: taking(a.signInStaff)},
		{method: "DELETE", path: "/v1/operator/sessions", id: "staff-sign-out", tag: "Staff", who: whoStaff,
			summary: "End this session", end: reading(a.signOutStaff)},
		{method: "GET", path: "/v1/operator/players", id: "players", tag: "Staff", who: whoStaff, params: []param{paramJurisdiction, paramCursor, paramLimit},
			summary: "Players of a jurisdiction", end: reading(a.listPlayers)},
		{method: "GET", path: "/v1/operator/players/{id}", id: "player-by-id", tag: "Staff", who: whoStaff, params: []param{paramJurisdiction},
			summary: "One player", end: reading(a.findPlayer)},
		{method: "GET", path: "/v1/operator/jurisdictions", id: "staff-jurisdictions", tag: "Staff", who: whoStaff,
			summary: "The jurisdictions this account may act in, with limits", end: reading(a.staffJurisdictions)},
		{method: "GET", path: "/v1/operator/shards", id: "shards", tag: "Running", who: whoStaff, summary: "Ledger shards", end: reading(a.shards)},
		{method: "GET", path: "/v1/operator/lag", id: "lag", tag: "Running", who: whoStaff, right: rightBets, summary: "How far history is behind the ledger", end: reading(a.lag)},
		{method: "GET", path: "/v1/operator/rates", id: "rates", tag: "Running", who: whoStaff,
			summary: "Deposits, bets, reads and payouts per second over the last ten minutes", detail: everywhere, end: reading(a.readRates)},
		{method: "POST", path: "/v1/operator/audit", id: "start-audit", tag: "Running", who: whoStaff, role: player.RoleOperator, status: http.StatusAccepted,
			summary: "Begin an audit of books, bets and history", detail: "One runs at a time; while it does, this answers with its progress.", end: reading(a.startAudit)},
		{method: "GET", path: "/v1/operator/audit", id: "audit", tag: "Running", who: whoStaff,
			summary: "The last audit of this process", end: reading(a.readAudit)},
		{method: "GET", path: "/v1/operator/settlements", id: "settlements", tag: "Staff", who: whoStaff,
			summary: "How far the settlement of each result is", detail: everywhere, end: reading(a.settlements)},
		{method: "GET", path: "/v1/operator/exposure", id: "exposure", tag: "Staff", who: whoStaff,
			params:  []param{{name: "event_id", doc: "Only this event"}},
			summary: "Worst case by selection, in the account's jurisdictions", end: reading(a.exposure)},
	}
}

func (a *API) signInStaff(ctx context.Context, _ *call, in *StaffSignInRequest) (Session, error) {
	s, token, err := a.deps.Players.SignInStaff(ctx, in.Name, in.Password)
	if err != nil {
		return Session{}, fmt.Errorf("sign staff in: %w", err)
	}
	return sessionOf(s, token), nil
}

func (a *API) signOutStaff(ctx context.Context, c *call) (None, error) {
	return None{}, a.deps.Players.SignOut(ctx, c.caller.token)
}

func (a *API) listPlayers(ctx context.Context, c *call) (List[Player], error) {
	j, err := c.jurisdiction()
	if err != nil {
		return List[Player]{}, err
	}
	limit, err := c.limit()
	if err != nil {
		return List[Player]{}, err
	}
	players, next, err := a.deps.Players.List(ctx, j, c.query.Get("cursor"), limit)
	if err != nil {
		return List[Player]{}, fmt.Errorf("list players of %s: %w", j, err)
	}
	return listOf(players, next, playerOf), nil
}

func (a *API) findPlayer(ctx context.Context, c *call) (Player, error) {
	j, err := c.jurisdiction()
	if err != nil {
		return Player{}, err
	}
	which := c.r.PathValue("id")
	if id.Check(id.KindPlayer, which) != nil {
		return Player{}, errs.New(errs.CodeNotFound, "no such player")
	}
	p, err := a.deps.Players.Find(ctx, id.Player(which), j)
	if err != nil {
		return Player{}, fmt.Errorf("find player %s: %w", which, err)
	}
	return playerOf(p), nil
}

func (a *API) staffJurisdictions(_ context.Context, c *call) (List[Jurisdiction], error) {
	out := List[Jurisdiction]{Items: []Jurisdiction{}}
	for _, j := range a.deps.Jurisdictions.List() {
		if c.caller.session.MayActIn(j.Code) == nil {
			out.Items = append(out.Items, jurisdictionOf(j))
		}
	}
	return out, nil
}

func (a *API) shards(ctx context.Context, _ *call) (List[Shard], error) {
	out := List[Shard]{Items: []Shard{}}
	places := a.deps.Ledger.Places(ctx)
	for i, s := range a.deps.Ledger.Status() {
		out.Items = append(out.Items, shardOf(&s, places[i]))
	}
	return out, nil
}

func shardOf(s *ledger.ShardStatus, at ledger.ShardPlace) Shard {
	out := Shard{Shard: s.Shard, Position: s.Position, Epoch: s.Epoch, QueuedInteractive: s.QueuedInteractive,
		QueuedBulk: s.QueuedBulk, Committed: s.Committed, LastMinute: s.LastMinute, LastCommit: optional(s.LastCommit),
		State: "writing", Trouble: s.Trouble, Owner: s.Owner, Engine: at.Engine, Bytes: at.Bytes, Buckets: at.Buckets}
	if s.Relayed >= 0 {
		out.StreamPosition = &s.Relayed
	}
	switch {
	case s.Quarantine != "":
		out.State = "quarantined"
	case s.Trouble != "":
		out.State = "trouble"
	case !s.IsHere:
		out.State = "elsewhere"
	}
	return out
}

func (a *API) lag(_ context.Context, _ *call) (List[Lag], error) {
	out := List[Lag]{Items: []Lag{}}
	for _, l := range a.deps.History.Lag() {
		head := max(a.deps.Ledger.Head(l.Shard), l.Position) // of a shard that another process writes it may be a poll old
		one := Lag{Shard: l.Shard, History: string(l.History), Position: l.Position, Head: head, LagSeconds: l.Lag.Seconds(), Here: l.Held, Trouble: l.Trouble}
		if c := l.CatchUp; c.Remaining > 0 {
			one.CatchingUp = &CatchingUp{Remaining: c.Remaining, Rate: c.Rate, Added: c.Added, LeftSeconds: c.Left.Seconds()}
		}
		out.Items = append(out.Items, one)
	}
	return out, nil
}

// readRates counts what players did in all jurisdictions together.
func (a *API) readRates(_ context.Context, c *call) (Rates, error) {
	if err := c.mayActEverywhere(); err != nil {
		return Rates{}, err
	}
	return a.rates.series(a.deps.Clock.Now()), nil
}

func (a *API) startAudit(_ context.Context, c *call) (Audit, error) {
	if err := c.mayActEverywhere(); err != nil {
		return Audit{}, err
	}
	return a.audit.start(c.caller.session.Staff, a.deps.Clock.Now())
}

func (a *API) readAudit(_ context.Context, c *call) (Audit, error) {
	if err := c.mayActEverywhere(); err != nil {
		return Audit{}, err
	}
	return a.audit.state(), nil
}

// settlements counts the bets of all jurisdictions together.
func (a *API) settlements(ctx context.Context, c *call) (List[Settlement], error) {
	if err := c.mayActEverywhere(); err != nil {
		return List[Settlement]{}, err
	}
	all, err := a.deps.Sportsbook.Settlements(ctx)
	if err != nil {
		return List[Settlement]{}, fmt.Errorf("settlements: %w", err)
	}
	names := c.eventNames(ctx)
	return listOf(all, "", func(p sportsbook.SettlementProgress) Settlement {
		return Settlement{ID: p.SettlementID, EventID: p.EventID, EventName: names(p.EventID), Version: p.Version, MarketID: p.MarketID,
			Bets: p.Bets, Settled: p.Settled, Paid: p.Paid, StartedAt: p.StartedAt, DoneAt: optional(p.DoneAt)}
	}), nil
}

func (a *API) exposure(ctx context.Context, c *call) (List[Exposure], error) {
	rows, err := a.deps.Sportsbook.Exposure(ctx, c.query.Get("event_id"))
	if err != nil {
		return List[Exposure]{}, fmt.Errorf("exposure: %w", err)
	}
	names := c.eventNames(ctx)
	out := List[Exposure]{Items: []Exposure{}}
	for _, r := range rows {
		if c.caller.session.MayActIn(r.Jurisdiction) != nil {
			continue
		}
		out.Items = append(out.Items, Exposure{EventID: r.EventID, EventName: names(r.EventID), MarketID: r.MarketID,
			SelectionID: r.SelectionID, Jurisdiction: string(r.Jurisdiction), Bets: r.Bets, Stake: minor(r.StakeMinor, r.Currency),
			Payout: minor(r.PayoutMinor, r.Currency), Limit: minor(r.LimitMinor, r.Currency)})
	}
	return out, nil
}

// eventNames returns a look-up of event names that remembers, for boards that repeat them. An event
// that no jurisdiction of the caller's is offered has no name here.
func (c *call) eventNames(ctx context.Context) func(string) string {
	known := map[string]string{}
	return func(eventID string) string {
		name, ok := known[eventID]
		if ok {
			return name
		}
		for _, j := range c.a.deps.Jurisdictions.List() {
			if c.caller.session.MayActIn(j.Code) != nil {
				continue
			}
			e, err := c.a.deps.Sportsbook.FindEvent(ctx, j.Code, eventID)
			if err == nil {
				name = e.Name
				break
			}
			if !errs.Is(err, errs.CodeNotFound) && errors.Is(ctx.Err(), context.Canceled) {
				break
			}
		}
		known[eventID] = name
		return name
	}
}
