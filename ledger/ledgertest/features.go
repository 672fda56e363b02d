package ledgertest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/money"
)

// clone returns a model of its own that stands where this one does.
func (m *Model) clone() *Model {
	out := &Model{
		Posted: maps.Clone(m.Posted), Held: maps.Clone(m.Held), answers: maps.Clone(m.answers),
		asked: maps.Clone(m.asked), holds: map[string]*hold{}, order: append([]string(nil), m.order...),
		limits: maps.Clone(m.limits), groups: maps.Clone(m.groups),
	}
	for key, h := range m.holds {
		own := *h
		out.holds[key] = &own
	}
	return out
}

// SetLimits changes the limits of an account.
func (m *Model) SetLimits(c ledger.LimitsChange) errs.Code {
	if m.limits[c.Account].Version != c.IfVersion {
		return errs.CodeConflict
	}
	m.limits[c.Account] = ledger.Limits{Version: c.IfVersion + 1, MinMinor: c.MinMinor, MaxMinor: c.MaxMinor, Freeze: c.Freeze}
	return ""
}

// due are the kinds that limits do not refuse.
var due = map[ledger.Kind]bool{
	ledger.KindSettlement: true, ledger.KindVoid: true, ledger.KindResettlement: true, ledger.KindWithdrawalReturn: true,
	ledger.KindAdjustment: true, ledger.KindOwedRecovery: true,
}

// limited says why an account's limits refuse an amount.
func limited(l ledger.Limits, kind ledger.Kind, amount, after, held int64) errs.Code {
	least := int64(0)
	if l.MinMinor != nil {
		least = *l.MinMinor
	}
	if due[kind] {
		least = min(0, least)
		l.Freeze, l.MaxMinor = ledger.FreezeNone, nil
	}
	switch {
	case amount < 0 && l.Freeze != ledger.FreezeNone, amount > 0 && l.Freeze == ledger.FreezeAll:
		return errs.CodeExcluded
	case amount < 0 && after-held < least:
		return errs.CodeInsufficientFunds
	case amount > 0 && l.MaxMinor != nil && after > *l.MaxMinor:
		return errs.CodeLimitReached
	}
	return ""
}

// modelGroup is what was asked under a group's key.
type modelGroup struct{ list []ledger.Transfer }

// Group commits a group. Blame is called with the transfers that are refused for their own sake, if
// there are several: any of them may be the one that the engine names.
func (m *Model) Group(key string, list []ledger.Transfer, now time.Time, blame func(failing []int) int) []Answer {
	out := make([]Answer, len(list))
	if old, ok := m.groups[key]; ok {
		for i := range list {
			if len(old.list) != len(list) || old.list[i].Key != list[i].Key || !same(list[i], old.list[i]) {
				return fill(out, 0, errs.CodeConflict, errs.CodeConflict)
			}
		}
		for i := range list {
			out[i] = m.answers[list[i].Key]
			out[i].Replayed = true
		}
		return out
	}
	for i := range list {
		if _, used := m.answers[list[i].Key]; used {
			return fill(out, i, errs.CodeConflict, errs.CodeLinkedFailed)
		}
	}
	tried := m.clone()
	several := slices.ContainsFunc(list, func(t ledger.Transfer) bool { return t.Player != list[0].Player })
	var failing []int
	for i := range list {
		out[i] = tried.apply(list[i], now)
		if out[i].Code != "" {
			failing = append(failing, i)
			if !several { // what follows may depend on it
				break
			}
		}
	}
	if len(failing) > 0 {
		failed := failing[0]
		if several {
			failed = blame(failing)
		}
		code := out[failed].Code
		fill(out, failed, code, errs.CodeLinkedFailed)
		if final(code) {
			m.groups[key] = modelGroup{list}
			m.keep(list, out)
		}
		return out
	}
	for i := range list {
		tried.answers[list[i].Key], tried.asked[list[i].Key] = out[i], list[i]
	}
	tried.groups[key] = modelGroup{list}
	*m = *tried
	return out
}

func (m *Model) keep(list []ledger.Transfer, answers []Answer) {
	for i := range list {
		m.answers[list[i].Key], m.asked[list[i].Key] = answers[i], list[i]
	}
}

