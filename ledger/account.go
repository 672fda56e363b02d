package ledger

import (
	"strings"

	"matchday/id"
)

// Address is the path of an account. Player accounts start with player/{player}/{jurisdiction}/;
// every other account is a house account that exists once per shard and jurisdiction.
type Address string

// PlayerCash is the player's own money; it may not fall below zero available.
func PlayerCash(p id.Player, j id.Jurisdiction) Address {
	return Address("player/" + string(p) + "/" + string(j) + "/cash")
}

// PlayerWithdrawing is money on its way out, no longer available for bets.
func PlayerWithdrawing(p id.Player, j id.Jurisdiction) Address {
	return Address("player/" + string(p) + "/" + string(j) + "/withdrawing")
}

// PlayerOwed is what a player owes after a corrected result took back money already spent
// (debit-normal: zero or negative).
func PlayerOwed(p id.Player, j id.Jurisdiction) Address {
	return Address("player/" + string(p) + "/" + string(j) + "/owed")
}

// Bets is the escrow of open stakes.
func Bets(j id.Jurisdiction, product string) Address {
	return Address("bets/" + string(j) + "/" + product)
}

// Revenue collects settled stakes less payouts; a losing day makes it negative.
func Revenue(j id.Jurisdiction, product string) Address {
	return Address("revenue/" + string(j) + "/" + product)
}

// PSP is the money held by a payment provider for the jurisdiction (an asset: zero or negative).
func PSP(provider string, j id.Jurisdiction) Address {
	return Address("psp/" + provider + "/" + string(j))
}

// Adjustments is the counter-account of corrections made by staff.
func Adjustments(j id.Jurisdiction) Address { return Address("adjustments/" + string(j)) }

// Player returns the player of a player account, or "" for a house account.
func (a Address) Player() id.Player {
	rest, ok := strings.CutPrefix(string(a), "player/")
	if !ok {
		return ""
	}
	player, _, _ := strings.Cut(rest, "/")
	return id.Player(player)
}
