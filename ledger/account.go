package ledger

import (
	"strings"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
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

// elsewhere balances the accounts of the type whose players live on another shard now, and of which
// this shard keeps a copy: their balances and this one are zero together.
func elsewhere(t accountType, j id.Jurisdiction, c money.Currency) Address {
	return Address("elsewhere/" + t.String() + "/" + string(j) + "/" + string(c))
}

// Transit is money of a group on its way between players: what one transfer of the group leaves here
// another takes out, often on another shard. Over all shards it is zero when no group is open.
func Transit(j id.Jurisdiction) Address { return Address("transit/" + string(j)) }

// Player returns the player of a player account, or "" for a house account.
func (a Address) Player() id.Player {
	rest, ok := strings.CutPrefix(string(a), "player/")
	if !ok {
		return ""
	}
	player, _, _ := strings.Cut(rest, "/")
	return id.Player(player)
}

// Jurisdiction returns the jurisdiction of a well-formed address, or "".
func (a Address) Jurisdiction() id.Jurisdiction {
	parts, ok := parseAddress(string(a))
	if !ok {
		return ""
	}
	return parts.jurisdiction
}

// accountType is the role of an account: the kinds table and the balance rules speak of these.
type accountType uint8

const (
	typeCash accountType = iota + 1
	typeWithdrawing
	typeOwed
	typeBets
	typeRevenue
	typePSP
	typeAdjustments
	typeElsewhere
	typeTransit
)

// accountTypeNames are for messages to callers.
var accountTypeNames = [...]string{
	typeCash: "cash", typeWithdrawing: "withdrawing", typeOwed: "owed", typeBets: "bets",
	typeRevenue: "revenue", typePSP: "psp", typeAdjustments: "adjustments",
	typeElsewhere: "elsewhere",
	typeTransit:   "transit",
}

// ofPlayer reports whether such an account is a player's own.
func (t accountType) ofPlayer() bool { return playerRole(t.String()) != 0 }

func (t accountType) String() string { return accountTypeNames[t] }

// rule is the bound a balance must keep. The numbers are stored with each posting, where a CHECK
// constraint holds them a second time.
type rule int64

const (
	ruleFree      rule = 0
	ruleAvailable rule = 1 // posted less held is never below zero
	ruleOwed      rule = 2 // posted is never above zero
	ruleLimited   rule = 3 // the account has limits of its own; the log proves them
)

func (t accountType) rule() rule {
	switch t {
	case typeCash, typeWithdrawing:
		return ruleAvailable
	case typeOwed:
		return ruleOwed
	default:
		return ruleFree
	}
}

// maxAddress bounds an address; the grammar below cannot exceed it.
const maxAddress = 128

// addressParts is an address taken apart.
type addressParts struct {
	kind         accountType
	player       id.Player // "" for a house account
	jurisdiction id.Jurisdiction
}

// ParseAddress reads the text of an address. The forms are those of the constructors in this file;
// anything else is CodeInvalid.
func ParseAddress(text string) (Address, error) {
	if _, ok := parseAddress(text); !ok {
		return "", errs.New(errs.CodeInvalid, "%.40q is not an account address", text)
	}
	return Address(text), nil
}

// parseAddress takes text apart without allocating.
func parseAddress(text string) (addressParts, bool) {
	if len(text) > maxAddress {
		return addressParts{}, false
	}
	head, rest, _ := strings.Cut(text, "/")
	a, b, more := strings.Cut(rest, "/")
	switch head {
	case "player":
		jurisdiction, role, _ := strings.Cut(b, "/")
		kind := playerRole(role)
		ok := more && kind != 0 && isName(a, 64) && isJurisdiction(jurisdiction)
		return addressParts{kind, id.Player(a), id.Jurisdiction(jurisdiction)}, ok
	case "bets":
		return addressParts{typeBets, "", id.Jurisdiction(a)}, more && isJurisdiction(a) && isName(b, 32)
	case "revenue":
		return addressParts{typeRevenue, "", id.Jurisdiction(a)}, more && isJurisdiction(a) && isName(b, 32)
	case "psp":
		return addressParts{typePSP, "", id.Jurisdiction(b)}, more && isName(a, 32) && isJurisdiction(b)
	case "elsewhere":
		jurisdiction, currency, _ := strings.Cut(b, "/")
		ok := more && playerRole(a) != 0 && isJurisdiction(jurisdiction) && isCurrency(currency)
		return addressParts{typeElsewhere, "", id.Jurisdiction(jurisdiction)}, ok
	case "adjustments":
		return addressParts{typeAdjustments, "", id.Jurisdiction(a)}, !more && isJurisdiction(a)
	case "transit":
		return addressParts{typeTransit, "", id.Jurisdiction(a)}, !more && isJurisdiction(a)
	default:
		return addressParts{}, false
	}
}

func playerRole(role string) accountType {
	switch role {
	case "cash":
		return typeCash
	case "withdrawing":
		return typeWithdrawing
	case "owed":
		return typeOwed
	default:
		return 0
	}
}

// isName reports whether text is 1 to most letters, digits, underscores and hyphens.
func isName(text string, most int) bool {
	if text == "" || len(text) > most {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if !isDigit(c) && !isUpper(c) && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isJurisdiction reports whether text looks like GB or US-NJ. Whether such a place is licensed is
// for room jurisdiction to say.
func isJurisdiction(text string) bool {
	if len(text) < 2 || len(text) > 6 || !isUpper(text[0]) || !isUpper(text[1]) {
		return false
	}
	if len(text) == 2 {
		return true
	}
	if text[2] != '-' || len(text) == 3 {
		return false
	}
	for i := 3; i < len(text); i++ {
		if !isUpper(text[i]) && !isDigit(text[i]) {
			return false
		}
	}
	return true
}

// isCurrency reports whether text looks like USD.
func isCurrency(text string) bool {
	return len(text) == 3 && isUpper(text[0]) && isUpper(text[1]) && isUpper(text[2])
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
