package web

import (
	"strconv"
	"strings"
	"time"

	"matchday/history"
	"matchday/ledger"
	"matchday/odds"
	"matchday/payments"
	"matchday/sportsbook"
)

// betView is one bet on the page of bets.
type betView struct {
	ID, Title  string
	Status     history.Status
	Placed     string
	Settled    string
	Stake      string
	PayoutName string // "To return", "Paid"
	Payout     string
	Price      string // of the whole bet, for people
	Version    int
	Legs       []legView
}

// legView is one leg of a bet.
type legView struct {
	Name, Market, Event, Price, Outcome, When string
	EventID                                   string
}

// statusNames are how pages call the status of a bet.
var statusNames = map[history.Status]string{
	history.StatusOpen: "Open", history.StatusWon: "Won", history.StatusLost: "Lost",
	history.StatusPush: "Push", history.StatusVoid: "Void",
}

// outcomeName is what a screen reader says of a leg's mark.
func outcomeName(outcome string) string {
	if outcome == "" {
		return "undecided"
	}
	return outcome
}

// bet makes the view of a bet.
func bet(b history.Bet, now time.Time, zone *time.Location) betView {
	v := betView{
		ID: string(b.ID), Status: b.Status, Placed: pastText(b.PlacedAt, now, zone), Settled: pastText(b.SettledAt, now, zone),
		Stake: amountText(b.Stake), PayoutName: "To return", Payout: amountText(b.PotentialPayout), Version: b.Version,
	}
	if b.Status != history.StatusOpen {
		v.PayoutName, v.Payout = "Paid", amountText(b.Payout)
	}
	v.Title = "Single"
	if len(b.Legs) > 1 {
		v.Title = strconv.Itoa(len(b.Legs)) + "-leg parlay"
	}
	for _, l := range b.Legs {
		v.Legs = append(v.Legs, leg(l, now, zone))
	}
	if len(b.Legs) == 1 {
		v.Price = v.Legs[0].Price
	}
	return v
}

func leg(l history.Leg, now time.Time, zone *time.Location) legView {
	v := legView{
		EventID: l.EventID,
		Name:    l.SelectionName, Market: marketNames[sportsbook.MarketType(l.Market)], Event: l.EventName,
		Price: minus(l.Price), Outcome: l.Outcome, When: pastText(time.UnixMilli(l.StartsAtMS), now, zone),
	}
	if l.Line == nil {
		return v
	}
	if line, err := odds.ParseLine(*l.Line); err == nil {
		v.Name = nameWithLine(l.SelectionName, lineText(sportsbook.MarketType(l.Market), l.Selection, &line))
	}
	return v
}

// nameWithLine puts a line behind a selection's name: "Buffalo +3.5", "Over 46.5".
func nameWithLine(name, line string) string {
	return name + " " + bareLine(line)
}

// bareLine is a line without the over or under that the name already says.
func bareLine(line string) string {
	return strings.TrimPrefix(strings.TrimPrefix(line, "O "), "U ")
}

// kindNames are how a statement calls the movements of a player's cash.
var kindNames = map[ledger.Kind]string{
	ledger.KindDeposit: "Deposit", ledger.KindWithdrawalRequest: "Withdrawal", ledger.KindWithdrawalReturn: "Withdrawal returned",
	ledger.KindStake: "Stake", ledger.KindSettlement: "Payout", ledger.KindVoid: "Bet void, stake back",
	ledger.KindResettlement: "Corrected result", ledger.KindPost: "Reserved money taken", ledger.KindAdjustment: "Adjustment",
	ledger.KindOwedRecovery: "Recovery of an overpayment",
}

// lineView is one line of a statement.
type lineView struct {
	At, Kind, Amount, Balance string
	Bet                       string // address of the bet that it is about, if it is about one
	In                        bool
}

// paymentView is one deposit or withdrawal.
type paymentView struct {
	At, Name, Amount, Status, Note string
}

// payment makes the view of a payment.
func payment(p payments.Payment, zone *time.Location) paymentView {
	v := paymentView{
		At: momentText(p.CreatedAt, zone), Name: "Deposit", Amount: amountText(p.Amount), Status: p.Status.String(),
		Note: strings.ReplaceAll(p.Reason, "_", " "),
	}
	if p.Direction == payments.DirectionWithdrawal {
		v.Name = "Withdrawal"
	}
	return v
}
