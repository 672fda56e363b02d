package payments

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"matchday/errs"
	"matchday/stream"
)

// step is where the state machine of a payment stands. Each step asks one other party one thing
// that may be asked again, and is left only after the answer has been stored.
//
//	deposit:    charge --approved--> credit ----------------> done (completed)
//	                  \--declined-------------------------> done (declined)
//	withdrawal: withhold --ok--> pay --approved--> complete -> done (completed)
//	                    \               \--declined--> return -> done (returned)
//	                     \--refused-------------------------> done (declined)
type step int

const (
	stepCharge   step = iota + 1 // ask the provider for the money
	stepCredit                   // the provider has it: credit the player's cash
	stepWithhold                 // move the money out of the player's reach
	stepPay                      // ask the provider to pay
	stepComplete                 // the provider has paid: take it out of the books
	stepReturn                   // the provider will not pay: give it back
	stepDone
)

var stepNames = []string{
	stepCharge: "charge", stepCredit: "credit", stepWithhold: "withhold", stepPay: "pay",
	stepComplete: "complete", stepReturn: "return", stepDone: "done",
}

// String returns the name that metrics and logs use.
func (s step) String() string {
	if s < stepCharge || s > stepDone {
		return "unknown"
	}
	return stepNames[s]
}

func firstStep(d Direction) step {
	if d == DirectionDeposit {
		return stepCharge
	}
	return stepWithhold
}

// maxReasonBytes bounds what is kept of a provider's reason.
const maxReasonBytes = 100

// loudAttempts is the number of tries in a row after which a payment is worth a line in the log.
const loudAttempts = 8

var errStillPending = errors.New("the provider is still working on it")

// drive takes a payment as far as it will go now: to its end, or to a step that has to be tried
// again later. fresh says that the provider cannot have heard of it yet. It returns the payment as
// stored; a payment that another worker has moved meanwhile is left to that worker.
//
// When ctx ends the payment stays as it is, as after a crash.
func (s *Service) drive(ctx context.Context, p Payment, fresh bool) Payment {
	for !p.Status.IsFinal() && ctx.Err() == nil {
		next, err := s.advance(ctx, p, fresh)
		if err != nil {
			return s.postpone(ctx, p, err)
		}
		next.attempts, next.UpdatedAt = 0, s.clock.Now()
		moved, err := s.store.save(ctx, p, next, next.UpdatedAt.Add(lease))
		if err != nil {
			return s.postpone(ctx, p, err)
		}
		if !moved {
			return p
		}
		p = next
		if p.Status.IsFinal() {
			s.metrics.finished.WithLabelValues(string(p.Jurisdiction), p.Direction.String(), p.Status.String()).Inc()
		}
	}
	return p
}

// advance does the one thing of the payment's step and returns the payment after it.
func (s *Service) advance(ctx context.Context, p Payment, fresh bool) (Payment, error) {
	switch p.step {
	case stepCharge:
		return s.askProvider(ctx, p, fresh, s.provider.Charge)
	case stepPay:
		return s.askProvider(ctx, p, fresh, s.provider.Pay)
	case stepWithhold:
		position, err := s.write(ctx, p, s.books.Withhold)
		if isFinal(err) {
			return p.end(StatusDeclined, string(errs.CodeOf(err))), nil
		}
		p.Position, p.step = position, stepPay
		return p, err
	case stepCredit:
		return s.bookEnd(ctx, p, StatusCompleted, s.books.Deposit)
	case stepComplete:
		return s.bookEnd(ctx, p, StatusCompleted, s.books.Complete)
	case stepReturn:
		return s.bookEnd(ctx, p, StatusReturned, s.books.Return)
	default:
		return p, errs.New(errs.CodeInternal, "payment %s has step %d", p.ID, p.step)
	}
}

