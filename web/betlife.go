package web

import (
	"time"

	"matchday/history"
	"matchday/money"
)

// stepView is one thing that happened to a bet.
type stepView struct {
	What     string
	When     string
	Note     string
	Amount   string // what it moved on the player's account, signed
	In       bool   // the amount came in
	Mark     string // of the step: a status, or "waiting"
	Legs     []legChange
	Position string // of its record, for staff
}

// legChange is a leg that got another outcome.
type legChange struct{ Name, Outcome, Text string }

// life tells what has happened to a bet, oldest first.
func life(b history.BetLife, zone *time.Location) []stepView {
	currency := b.Stake.Currency()
	steps := []stepView{{
		What: "Placed", When: exactText(b.PlacedAt, zone), Amount: signedText(money.New(-b.Stake.Minor(), currency)),
		Note: "The stake left the balance. Returns " + amountText(b.PotentialPayout) + " if every leg wins.",
		Mark: "placed", Position: b.Placed.String(),
	}}
	var before history.Settlement
	for i, s := range b.Settlements {
		moved := money.New(s.Payout.Minor()-before.Payout.Minor(), currency)
		step := stepView{
			What: "Settled: " + string(s.Status), When: exactText(s.At, zone), Amount: signedText(moved), In: moved.Minor() > 0,
			Mark: string(s.Status), Note: settledNotes[s.Status], Legs: legChanges(b.Legs, before.Outcomes, s.Outcomes), Position: s.Position.String(),
		}
		if i > 0 {
			step.What = "Settled again: " + string(s.Status)
			step.Note = "A result was corrected. Paid before " + amountText(money.New(before.Payout.Minor(), currency)) + ", now " + amountText(s.Payout) + "."
		}
		if s.Status == history.StatusOpen {
			step.What = "Open again"
			step.Note = "A result was corrected, and another leg is undecided. Paid before " + amountText(money.New(before.Payout.Minor(), currency)) + ", now nothing."
		}
		steps = append(steps, step)
		before = s
	}
	if b.Status == history.StatusOpen {
		steps = append(steps, stepView{What: "Waits for the result", Mark: "waiting"})
	}
	return steps
}

// settledNotes say what a first settlement means for the money.
var settledNotes = map[history.Status]string{
	history.StatusWon: "Paid into the balance.", history.StatusLost: "Nothing is paid.",
	history.StatusPush: "A tie: the stake came back.", history.StatusVoid: "As if never placed: the stake came back.",
}

// legChanges are the legs whose outcome is another one than before.
func legChanges(legs []history.Leg, before, now []string) []legChange {
	var out []legChange
	for i := range min(len(legs), len(now)) {
		was := ""
		if i < len(before) {
			was = before[i]
		}
		if was == now[i] {
			continue
		}
		text := outcomeName(now[i])
		if was != "" {
			text += ", before: " + outcomeName(was)
		}
		out = append(out, legChange{Name: legs[i].SelectionName, Outcome: now[i], Text: text})
	}
	return out
}
