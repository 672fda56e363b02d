package payments

import (
	"context"

	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// Books is the ledger as this room needs it; app adapts it. Each method is one transfer whose key
// is made of the operation's name and Payment.ID ("deposit/pay_..."), so repeating a call after a
// lost answer changes nothing and answers as the first time.
//
// Errors: unavailable and internal mean "ask again"; every other code is final under the key.
type Books interface {
	// Deposit moves the amount from the provider to the player's cash. key: "deposit/" + ID
	Deposit(ctx context.Context, p Payment) (stream.Position, error)
	// Withhold moves it from cash to withdrawing, or refuses: insufficient_funds. key: "withhold/" + ID
	Withhold(ctx context.Context, p Payment) (stream.Position, error)
	// Complete moves it from withdrawing to the provider. key: "complete/" + ID
	Complete(ctx context.Context, p Payment) (stream.Position, error)
	// Return moves it from withdrawing back to cash. key: "return/" + ID
	Return(ctx context.Context, p Payment) (stream.Position, error)
}

// Provider is a payment service. It must treat a repeated reference as the same payment and answer
// as the first time. An error means that nobody knows what happened: it will be asked by Query.
type Provider interface {
	// Name is the provider's name in addresses and records: lower-case letters, digits, hyphens.
	Name() string
	// Charge takes money from the player's payment method.
	Charge(ctx context.Context, r ProviderRequest) (ProviderAnswer, error)
	// Pay sends money to it.
	Pay(ctx context.Context, r ProviderRequest) (ProviderAnswer, error)
	// Query says how the payment with the reference stands.
	Query(ctx context.Context, reference string) (ProviderAnswer, error)
}

// ProviderRequest is one charge or payout.
type ProviderRequest struct {
	Reference    string // Payment.ID
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Amount       money.Money
	Method       string
}

// Outcome is a provider's word on a payment.
type Outcome int

// The outcomes. Approved and declined are final.
const (
	OutcomeApproved Outcome = iota + 1
	OutcomeDeclined
	OutcomePending // the provider is still working on it
	OutcomeUnknown // the provider never heard of the reference; only from Query
)

// ProviderAnswer is an outcome with the reason of a decline.
type ProviderAnswer struct {
	Outcome Outcome
	Reason  string // a short stable word: "card_declined"
}

// Limits is what this room asks about jurisdictions; jurisdiction.Registry answers it. A
// jurisdiction that is not served is not_found.
type Limits interface {
	// DepositRange returns the least and the most of a single deposit, in the currency of the
	// jurisdiction.
	DepositRange(j id.Jurisdiction) (least, most money.Money, err error)
	// WithdrawalLeast returns the least of a single withdrawal.
	WithdrawalLeast(j id.Jurisdiction) (money.Money, error)
}
