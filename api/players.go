package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"matchday/id"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/player"
	"matchday/stream"
)

func (a *API) playerRoutes() []route {
	return []route{
		{method: "POST", path: "/v1/players", id: "sign-up", tag: "Players", who: whoPublic, status: http.StatusCreated, limited: true,
			summary: "Open a player's account", end: taking(a.signUp)},
		{method: "POST", path: "/v1/sessions", id: "sign-in", tag: "Players", who: whoPublic, status: http.StatusCreated, limited: true,
			summary: "Sign a player in", detail: "The token is shown once. Repeated failures lock the account for a while.", end: taking(a.signIn)},
		{method: "DELETE", path: "/v1/sessions", id: "sign-out", tag: "Players", who: whoPlayer,
			params:  []param{{name: "all", doc: "Ends all of the player's sessions", enum: []string{"true"}}},
			summary: "End this session", end: reading(a.signOut)},
		{method: "GET", path: "/v1/me", id: "me", tag: "Players", who: whoPlayer, summary: "Who is signed in", end: reading(a.me)},
		{method: "GET", path: "/v1/me/balance", id: "balance", tag: "Money", who: whoPlayer, reads: true,
			summary: "The player's cash", end: reading(a.balance)},
		{method: "GET", path: "/v1/me/statement", id: "statement", tag: "Money", who: whoPlayer, reads: true, params: selected,
			summary: "Movements of the player's cash, newest first", end: reading(a.statement)},
		{method: "GET", path: "/v1/jurisdictions", id: "jurisdictions", tag: "Offer", who: whoPublic,
			summary: "Where players can sign up, with limits", end: reading(a.jurisdictions)},
	}
}

func (a *API) signUp(ctx context.Context, _ *call, in *SignUpRequest) (Player, error) {
	p, err := a.deps.Players.SignUp(ctx, player.SignUp{Email: in.Email, Password: in.Password, DisplayName: in.DisplayName,
		BirthDate: in.BirthDate, Jurisdiction: id.Jurisdiction(in.Jurisdiction)})
	if err != nil {
		return Player{}, fmt.Errorf("sign up: %w", err)
	}
	return playerOf(p), nil
}

func (a *API) signIn(ctx context.Context, _ *call, in *SignInRequest) (Session, error) {
	s, token, err := a.deps.Players.SignIn(ctx, player.Credentials{Email: in.Email, Password: in.Password,
		Jurisdiction: id.Jurisdiction(in.Jurisdiction)})
	if err != nil {
		return Session{}, fmt.Errorf("sign in: %w", err)
	}
	return sessionOf(s, token), nil
}

func (a *API) signOut(ctx context.Context, c *call) (None, error) {
	if c.query.Get("all") == "true" {
		return None{}, a.deps.Players.SignOutAll(ctx, c.caller.session.Player)
	}
	return None{}, a.deps.Players.SignOut(ctx, c.caller.token)
}

func (a *API) me(ctx context.Context, c *call) (Me, error) {
	s := c.caller.session
	p, err := a.deps.Players.Find(ctx, s.Player, s.Jurisdiction)
	if err != nil {
		return Me{}, fmt.Errorf("find player %s: %w", s.Player, err)
	}
	return Me{Player: playerOf(p), ExpiresAt: s.ExpiresAt, PreviousSignIn: optional(s.PreviousSignIn)}, nil
}

func (a *API) balance(ctx context.Context, c *call) (Balance, error) {
	at, err := c.ledgerPosition()
	if err != nil {
		return Balance{}, err
	}
	return a.balanceOfPlayer(ctx, c.caller.session, func(ctx context.Context, cash ledger.Address) (ledger.Balance, error) {
		return a.balanceFrom(ctx, cash, at)
	})
}

// balanceFrom reads a balance from a replica that shows the position.
func (a *API) balanceFrom(ctx context.Context, address ledger.Address, at stream.Position) (ledger.Balance, error) {
	ctx, cancel := context.WithTimeout(ctx, positionWait)
	defer cancel()
	return a.deps.Ledger.BalanceFrom(ctx, address, at)
}

// statementFrom reads a statement from a replica that shows the position.
func (a *API) statementFrom(ctx context.Context, address ledger.Address, q ledger.StatementQuery, at stream.Position) ([]ledger.StatementLine, error) {
	ctx, cancel := context.WithTimeout(ctx, positionWait)
	defer cancel()
	return a.deps.Ledger.StatementFrom(ctx, address, q, at)
}

// balanceOfPlayer returns the player's cash; a player without any movement has zero.
func (a *API) balanceOfPlayer(ctx context.Context, s player.Session, read balanceReader) (Balance, error) {
	j, err := a.home(s)
	if err != nil {
		return Balance{}, err
	}
	b, err := read(ctx, ledger.PlayerCash(s.Player, s.Jurisdiction))
	if err != nil {
		return Balance{}, fmt.Errorf("balance of player %s: %w", s.Player, err)
	}
	return balanceOf(b, j.Currency), nil
}

// balanceReader is one of the ledger's ways to read a balance.
type balanceReader func(context.Context, ledger.Address) (ledger.Balance, error)

// home returns the jurisdiction of a player's session. Not to have it is a fault of ours.
func (a *API) home(s player.Session) (jurisdiction.Jurisdiction, error) {
	j, err := a.deps.Jurisdictions.Find(s.Jurisdiction)
	if err != nil {
		return j, errors.New("jurisdiction " + string(s.Jurisdiction) + " of a session is not configured")
	}
	return j, nil
}

// ledgerPosition returns the position that the read asks for, zero if it asks for none.
func (c *call) ledgerPosition() (stream.Position, error) {
	p, err := c.readPosition()
	if err != nil || p == nil {
		return stream.Position{}, err
	}
	return *p, nil
}

func (a *API) statement(ctx context.Context, c *call) (List[StatementLine], error) {
	at, err := c.ledgerPosition()
	if err != nil {
		return List[StatementLine]{}, err
	}
	s := c.caller.session
	j, err := a.home(s)
	if err != nil {
		return List[StatementLine]{}, err
	}
	q, limit, err := c.statementQuery()
	if err != nil {
		return List[StatementLine]{}, err
	}
	lines, err := a.statementFrom(ctx, ledger.PlayerCash(s.Player, s.Jurisdiction), q, at)
	if err != nil {
		return List[StatementLine]{}, fmt.Errorf("statement of player %s: %w", s.Player, err)
	}
	return statementOf(lines, limit, j.Currency, nil), nil
}

func (a *API) jurisdictions(_ context.Context, _ *call) (List[Jurisdiction], error) {
	return listOf(a.deps.Jurisdictions.List(), "", jurisdictionOf), nil
}