func fill(out []Answer, failed int, code, others errs.Code) []Answer {
	for i := range out {
		out[i] = Answer{Code: others}
	}
	out[failed].Code = code
	return out
}

// final reports whether a refusal with the code is kept under its key.
func final(code errs.Code) bool {
	return code == errs.CodeInsufficientFunds || code == errs.CodeLimitReached || code == errs.CodeExcluded
}

// featuresAgainstModel is againstModel with groups, dry runs and limits in the mix.
func featuresAgainstModel(t *rapid.T, open Engine, dir string) {
	now := clock.NewManual(Start)
	s, stop := open(t, dir, now)
	defer func() { stop() }()
	f := &features{t: t, now: now, model: NewModel(), g: &generator{}}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		f.g.now = now.Now()
		f.s = s
		switch rapid.IntRange(0, 11).Draw(t, "step") {
		case 0:
			now.Advance(time.Duration(rapid.IntRange(0, 3).Draw(t, "minutes")) * time.Minute)
		case 1:
			stop()
			s, stop = open(t, dir, now)
		case 2, 3:
			f.limits()
		case 4, 5:
			f.dryRun()
		case 6, 7, 8:
			f.group()
		default:
			f.batch()
		}
	}
	f.s = s
	f.balances()
	sameLog(t, s)
}

// features runs one kind of step each on an engine and on the model.
type features struct {
	t     *rapid.T
	s     *ledger.Service
	now   *clock.Manual
	model *Model
	g     *generator
	made  []ledger.Group
	next  int
}

func (f *features) list(most int) []ledger.Transfer {
	list := make([]ledger.Transfer, rapid.IntRange(1, most).Draw(f.t, "size"))
	for i := range list {
		list[i] = f.g.draw(f.t)
	}
	return list
}

func (f *features) batch() {
	list := f.list(4)
	got, err := f.s.CommitBatch(f.t.Context(), ledger.LaneInteractive, list)
	if err != nil {
		f.t.Fatalf("commit batch: %v", err)
	}
	for i := range list {
		compare(f.t, &list[i], got[i], f.model.Commit(list[i], f.now.Now()))
	}
}

func (f *features) dryRun() {
	list := f.list(4)
	got, err := f.s.DryRun(f.t.Context(), list)
	if err != nil {
		f.t.Fatalf("dry run: %v", err)
	}
	tried := f.model.clone()
	for i := range list {
		compare(f.t, &list[i], got[i], tried.Commit(list[i], f.now.Now()))
	}
}

func (f *features) limits() {
	f.next++
	bound := func(name string, from, to int64) *int64 {
		if !rapid.Bool().Draw(f.t, name) {
			return nil
		}
		v := rapid.Int64Range(from, to).Draw(f.t, name+"_minor")
		return &v
	}
	a := ledger.PlayerCash(f.player("player"), NJ)
	c := ledger.LimitsChange{
		Key: fmt.Sprintf("limits-%d", f.next), Account: a, Currency: money.USD, MinMinor: bound("least", -60, 60),
		MaxMinor: bound("most", 60, 200), IfVersion: f.model.limits[a].Version - int64(rapid.IntRange(0, 5).Draw(f.t, "stale")/5),
		Freeze: ledger.Freeze(max(0, rapid.IntRange(-3, 2).Draw(f.t, "freeze"))), // #nosec: 0 to 2
	}
	if c.IfVersion < 0 {
		c.IfVersion = 0
	}
	_, err := f.s.SetLimits(f.t.Context(), c)
	if got, want := errs.CodeOf(err), f.model.SetLimits(c); got != want {
		f.t.Fatalf("limits of %s: got %q (%v), want %q", a, got, err, want)
	}
}

func (f *features) player(name string) id.Player {
	return id.Player(rapid.SampledFrom([]string{"plr_a", "plr_b", "plr_c"}).Draw(f.t, name))
}

