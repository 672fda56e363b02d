// Package ledgertest holds what every engine of the ledger is tested with: a model of the ledger
// that is too simple to be wrong, and a conformance suite that compares an engine with it.
//
// The model knows nothing of shards, batches, files or restarts. It is for tests only: it is not
// safe for concurrent use and keeps everything in memory.
package ledgertest

import (
	"bytes"
	"time"

	"matchday/errs"
	"matchday/ledger"
)

// Model is the ledger as a map of balances, a map of keys and a map of holds.
type Model struct {
	Posted map[ledger.Address]int64
	Held   map[ledger.Address]int64

	answers map[string]Answer
	asked   map[string]ledger.Transfer
	holds   map[string]*hold
	order   []string // keys of holds, oldest first
	limits  map[ledger.Address]ledger.Limits
	groups  map[string]modelGroup
}

// Answer is what a ledger should say to a transfer.
type Answer struct {
	Code     errs.Code // "" if committed
	Replayed bool
	Balances []int64
}

type hold struct {
	transfer       ledger.Transfer
	source, target ledger.Address
	amount         int64
	expires        time.Time
	ended          bool
}

// NewModel returns an empty ledger.
func NewModel() *Model {
	return &Model{
		Posted: map[ledger.Address]int64{}, Held: map[ledger.Address]int64{},
		answers: map[string]Answer{}, asked: map[string]ledger.Transfer{}, holds: map[string]*hold{},
		limits: map[ledger.Address]ledger.Limits{}, groups: map[string]modelGroup{},
	}
}

// Commit applies a transfer that is well-formed.
func (m *Model) Commit(t ledger.Transfer, now time.Time) Answer {
	if first, ok := m.answers[t.Key]; ok {
		if !same(t, m.asked[t.Key]) {
			return Answer{Code: errs.CodeConflict}
		}
		first.Replayed = true
		return first
	}
	answer := m.apply(t, now)
	if answer.Code == "" || final(answer.Code) {
		m.answers[t.Key], m.asked[t.Key] = answer, t
	}
	return answer
}

// same reports whether two transfers are the same request.
func same(a, b ledger.Transfer) bool {
	if a.Kind != b.Kind || a.Player != b.Player || a.HoldKey != b.HoldKey || a.AmountMinor != b.AmountMinor ||
		len(a.Postings) != len(b.Postings) {
		return false
	}
	for i := range a.Postings {
		if a.Postings[i] != b.Postings[i] {
			return false
		}
	}
	if a.Record != nil && (b.Record == nil || !bytes.Equal(a.Record.Data, b.Record.Data)) {
		return false
	}
	return a.Hold == nil || a.Hold.ExpiresAt.Equal(b.Hold.ExpiresAt)
}

func (m *Model) apply(t ledger.Transfer, now time.Time) Answer {
	switch t.Kind {
	case ledger.KindPost, ledger.KindRelease, ledger.KindExpire:
		return m.resolve(t, now)
	case ledger.KindHold:
		if !t.Hold.ExpiresAt.After(now) {
			return Answer{Code: errs.CodeInvalid}
		}
	}
	for _, p := range t.Postings {
		if code := m.allows(t.Kind, p, now); code != "" {
			return Answer{Code: code, Balances: m.balances(t)}
		}
	}
	if t.Kind == ledger.KindHold {
		return m.reserve(t)
	}
	for _, p := range t.Postings {
		m.Posted[p.Account] += p.AmountMinor
	}
	return Answer{Balances: m.balances(t)}
}

func (m *Model) balances(t ledger.Transfer) []int64 {
	var out []int64
	for _, p := range t.Postings {
		out = append(out, m.Posted[p.Account])
	}
	return out
}

// allows says why a posting is refused, after ending what holds have run out.
func (m *Model) allows(kind ledger.Kind, p ledger.Posting, now time.Time) errs.Code {
	code := m.judge(kind, p)
	if code == "" || m.Held[p.Account] == 0 {
		return code
	}
	for _, key := range m.order {
		if h := m.holds[key]; h.source == p.Account && !h.ended && !h.expires.After(now) {
			m.end(h)
		}
	}
	return m.judge(kind, p)
}

// judge says why a posting is refused.
func (m *Model) judge(kind ledger.Kind, p ledger.Posting) errs.Code {
	after := m.Posted[p.Account] + p.AmountMinor
	if l := m.limits[p.Account]; l.Version > 0 {
		return limited(l, kind, p.AmountMinor, after, m.Held[p.Account])
	}
	role := roleOf(p.Account)
	if (role == "cash" || role == "withdrawing") && p.AmountMinor < 0 && after < m.Held[p.Account] {
		return errs.CodeInsufficientFunds
	}
	if role == "owed" && p.AmountMinor > 0 && after > 0 {
		return errs.CodeLimitReached
	}
	return ""
}

// roleOf returns the last part of a player account's address.
func roleOf(a ledger.Address) string {
	if a.Player() == "" {
		return ""
	}
	text := string(a)
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '/' {
			return text[i+1:]
		}
	}
	return ""
}

func (m *Model) reserve(t ledger.Transfer) Answer {
	h := &hold{transfer: t, expires: t.Hold.ExpiresAt}
	for _, p := range t.Postings {
		if p.AmountMinor < 0 {
			h.source, h.amount = p.Account, -p.AmountMinor
		} else {
			h.target = p.Account
		}
	}
	m.Held[h.source] += h.amount
	m.holds[t.Key] = h
	m.order = append(m.order, t.Key)
	return Answer{Balances: []int64{m.Posted[h.source]}}
}

func (m *Model) end(h *hold) {
	m.Held[h.source] -= h.amount
	h.ended = true
}

func (m *Model) resolve(t ledger.Transfer, now time.Time) Answer {
	h := m.holds[t.HoldKey]
	if h == nil || h.transfer.Player != t.Player {
		return Answer{Code: errs.CodeNotFound}
	}
	ranOut := !h.expires.After(now)
	if h.ended || (t.Kind == ledger.KindPost && ranOut) || (t.Kind == ledger.KindExpire && !ranOut) {
		return Answer{Code: errs.CodeConflict}
	}
	if t.AmountMinor > h.amount {
		return Answer{Code: errs.CodeInvalid}
	}
	m.end(h)
	if t.Kind != ledger.KindPost {
		return Answer{Balances: []int64{m.Posted[h.source]}}
	}
	amount := t.AmountMinor
	if amount == 0 {
		amount = h.amount
	}
	m.Posted[h.source] -= amount
	m.Posted[h.target] += amount
	return Answer{Balances: []int64{m.Posted[h.source], m.Posted[h.target]}}
}
