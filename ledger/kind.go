package ledger

import (
	"matchday/errs"
)

// kindRow is a row of the kinds table: the name of a kind and which types of account it may debit
// (money leaves) and credit (money arrives).
type kindRow struct {
	name    string
	debits  typeSet
	credits typeSet
	// zero allows postings of nothing: the record of a bet that grades differently for the same money
	// still needs a transfer to ride on.
	zero bool
	// resolves marks the kinds that end a hold: they name the hold and bring no postings.
	resolves bool
	// due marks what the house owes, gives back or corrects: an account's limits do not refuse it.
	due bool
	// crosses allows the kind in a group over several shards: once reserved, it can always be completed.
	crosses bool
	// grouped marks the kinds that only make sense within a group.
	grouped bool
	// internal marks the kinds that only the ledger itself makes.
	internal bool
}

// typeSet is a set of account types, one bit each.
type typeSet uint16

func types(list ...accountType) typeSet {
	var s typeSet
	for _, t := range list {
		s |= 1 << t
	}
	return s
}

func (s typeSet) has(t accountType) bool { return s&(1<<t) != 0 }

// kinds is the table of what may move where. A kind that is not here does not exist.
var kinds = [...]kindRow{
	KindDeposit: {name: "deposit", debits: types(typePSP), credits: types(typeCash), crosses: true},
	KindWithdrawalRequest: {name: "withdrawal_request", debits: types(typeCash), credits: types(typeWithdrawing),
		crosses: true},
	KindWithdrawal:       {name: "withdrawal", debits: types(typeWithdrawing), credits: types(typePSP)},
	KindWithdrawalReturn: {name: "withdrawal_return", debits: types(typeWithdrawing), credits: types(typeCash), due: true},
	KindStake:            {name: "stake", debits: types(typeCash), credits: types(typeBets), crosses: true},
	KindSettlement: {name: "settlement", debits: types(typeBets, typeRevenue),
		credits: types(typeCash, typeRevenue, typeOwed), due: true, crosses: true},
	KindVoid: {name: "void", debits: types(typeBets), credits: types(typeCash), due: true, crosses: true},
	KindResettlement: {name: "resettlement", debits: types(typeRevenue, typeBets, typeCash, typeOwed),
		credits: types(typeRevenue, typeBets, typeCash, typeOwed), zero: true, due: true},
	KindHold:    {name: "hold", debits: types(typeCash), credits: types(typeBets, typeWithdrawing)},
	KindPost:    {name: "post", resolves: true},
	KindRelease: {name: "release", resolves: true},
	KindExpire:  {name: "expire", resolves: true},
	KindAdjustment: {name: "adjustment", debits: types(typeAdjustments, typeCash, typeOwed),
		credits: types(typeAdjustments, typeCash, typeOwed), due: true, crosses: true},
	KindOwedRecovery: {name: "owed_recovery", debits: types(typeCash), credits: types(typeOwed), due: true},
	KindMoveOut:      {name: "move_out", debits: sharedTypes, credits: sharedTypes, internal: true},
	KindMoveIn:       {name: "move_in", debits: sharedTypes, credits: sharedTypes, internal: true},
	KindLimits:       {name: "limits", internal: true},
	KindMetadata:     {name: "metadata", internal: true},
	KindPlayerTransfer: {name: "player_transfer", debits: types(typeCash, typeTransit),
		credits: types(typeCash, typeTransit), crosses: true, grouped: true},
	KindGroup:        {name: "group", internal: true},
	KindGroupBegin:   {name: "group_begin", internal: true},
	KindGroupPrepare: {name: "group_prepare", internal: true},
	KindGroupEnd:     {name: "group_end", internal: true},
}

// sharedTypes are the types of account of which every shard has a share.
var sharedTypes = types(typeBets, typeRevenue, typePSP, typeAdjustments, typeElsewhere, typeTransit)

// valid reports whether the kind is in the table.
func (k Kind) valid() bool { return int(k) < len(kinds) && kinds[k].name != "" }

// String returns the kind's name, for example "deposit".
func (k Kind) String() string {
	if !k.valid() {
		return "unknown"
	}
	return kinds[k].name
}

// ParseKind reads a name as String writes it; anything else is CodeInvalid.
func ParseKind(text string) (Kind, error) {
	for k := KindDeposit; int(k) < len(kinds); k++ {
		if kinds[k].name == text && text != "" {
			return k, nil
		}
	}
	return 0, errs.New(errs.CodeInvalid, "%.40q is not a kind of transfer", text)
}