// drawGroup draws a group: an old one again, transfers of one player, or money between players. Of
// several players each has one transfer, so that it is clear which is refused for its own sake.
func (f *features) drawGroup() ledger.Group {
	if len(f.made) > 0 && rapid.IntRange(0, 3).Draw(f.t, "old group") == 0 {
		return f.made[rapid.IntRange(0, len(f.made)-1).Draw(f.t, "which")]
	}
	f.next++
	g := ledger.Group{Key: fmt.Sprintf("group-%d", f.next)}
	if rapid.Bool().Draw(f.t, "one player") {
		first := f.g.fresh(f.t)
		g.Transfers = append(g.Transfers, first)
		for range rapid.IntRange(0, 4).Draw(f.t, "more") {
			if t := f.g.fresh(f.t); t.Player == first.Player {
				g.Transfers = append(g.Transfers, t)
			}
		}
	} else {
		minor := rapid.Int64Range(1, 60).Draw(f.t, "minor")
		from := f.player("from")
		half := func(name string, p id.Player, to, out ledger.Address) ledger.Transfer {
			return move(g.Key+name, ledger.KindPlayerTransfer, p, out, to, minor)
		}
		g.Transfers = append(g.Transfers, half("/out", from, ledger.Transit(NJ), ledger.PlayerCash(from, NJ)))
		if to := f.player("to"); to != from {
			g.Transfers = append(g.Transfers, half("/in", to, ledger.PlayerCash(to, NJ), ledger.Transit(NJ)))
		} else {
			g.Transfers = []ledger.Transfer{Deposit(g.Key+"/d", from, minor)}
		}
	}
	f.made = append(f.made, g)
	if g.Transfers[0].Kind != ledger.KindPlayerTransfer { // which alone is invalid
		f.g.past = append(f.g.past, g.Transfers[0])
	}
	return g
}

func (f *features) group() {
	g := f.drawGroup()
	tried, errTried := f.s.DryRunGroup(f.t.Context(), g)
	if len(tried) != len(g.Transfers) {
		f.t.Fatalf("group %s tried: got %d results, %v", g.Key, len(tried), errTried)
	}
	got, err := f.s.CommitGroup(f.t.Context(), ledger.LaneInteractive, g)
	if len(got) != len(g.Transfers) {
		f.t.Fatalf("group %s: got %d results, %v", g.Key, len(got), err)
	}
	f.sameAsTried(g, tried, got)
	if errs.CodeOf(errTried) != errs.CodeOf(err) {
		f.t.Fatalf("group %s: got %v, tried it was %v", g.Key, err, errTried)
	}
	want := f.model.Group(g.Key, g.Transfers, f.now.Now(), func(failing []int) int {
		for _, i := range failing {
			if !errs.Is(got[i].Err, errs.CodeLinkedFailed) {
				return i
			}
		}
		return failing[0]
	})
	refused := false
	for i := range want {
		refused = refused || want[i].Code != ""
		compare(f.t, &g.Transfers[i], got[i], want[i])
	}
	if (err != nil) != refused {
		f.t.Fatalf("group %s: got %v, want refused %t", g.Key, err, refused)
	}
}

// sameAsTried checks that a commit answered each transfer as the dry run before it said.
func (f *features) sameAsTried(g ledger.Group, tried, got []ledger.Result) {
	for i := range got {
		if errs.CodeOf(tried[i].Err) != errs.CodeOf(got[i].Err) || tried[i].Replayed != got[i].Replayed {
			f.t.Fatalf("group %s, transfer %d: got %+v, tried it was %+v", g.Key, i, got[i], tried[i])
		}
		if got[i].Err == nil && !slices.Equal(tried[i].Balances, got[i].Balances) {
			f.t.Fatalf("group %s, transfer %d: got balances %v, tried they were %v", g.Key, i, got[i].Balances, tried[i].Balances)
		}
		if (tried[i].Position.Seq != 0) != got[i].Replayed {
			f.t.Fatalf("group %s, transfer %d: tried it has position %s, replayed %t", g.Key, i, tried[i].Position, got[i].Replayed)
		}
	}
}

func (f *features) balances() {
	for a, want := range f.model.Posted {
		got, err := f.s.Balance(f.t.Context(), a)
		if err != nil || got.PostedMinor != want || got.HeldMinor != f.model.Held[a] {
			f.t.Fatalf("balance of %s: got %+v (%v), want posted %d, held %d", a, got, err, want, f.model.Held[a])
		}
	}
	for a, want := range f.model.limits {
		got, err := f.s.Limits(f.t.Context(), a)
		if err != nil || got.Version != want.Version || got.Freeze != want.Freeze {
			f.t.Fatalf("limits of %s: got %+v (%v), want %+v", a, got, err, want)
		}
	}
}
