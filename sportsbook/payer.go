package sportsbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

// payoutQueue is the name of the command queue from settlement to the payer.
const payoutQueue = "payouts"

// payoutCommand asks the payer to bring one bet from one settlement version to the next. It says
// what the version before had done with the money, so that the payer needs no look-up.
type payoutCommand struct {
	stream.BetSettled // the version to reach
	StakeMinor        int64
	WasOpen           bool  // the stake is in escrow
	PaidMinor         int64 // the payout of the version before
}

// maxPayoutCommands bounds the commands of one message.
const maxPayoutCommands = 1000

// payer is the receiving end of payout commands: it turns each into one ledger transfer that carries
// the BetSettled record.
//
// Idempotency: the transfer's key is settle/{bet}/{version}. A command that comes twice is answered
// by the ledger with what it did the first time; two different commands for one version cannot both
// happen, and the sender learns from the log which of them did.
type payer struct {
	ledger  Ledger
	log     *slog.Logger
	metrics *settleMetrics
	refused func(c *payoutCommand) // hears of a command that can never be committed; it must be quick
}

// handle pays one message. It returns nil once every command of it is durable or can never be: the
// queue then forgets the message, and the sender asks again for what is missing. Only a ledger that
// is unavailable is an error.
func (p *payer) handle(ctx context.Context, payload []byte) error {
	commands, err := parsePayouts(payload)
	if err != nil {
		p.metrics.refused.Inc()
		p.log.ErrorContext(ctx, "payout message is not readable", "bytes", len(payload), "error", err)
		return nil
	}
	transfers := make([]ledger.Transfer, len(commands))
	for i := range commands {
		transfers[i] = commands[i].transfer()
	}
	results, err := p.ledger.CommitBatch(ctx, ledger.LaneBulk, transfers)
	if err != nil {
		return fmt.Errorf("pay %d bets: %w", len(transfers), err)
	}
	owed, err := p.sift(ctx, commands, results)
	if err != nil || len(owed) == 0 {
		return err
	}
	return p.owe(ctx, owed)
}

// sift looks through the answers of the ledger and returns the commands that have to go to the
// player's debt, because their version was refused for lack of funds.
func (p *payer) sift(ctx context.Context, commands []payoutCommand, results []ledger.Result) ([]payoutCommand, error) {
	var owed []payoutCommand
	var unavailable error
	for i, r := range results {
		c := &commands[i]
		switch errs.CodeOf(r.Err) {
		case "":
			p.metrics.paid(r.Replayed)
		case errs.CodeInsufficientFunds:
			owed = append(owed, *c)
		case errs.CodeUnavailable:
			unavailable = errors.Join(unavailable, fmt.Errorf("pay bet %s: %w", c.BetID, r.Err))
		case errs.CodeConflict:
			before, err := p.refusedBefore(ctx, c, settleKey(c.BetID, c.Version))
			switch {
			case err != nil:
				return nil, fmt.Errorf("pay bet %s: %w", c.BetID, err)
			case errs.Is(before, errs.CodeInsufficientFunds):
				owed = append(owed, *c)
			case before != nil:
				p.refuse(ctx, c, before)
			default:
				p.metrics.superseded.Inc() // another command has settled this version; the log tells the sender
			}
		default:
			p.refuse(ctx, c, r.Err)
		}
	}
	return owed, firstLine(unavailable)
}

// firstLine keeps the first of joined errors: a ledger that is down refuses all of a message.
func firstLine(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return firstLine(joined.Unwrap()[0])
	}
	return err
}

// refuse gives up a command that can never be committed, and tells settlement.
func (p *payer) refuse(ctx context.Context, c *payoutCommand, why error) {
	p.metrics.refused.Inc()
	p.log.ErrorContext(ctx, "payout refused", "bet_id", c.BetID, "version", c.Version, "code", errs.CodeOf(why), "error", why)
	p.refused(c)
}

// refusedBefore returns the refusal that a key holds, of a command that wanted something else; nil if
// that one was committed.
func (p *payer) refusedBefore(ctx context.Context, c *payoutCommand, key string) (refusal, err error) {
	r, found, err := p.ledger.Lookup(ctx, c.PlayerID, key, nil)
	if err != nil || !found || r.Err == nil {
		return nil, err
	}
	return r.Err, nil
}

