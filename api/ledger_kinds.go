package api

import (
	"slices"
	"strings"

	"matchday/errs"
	"matchday/ledger"
)

// serviceTypes are the types of account in which services may move money: those that no room keeps for
// itself, of bets and revenue those of products that are not the sportsbook's.
var serviceTypes = []string{"cash", "bets", "revenue", "psp", "adjustments", "transit"}

// serviceKinds are the kinds of transfer that a service can commit, with the accounts it may touch by them.
// A hold has routes of its own.
var serviceKinds = func() []ledger.KindRule {
	var out []ledger.KindRule
	for _, k := range ledger.KindRules() {
		kept := func(name string) bool { return !slices.Contains(serviceTypes, name) }
		k.Debits, k.Credits = slices.DeleteFunc(k.Debits, kept), slices.DeleteFunc(k.Credits, kept)
		if k.Kind != ledger.KindHold && len(k.Debits) > 0 && len(k.Credits) > 0 {
			out = append(out, k)
		}
	}
	return out
}()

// kindNames are their names.
func kindNames() []string {
	out := make([]string, len(serviceKinds))
	for i, k := range serviceKinds {
		out[i] = k.Kind.String()
	}
	return out
}

// kindsText says what each kind may move, for the document.
func kindsText() string {
	lines := make([]string, len(serviceKinds))
	for i, k := range serviceKinds {
		lines[i] = k.Kind.String() + " takes from " + strings.Join(k.Debits, ", ") + " and gives to " + strings.Join(k.Credits, ", ")
		if k.Grouped {
			lines[i] += " (only in a group)"
		}
	}
	return "Which types of account it may debit and credit: " + strings.Join(lines, "; ") + "."
}

// addressForms says what an address looks like, for errors and the document.
var addressForms = strings.Join(ledger.AddressForms(), ", ")

// ownKey is the caller's name for a key of the ledger: the key it sent, or "" for a key of anybody else,
// whose names are nobody else's business.
func (c *call) ownKey(key string) string {
	own, ok := strings.CutPrefix(key, c.scoped(""))
	if !ok {
		return ""
	}
	return own
}

// plain returns an error of the ledger with the caller's keys as it sent them.
func (c *call) plain(err error) error {
	e, ok := err.(*errs.Error) //nolint:errorlint // the ledger's own; one that is wrapped has text of the edge
	if !ok || !strings.Contains(e.Detail, c.scoped("")) {
		return err
	}
	out := *e
	out.Detail = strings.ReplaceAll(e.Detail, c.scoped(""), "")
	return &out
}