// askProvider charges or pays. Only a payment the provider cannot know is asked for straight away;
// every other is queried first, and asked for only if the provider has never heard of it.
func (s *Service) askProvider(ctx context.Context, p Payment, fresh bool, ask func(context.Context, ProviderRequest) (ProviderAnswer, error)) (Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.ProviderTimeout)
	defer cancel()
	answer := ProviderAnswer{Outcome: OutcomeUnknown}
	var err error
	if !fresh {
		if answer, err = s.provider.Query(ctx, p.ID); err != nil {
			return p, err
		}
	}
	if answer.Outcome == OutcomeUnknown {
		answer, err = ask(ctx, ProviderRequest{
			Reference: p.ID, Player: p.Player, Jurisdiction: p.Jurisdiction, Amount: p.Amount, Method: p.Method,
		})
		if err != nil {
			return p, err
		}
	}
	return p.answered(answer)
}

// answered is the payment after the provider's answer.
func (p Payment) answered(answer ProviderAnswer) (Payment, error) {
	switch answer.Outcome {
	case OutcomeApproved:
		p.step = stepCredit
		if p.Direction == DirectionWithdrawal {
			p.step = stepComplete
		}
		return p, nil
	case OutcomeDeclined:
		reason := cleanReason(answer.Reason)
		if p.Direction == DirectionWithdrawal {
			p.step, p.Reason = stepReturn, reason
			return p, nil
		}
		return p.end(StatusDeclined, reason), nil
	default:
		return p, errStillPending
	}
}

// cleanReason keeps what may be stored and shown of a provider's word.
func cleanReason(text string) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text) && i < maxReasonBytes; i++ {
		if c := text[i]; c >= ' ' && c <= '~' {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return "declined"
	}
	return string(out)
}

// end is the payment with its final status.
func (p Payment) end(status Status, reason string) Payment {
	p.Status, p.Reason, p.step = status, reason, stepDone
	return p
}

// bookEnd writes the last transfer of a payment. The provider has decided, so the books must follow:
// a refusal is nothing the player can mend, it is tried again and somebody is told.
func (s *Service) bookEnd(ctx context.Context, p Payment, status Status, transfer func(context.Context, Payment) (stream.Position, error)) (Payment, error) {
	position, err := s.write(ctx, p, transfer)
	if err != nil {
		if isFinal(err) {
			s.metrics.stuck.WithLabelValues(string(p.Jurisdiction)).Inc()
			s.log.ErrorContext(ctx, "books refuse money that has moved", "payment_id", p.ID, "player_id", p.Player,
				"jurisdiction", p.Jurisdiction, "step", p.step.String(), "error", err)
		}
		return p, err
	}
	p.Position = position
	return p.end(status, p.Reason), nil
}

func (s *Service) write(ctx context.Context, p Payment, transfer func(context.Context, Payment) (stream.Position, error)) (stream.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.BooksTimeout)
	defer cancel()
	return transfer(ctx, p)
}

// isFinal reports whether an answer of the books will be the same however often it is asked for.
func isFinal(err error) bool {
	switch errs.CodeOf(err) {
	case "", errs.CodeUnavailable, errs.CodeInternal, errs.CodeRateLimited:
		return false
	default:
		return true
	}
}

// postpone stores when to try again. If even that fails the payment's lease runs out by itself.
func (s *Service) postpone(ctx context.Context, p Payment, cause error) Payment {
	if ctx.Err() != nil {
		return p
	}
	p.attempts++
	s.metrics.postponed.WithLabelValues(string(p.Jurisdiction), p.Direction.String(), p.step.String()).Inc()
	if p.attempts%loudAttempts == 0 {
		s.log.WarnContext(ctx, "payment takes long", "payment_id", p.ID, "jurisdiction", p.Jurisdiction,
			"step", p.step.String(), "attempts", p.attempts, "error", cause)
	}
	if err := s.store.postpone(ctx, p, s.clock.Now().Add(s.backoff(p.attempts))); err != nil {
		s.log.WarnContext(ctx, "payment not postponed", "payment_id", p.ID, "error", err)
	}
	return p
}

// backoff doubles with each try up to a bound, less up to a quarter at random, so that payments
// which failed together do not come back together.
func (s *Service) backoff(attempts int) time.Duration {
	wait := s.config.RetryFirst
	for i := 1; i < attempts && wait < s.config.RetryMost; i++ {
		wait *= 2
	}
	wait = min(wait, s.config.RetryMost)
	return wait - time.Duration(rand.Int64N(int64(wait)/4+1)) // #nosec: not a secret
}
