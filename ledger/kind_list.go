package ledger

// KindRule says which accounts transfers of one kind may debit (money leaves) and credit (money arrives),
// by type of account. The type is what an address begins with, or, of a player's accounts, what it ends
// with: cash, withdrawing, owed.
type KindRule struct {
	Kind            Kind
	Debits, Credits []string
	Grouped         bool // only within a group
}

// KindRules returns the kinds that bring postings of their own, holds included, in the order of the kinds.
func KindRules() []KindRule {
	var out []KindRule
	for k := range kinds {
		row := &kinds[k]
		if row.name == "" || row.internal || row.resolves {
			continue
		}
		out = append(out, KindRule{Kind: Kind(k), Debits: row.debits.list(), Credits: row.credits.list(), Grouped: row.grouped}) // #nosec G115: an index of the table
	}
	return out
}

// list names the types of a set.
func (s typeSet) list() []string {
	var out []string
	for t := typeCash; int(t) < len(accountTypeNames); t++ {
		if s.has(t) {
			out = append(out, t.String())
		}
	}
	return out
}

// AddressForms are the forms of account addresses, for messages and documents.
func AddressForms() []string {
	return []string{
		"player/{player}/{jurisdiction}/cash", "player/{player}/{jurisdiction}/withdrawing", "player/{player}/{jurisdiction}/owed",
		"bets/{jurisdiction}/{product}", "revenue/{jurisdiction}/{product}", "psp/{provider}/{jurisdiction}",
		"adjustments/{jurisdiction}", "transit/{jurisdiction}",
	}
}