// owe commits corrections that take back money which the player has already spent: it becomes the
// player's debt, under a key of its own because the refusal is final under the first.
func (p *payer) owe(ctx context.Context, commands []payoutCommand) error {
	transfers := make([]ledger.Transfer, len(commands))
	for i := range commands {
		transfers[i] = commands[i].owedTransfer()
	}
	results, err := p.ledger.CommitBatch(ctx, ledger.LaneBulk, transfers)
	if err != nil {
		return fmt.Errorf("owe %d bets: %w", len(transfers), err)
	}
	for i, r := range results {
		c := &commands[i]
		switch errs.CodeOf(r.Err) {
		case "":
			p.metrics.owed.WithLabelValues(string(c.Jurisdiction)).Inc()
		case errs.CodeUnavailable:
			return fmt.Errorf("owe bet %s: %w", c.BetID, r.Err)
		case errs.CodeConflict:
			before, err := p.refusedBefore(ctx, c, settleKey(c.BetID, c.Version)+owedSuffix)
			switch {
			case err != nil:
				return fmt.Errorf("owe bet %s: %w", c.BetID, err)
			case before != nil:
				p.refuse(ctx, c, before)
			default:
				p.metrics.superseded.Inc()
			}
		default:
			p.refuse(ctx, c, r.Err)
		}
	}
	return nil
}

// owedSuffix makes the key of a version that became a debt.
const owedSuffix = "/owed"

// settleKey is the idempotency key of a bet's settlement version.
func settleKey(bet id.Bet, version int) string {
	return "settle/" + string(bet) + "/" + strconv.Itoa(version)
}

// transfer returns the transfer that does what the command asks.
func (c *payoutCommand) transfer() ledger.Transfer {
	return c.transferTo(settleKey(c.BetID, c.Version), ledger.PlayerCash(c.PlayerID, c.Jurisdiction))
}

// owedTransfer returns the same with the player's debt in place of the player's cash. What a player
// receives goes to cash all the same.
func (c *payoutCommand) owedTransfer() ledger.Transfer {
	account := ledger.PlayerOwed(c.PlayerID, c.Jurisdiction)
	if c.cashMinor() >= 0 {
		account = ledger.PlayerCash(c.PlayerID, c.Jurisdiction)
	}
	return c.transferTo(settleKey(c.BetID, c.Version)+owedSuffix, account)
}

// cashMinor is what the player gets, or gives back if it is negative.
func (c *payoutCommand) cashMinor() int64 { return c.PayoutMinor - c.PaidMinor }

// transferTo moves the difference between the version before and this one: escrow holds the stake
// while the bet is open; of a settled bet the player has the payout, and revenue the rest.
func (c *payoutCommand) transferTo(key string, player ledger.Address) ledger.Transfer {
	isOpen := c.Outcome == outcomeOpen
	var escrow int64
	if c.WasOpen {
		escrow -= c.StakeMinor
	}
	if isOpen {
		escrow += c.StakeMinor
	}
	cash := c.cashMinor()
	postings := make([]ledger.Posting, 0, 3)
	add := func(a ledger.Address, amount int64) {
		if amount != 0 {
			postings = append(postings, ledger.Posting{Account: a, AmountMinor: amount})
		}
	}
	revenue := ledger.Revenue(c.Jurisdiction, Product)
	add(ledger.Bets(c.Jurisdiction, Product), escrow)
	add(player, cash)
	add(revenue, -escrow-cash)
	if len(postings) == 0 { // another outcome, the same money: push to void, for example
		postings = append(postings, ledger.Posting{Account: player}, ledger.Posting{Account: revenue})
	}
	data := appendSettled(make([]byte, 0, 256), &c.BetSettled)
	return ledger.Transfer{
		Key:          key,
		Kind:         c.kind(),
		Player:       c.PlayerID,
		Jurisdiction: c.Jurisdiction,
		Currency:     money.Currency(c.Currency),
		Postings:     postings,
		Record:       &stream.Draft{Type: stream.TypeBetSettled, Subject: string(c.BetID), Data: data},
		Request:      c.digest(),
	}
}

// kind returns the ledger's word for the command.
func (c *payoutCommand) kind() ledger.Kind {
	switch {
	case !c.WasOpen:
		return ledger.KindResettlement
	case c.Outcome == stream.OutcomePush, c.Outcome == stream.OutcomeVoid:
		return ledger.KindVoid
	}
	return ledger.KindSettlement
}

// digest is what makes two commands for one version the same request: leg outcomes and reason may
// differ, because a parlay that is lost can be graded again while its other legs are decided.
func (c *payoutCommand) digest() []byte {
	b := make([]byte, 0, 48)
	b = append(b, c.Outcome...)
	for _, n := range [...]int64{c.PayoutMinor, c.PaidMinor, c.StakeMinor} {
		b = append(b, ' ')
		b = strconv.AppendInt(b, n, 10)
	}
	return strconv.AppendBool(append(b, ' '), c.WasOpen)
}
