package app

import (
	"context"
	"encoding/json"
	"fmt"

	"matchday/ledger"
	"matchday/payments"
	"matchday/stream"
)

// books is the ledger as room payments sees it: one transfer for each step of a payment, with the
// record that tells others.
type books struct{ ledger *ledger.Service }

// Deposit moves money from the provider to the player's cash.
func (b books) Deposit(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.commit(ctx, p, "deposit", ledger.KindDeposit, stream.TypeDepositCompleted,
		ledger.PSP(p.Provider, p.Jurisdiction), ledger.PlayerCash(p.Player, p.Jurisdiction))
}

// Withhold moves money from the player's cash to withdrawing.
func (b books) Withhold(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.commit(ctx, p, "withhold", ledger.KindWithdrawalRequest, stream.TypeWithdrawalRequested,
		ledger.PlayerCash(p.Player, p.Jurisdiction), ledger.PlayerWithdrawing(p.Player, p.Jurisdiction))
}

// Complete moves money from withdrawing to the provider.
func (b books) Complete(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.commit(ctx, p, "complete", ledger.KindWithdrawal, stream.TypeWithdrawalCompleted,
		ledger.PlayerWithdrawing(p.Player, p.Jurisdiction), ledger.PSP(p.Provider, p.Jurisdiction))
}

// Return moves money from withdrawing back to the player's cash.
func (b books) Return(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.commit(ctx, p, "return", ledger.KindWithdrawalReturn, stream.TypeWithdrawalReturned,
		ledger.PlayerWithdrawing(p.Player, p.Jurisdiction), ledger.PlayerCash(p.Player, p.Jurisdiction))
}

// commit makes the transfer of one step of a payment.
func (b books) commit(ctx context.Context, p payments.Payment, step string, kind ledger.Kind, record string, from, to ledger.Address) (stream.Position, error) {
	data, err := json.Marshal(stream.PaymentChanged{
		PaymentID: p.ID, PlayerID: p.Player, Jurisdiction: p.Jurisdiction,
		AmountMinor: p.Amount.Minor(), Currency: string(p.Amount.Currency()), Provider: p.Provider, Reason: p.Reason,
	})
	if err != nil {
		return stream.Position{}, fmt.Errorf("%s %s: %w", step, p.ID, err)
	}
	result, err := b.ledger.Commit(ctx, ledger.LaneInteractive, ledger.Transfer{
		Key: step + "/" + p.ID, Kind: kind, Player: p.Player, Jurisdiction: p.Jurisdiction, Currency: p.Amount.Currency(),
		Postings: []ledger.Posting{{Account: from, AmountMinor: -p.Amount.Minor()}, {Account: to, AmountMinor: p.Amount.Minor()}},
		Record:   &stream.Draft{Type: record, Subject: p.ID, Data: data},
		Request:  []byte(p.ID),
	})
	if err != nil {
		return stream.Position{}, fmt.Errorf("%s %s: %w", step, p.ID, err)
	}
	return result.Position, nil
}
