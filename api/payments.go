package api

import (
	"context"
	"fmt"
	"net/http"

	"matchday/errs"
	"matchday/id"
	"matchday/payments"
)

func (a *API) paymentRoutes() []route {
	const pending = "Answers 201 when it is final, 202 while the provider is still working on it: read it again, or watch the live stream."
	return []route{
		{method: "POST", path: "/v1/me/deposits", id: "deposit", tag: "Money", who: whoPlayer, status: http.StatusCreated, keyed: true, writes: true,
			summary: "Deposit money", detail: pending, end: taking(a.deposit)},
		{method: "GET", path: "/v1/me/deposits", id: "deposits", tag: "Money", who: whoPlayer, params: paged,
			summary: "The player's deposits, newest first", end: reading(a.listPayments(a.deps.Payments.ListDeposits))},
		{method: "GET", path: "/v1/me/deposits/{id}", id: "deposit-by-id", tag: "Money", who: whoPlayer,
			summary: "One deposit", end: reading(a.findPayment(payments.DirectionDeposit))},
		{method: "POST", path: "/v1/me/withdrawals", id: "withdraw", tag: "Money", who: whoPlayer, status: http.StatusCreated, keyed: true, writes: true,
			summary: "Withdraw money", detail: pending, end: taking(a.withdraw)},
		{method: "GET", path: "/v1/me/withdrawals", id: "withdrawals", tag: "Money", who: whoPlayer, params: paged,
			summary: "The player's withdrawals, newest first", end: reading(a.listPayments(a.deps.Payments.ListWithdrawals))},
		{method: "GET", path: "/v1/me/withdrawals/{id}", id: "withdrawal-by-id", tag: "Money", who: whoPlayer,
			summary: "One withdrawal", end: reading(a.findPayment(payments.DirectionWithdrawal))},
	}
}

func (a *API) deposit(ctx context.Context, c *call, in *PaymentRequest) (Payment, error) {
	if err := c.caller.session.MayBet(); err != nil { // who may not bet may not deposit
		return Payment{}, fmt.Errorf("deposit: %w", err)
	}
	return a.pay(ctx, c, in, a.deps.Payments.Deposit)
}

func (a *API) withdraw(ctx context.Context, c *call, in *PaymentRequest) (Payment, error) {
	return a.pay(ctx, c, in, a.deps.Payments.Withdraw)
}

// pay checks the request and hands it to the room.
func (a *API) pay(ctx context.Context, c *call, in *PaymentRequest, send func(context.Context, payments.Request) (payments.Payment, error)) (Payment, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return Payment{}, err
	}
	s := c.caller.session
	j, err := a.home(s)
	if err != nil {
		return Payment{}, err
	}
	var check errs.Check
	sum := positive(&check, "amount", in.Amount, j.Currency)
	if len(in.Method) > 40 || !plainKey(in.Method) {
		check.Add("method", "needs at most 40 characters of A-Z a-z 0-9 . _ ~ -")
	}
	if err := check.Err(); err != nil {
		return Payment{}, err
	}
	p, err := send(ctx, payments.Request{Player: s.Player, Jurisdiction: s.Jurisdiction, Key: key, Amount: sum, Method: in.Method})
	if err != nil {
		return Payment{}, fmt.Errorf("%s: %w", c.route.id, err)
	}
	if !p.Status.IsFinal() {
		c.status = http.StatusAccepted
	}
	if p.Position.Seq > 0 {
		c.setPosition(p.Position)
	}
	return paymentOf(p), nil
}

// lister is how room payments pages one direction.
type lister func(ctx context.Context, p id.Player, j id.Jurisdiction, cursor string, limit int) ([]payments.Payment, string, error)

func (a *API) listPayments(list lister) func(context.Context, *call) (List[Payment], error) {
	return func(ctx context.Context, c *call) (List[Payment], error) {
		limit, err := c.limit()
		if err != nil {
			return List[Payment]{}, err
		}
		s := c.caller.session
		page, next, err := list(ctx, s.Player, s.Jurisdiction, c.query.Get("cursor"), limit)
		if err != nil {
			return List[Payment]{}, fmt.Errorf("%s of player %s: %w", c.route.id, s.Player, err)
		}
		return listOf(page, next, paymentOf), nil
	}
}

func (a *API) findPayment(d payments.Direction) func(context.Context, *call) (Payment, error) {
	return func(ctx context.Context, c *call) (Payment, error) {
		which := c.r.PathValue("id")
		if err := id.Check(id.KindPayment, which); err != nil {
			return Payment{}, errs.New(errs.CodeNotFound, "no such payment")
		}
		s := c.caller.session
		p, err := a.deps.Payments.Find(ctx, s.Player, s.Jurisdiction, which)
		if err != nil {
			return Payment{}, fmt.Errorf("find payment %s: %w", which, err)
		}
		if p.Direction != d {
			return Payment{}, errs.New(errs.CodeNotFound, "no such payment")
		}
		return paymentOf(p), nil
	}
}
