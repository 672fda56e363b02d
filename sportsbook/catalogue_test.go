package sportsbook

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/odds"
)

func TestCreateEventNamesEveryWrongField(t *testing.T) {
	t.Parallel()
	d := setupDesk(t)
	n := newGame("x y", "US-XX")
	n.Home, n.Sport, n.StartsAt, n.Week, n.Stadium = "Away of x y", "", time.Time{}, -1, strings.Repeat("x", 101)
	n.Markets = append(n.Markets, NewMarket{Type: "corners"}, NewMarket{Type: Spread, Line: lineOf(-325)},
		NewMarket{Type: Moneyline, Line: lineOf(100), Prices: map[string]odds.Price{CodeOver: american(-110)}})
	_, err := d.CreateEvent(context.Background(), n, By{})
	for _, field := range []string{
		"actor", "id", "sport", "away", "stadium", "starts_at", "week", "jurisdictions[0]", "markets[3].type", "markets[4].type",
		"markets[4].line", "markets[4].prices.home", "markets[5].line", "markets[5].prices",
	} {
		if !hasField(err, field) {
			t.Errorf("field %s is not named in: %v", field, err)
		}
	}
}

// changePrice makes a price change that is good but for what change does to it.
func changePrice(d *desk, change func(*PriceChange)) error {
	c := PriceChange{SelectionID: "gm1:spread:home", Price: american(-120), By: staff}
	change(&c)
	return d.SetPrice(context.Background(), c)
}

// operatorRefusals are changes of the offer that are refused.
var operatorRefusals = []struct {
	name string
	do   func(*testing.T, *desk) error
	want errs.Code
}{
	{"an event that exists", func(_ *testing.T, d *desk) error {
		_, err := d.CreateEvent(context.Background(), newGame("gm1"), staff)
		return err
	}, errs.CodeConflict},
	{"a price of an unknown selection", func(_ *testing.T, d *desk) error {
		return changePrice(d, func(c *PriceChange) { c.SelectionID = "gm1:spread:draw" })
	}, errs.CodeNotFound},
	{"a price by nobody", func(_ *testing.T, d *desk) error { return changePrice(d, func(c *PriceChange) { c.By.Actor = "" }) }, errs.CodeInvalid},
	{"no price", func(_ *testing.T, d *desk) error {
		return changePrice(d, func(c *PriceChange) { c.Price = odds.Price{} })
	}, errs.CodeInvalid},
	{"a line for one jurisdiction", func(_ *testing.T, d *desk) error {
		return changePrice(d, func(c *PriceChange) { c.Jurisdiction, c.Line = nj, lineOf(-400) })
	}, errs.CodeInvalid},
	{"a price for no jurisdiction of ours", func(_ *testing.T, d *desk) error {
		return changePrice(d, func(c *PriceChange) { c.Jurisdiction = "US-XX" })
	}, errs.CodeInvalid},
	{"a quarter line", func(_ *testing.T, d *desk) error {
		return changePrice(d, func(c *PriceChange) { c.Line = lineOf(-375) })
	}, errs.CodeInvalid},
	{"an old version of the selection", func(_ *testing.T, d *desk) error {
		return changePrice(d, func(c *PriceChange) { c.By.ExpectedVersion = 99 })
	}, errs.CodeConflict},
	{"a price of a closed market", func(t *testing.T, d *desk) error {
		must(t, d.SetMarketStatus(context.Background(), "gm1:spread", MarketClosed, staff))
		return changePrice(d, func(*PriceChange) {})
	}, errs.CodeConflict},
	{"prices of an unknown market", func(_ *testing.T, d *desk) error {
		return d.SetPrices(context.Background(), MarketPrices{MarketID: "gm1:corners", By: staff})
	}, errs.CodeNotFound},
	{"a price for a selection of another type", func(_ *testing.T, d *desk) error {
		return d.SetPrices(context.Background(), MarketPrices{MarketID: "gm1:total", Prices: map[string]odds.Price{CodeHome: american(100)}, By: staff})
	}, errs.CodeInvalid},
	{"an unknown status", func(_ *testing.T, d *desk) error {
		return d.SetMarketStatus(context.Background(), "gm1:total", "void", staff)
	}, errs.CodeInvalid},
	{"the status of an unknown market", func(_ *testing.T, d *desk) error {
		return d.SetMarketStatus(context.Background(), "gm9:total", MarketClosed, staff)
	}, errs.CodeNotFound},
	{"opening after the start", func(_ *testing.T, d *desk) error {
		d.clock.Advance(time.Hour)
		return d.SetMarketStatus(context.Background(), "gm1:total", MarketOpen, staff)
	}, errs.CodeConflict},
	{"opening a void market", func(t *testing.T, d *desk) error {
		_, err := d.VoidMarket(context.Background(), "gm1:total", "mistake", staff)
		must(t, err)
		return d.SetMarketStatus(context.Background(), "gm1:total", MarketOpen, staff)
	}, errs.CodeConflict},
	{"suspending an unknown event", func(_ *testing.T, d *desk) error { return d.SuspendEvent(context.Background(), "gm9", true, staff) }, errs.CodeNotFound},
	{"a negative score", func(_ *testing.T, d *desk) error { return d.UpdateScore(context.Background(), "gm1", -1, 0, staff) }, errs.CodeInvalid},
	{"a score after the end", func(t *testing.T, d *desk) error {
		_, err := d.EnterResult(context.Background(), Result{EventID: "gm1", EnteredBy: "trader"})
		must(t, err)
		return d.UpdateScore(context.Background(), "gm1", 1, 0, staff)
	}, errs.CodeConflict},
	{"a result of an unknown event", func(_ *testing.T, d *desk) error {
		_, err := d.EnterResult(context.Background(), Result{EventID: "gm9", EnteredBy: "trader"})
		return err
	}, errs.CodeNotFound},
	{"a result by nobody", func(_ *testing.T, d *desk) error {
		_, err := d.EnterResult(context.Background(), Result{EventID: "gm1"})
		return err
	}, errs.CodeInvalid},
	{"a result beside a correction", func(_ *testing.T, d *desk) error {
		seen := 1
		_, err := d.EnterResult(context.Background(), Result{EventID: "gm1", EnteredBy: "trader", ExpectedResultVersion: &seen})
		return err
	}, errs.CodeConflict},
	{"a void without reason", func(_ *testing.T, d *desk) error {
		_, err := d.VoidMarket(context.Background(), "gm1:total", "", staff)
		return err
	}, errs.CodeInvalid},
	{"a void of an unknown market", func(_ *testing.T, d *desk) error {
		_, err := d.VoidMarket(context.Background(), "gm9:total", "mistake", staff)
		return err
	}, errs.CodeNotFound},
	{"decisions of an unknown event", func(_ *testing.T, d *desk) error { _, err := d.Decisions(context.Background(), "gm9"); return err }, errs.CodeNotFound},
	{"changes of an unknown event", func(_ *testing.T, d *desk) error { _, err := d.Changes(context.Background(), "gm9", 1); return err }, errs.CodeNotFound},
	{"too many changes", func(_ *testing.T, d *desk) error { _, err := d.Changes(context.Background(), "gm1", 501); return err }, errs.CodeInvalid},
}

func TestOperatorChangesAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range operatorRefusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := setupDesk(t)
			d.game("gm1")
			if err := tt.do(t, d); errs.CodeOf(err) != tt.want {
				t.Errorf("got %v, want code %s", err, tt.want)
			}
		})
	}
}

// exercise makes one change of every kind.
func exercise(t *testing.T, d *desk) {
	t.Helper()
	ctx := context.Background()
	d.game("gm1")
	d.game("gm2", nj)
	mustSetPrice(t, d, "gm1:moneyline:away", "", 160)
	mustSetPrice(t, d, "gm1:moneyline:away", on, 140)
	mustSetPrice(t, d, "gm1:moneyline:home", nj, -180)
	must(t, d.SetPrice(ctx, PriceChange{SelectionID: "gm1:moneyline:home", Jurisdiction: nj, By: staff}))
	must(t, d.SetPrices(ctx, MarketPrices{
		MarketID: "gm1:spread", Line: lineOf(0), By: staff,
		Prices: map[string]odds.Price{CodeHome: american(100), CodeAway: american(-120)},
	}))
	must(t, d.SuspendEvent(ctx, "gm2", true, staff))
	must(t, d.SetMarketStatus(ctx, "gm2:total", MarketOpen, staff))
	_, err := d.VoidMarket(ctx, "gm2:spread", "wrong line", staff)
	must(t, err)
	must(t, d.UpdateScore(ctx, "gm2", 3, 7, staff))
	_, err = d.EnterResult(ctx, Result{EventID: "gm2", HomeScore: 10, AwayScore: 7, EnteredBy: "trader"})
	must(t, err)
	must(t, d.marketsSettled(ctx, "gm2", 2))
}

func TestOfferIsTheSameAfterARestart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	exercise(t, d)
	offer := func() []Event {
		var all []Event
		for _, j := range []id.Jurisdiction{Everywhere, nj, on} {
			events, _, err := d.ListEvents(ctx, EventQuery{Jurisdiction: j})
			must(t, err)
			all = append(all, events...)
		}
		return all
	}
	before := offer()
	version := d.catalogue.version
	must(t, d.Close())
	must(t, d.Close())
	d.open()
	if after := offer(); !reflect.DeepEqual(before, after) {
		t.Errorf("after the restart:\n%+v\nbefore:\n%+v", after, before)
	}
	if d.catalogue.version != version {
		t.Errorf("version %d after the restart, want %d", d.catalogue.version, version)
	}
	beside, err := readCatalogue(ctx, d.cfg.Dir)
	must(t, err)
	defer func() { must(t, beside.close()) }()
	want, _ := d.marketFact("gm2:spread")
	if got, ok := beside.marketFact("gm2:spread"); !ok || got != want {
		t.Errorf("fact read beside the owner = %+v, want %+v", got, want)
	}
	if _, err := readCatalogue(ctx, t.TempDir()); err == nil {
		t.Errorf("a catalogue that does not exist was read")
	}
}

func TestEveryChangeIsInTheLogAndTold(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	var told []string
	cancel := d.Subscribe(func(u Update) {
		e, err := d.FindEvent(ctx, Everywhere, u.EventID)
		if err != nil || e.Version < u.Version {
			t.Errorf("told of version %d while the offer shows %d (%v)", u.Version, e.Version, err)
		}
		told = append(told, fmt.Sprintf("%s %s%s", u.Kind, u.EventID, strings.TrimPrefix(u.MarketID, u.EventID)))
	})
	d.game("gm1")
	told = nil
	mustSetPrice(t, d, "gm1:moneyline:away", "", 160)
	mustSetPrice(t, d, "gm1:moneyline:away", "", 160) // nothing changes, nothing is told
	must(t, d.SetPrice(ctx, PriceChange{SelectionID: "gm1:spread:away", Price: american(-105), Line: lineOf(450), By: staff}))
	must(t, d.SetMarketStatus(ctx, "gm1:total", MarketSuspended, staff))
	must(t, d.UpdateScore(ctx, "gm1", 0, 7, staff))
	cancel()
	must(t, d.UpdateScore(ctx, "gm1", 7, 7, staff))
	want := []string{
		"price gm1:moneyline", "price gm1:spread", "status gm1:total",
		"status gm1", "score gm1", "status gm1:moneyline", "status gm1:spread", "status gm1:total",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
	changes, err := d.Changes(ctx, "gm1", 500)
	must(t, err)
	var lines []string
	for _, c := range slices.Backward(changes) {
		if c.Actor != "trader" || c.Version == 0 || !c.At.Equal(d.clock.Now()) {
			t.Errorf("change %+v, want actor, version and time", c)
		}
		lines = append(lines, fmt.Sprintf("%s %s>%s", strings.TrimPrefix(c.MarketID+c.SelectionID, "gm1"), c.Old, c.New))
	}
	tail := lines[len(lines)-9:]
	for _, line := range []string{":spreadgm1:spread:away -110>-105", ":spread -3.5>-4.5", " 0-0>0-7", " scheduled>live", " 0-7>7-7"} {
		if !slices.Contains(tail, line) && !slices.Contains(lines, line) {
			t.Errorf("the change log has no %q:\n%s", line, strings.Join(lines, "\n"))
		}
	}
}

func TestLineOfASpreadIsMirrored(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	d.game("gm1")
	must(t, d.SetPrice(ctx, PriceChange{SelectionID: "gm1:spread:away", Price: american(-105), Line: lineOf(450), By: staff}))
	e, err := d.FindEvent(ctx, nj, "gm1")
	must(t, err)
	home, away := e.Markets[1].Selections[0], e.Markets[1].Selections[1]
	if *home.Line != -450 || *away.Line != 450 || home.Price != american(-110) || away.Price != american(-105) {
		t.Errorf("home %s at %s, away %s at %s; want -4.5 at -110, 4.5 at -105", home.Line, home.Price, away.Line, away.Price)
	}
	if home.Version != away.Version || home.Version != e.Version {
		t.Errorf("versions %d and %d, want both sides changed by %d", home.Version, away.Version, e.Version)
	}
}

func TestDecisionsAreNumberedAndIdempotent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	d.game("gm1")
	d.clock.Advance(2 * time.Hour)
	void, err := d.VoidMarket(ctx, "gm1:total", "wrong line", staff)
	must(t, err)
	again, err := d.VoidMarket(ctx, "gm1:total", "wrong line", staff)
	must(t, err)
	result := Result{EventID: "gm1", HomeScore: 20, AwayScore: 17, EnteredBy: "trader"}
	first, err := d.EnterResult(ctx, result)
	must(t, err)
	same, err := d.EnterResult(ctx, result)
	must(t, err)
	if void.Version != 1 || again != void || first.Version != 2 || same != first {
		t.Errorf("void %+v again %+v, result %+v again %+v; want versions 1 and 2, repeated", void, again, first, same)
	}
	result.HomeScore, result.ExpectedResultVersion = 16, &first.Version
	corrected, err := d.EnterResult(ctx, result)
	must(t, err)
	all, err := d.Decisions(ctx, "gm1")
	must(t, err)
	if !slices.Equal(all, []Decision{void, first, corrected}) {
		t.Errorf("decisions = %+v", all)
	}
	for _, f := range d.eventMarkets("gm1") {
		if !f.Decided || f.Void != (f.Type == Total) || !f.ClosedAt.Equal(kickoff) || f.HomeScore != 16 || f.Version != 3 {
			t.Errorf("fact = %+v, want decided at 16-17, closed at the start", f)
		}
	}
	must(t, d.marketsSettled(ctx, "gm1", 2))
	if f, _ := d.marketFact("gm1:spread"); f.Status != MarketClosed {
		t.Errorf("status %s after an older pass, want closed", f.Status)
	}
	must(t, d.marketsSettled(ctx, "gm1", 3))
	if f, _ := d.marketFact("gm1:spread"); f.Status != MarketSettled {
		t.Errorf("status %s, want settled", f.Status)
	}
	if _, ok := d.marketFact("gm9:spread"); ok || d.eventMarkets("gm9") != nil {
		t.Errorf("facts of an unknown market")
	}
}

func TestARetriedResultDoesNotUndoItsCorrection(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	none := 0
	for name, expected := range map[string]*int{"sent without version": nil, "sent as the first": &none} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setupDesk(t)
			d.game("gm1")
			wrong := Result{EventID: "gm1", HomeScore: 20, AwayScore: 17, EnteredBy: "trader", ExpectedResultVersion: expected}
			first, err := d.EnterResult(ctx, wrong)
			must(t, err)
			right := Result{EventID: "gm1", HomeScore: 17, AwayScore: 20, EnteredBy: "other", ExpectedResultVersion: &first.Version}
			standing, err := d.EnterResult(ctx, right)
			must(t, err)
			if _, err := d.EnterResult(ctx, wrong); !errs.Is(err, errs.CodeConflict) || !strings.Contains(err.Error(), "2") {
				t.Errorf("the first result again: %v, want a conflict that names version 2", err)
			}
			right.ExpectedResultVersion = nil
			if again, err := d.EnterResult(ctx, right); err != nil || again != standing {
				t.Errorf("the standing result again: %+v, %v, want %+v", again, err, standing)
			}
		})
	}
}

func TestADecisionIsNotCorrectedOnceBetsRetire(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	d.game("gm1")
	_, err := d.VoidMarket(ctx, "gm1:total", "wrong line", staff)
	must(t, err)
	d.clock.Advance(40 * 24 * time.Hour)
	first, err := d.EnterResult(ctx, Result{EventID: "gm1", HomeScore: 20, AwayScore: 17, EnteredBy: "trader"})
	must(t, err) // a first result is never too late
	d.clock.Advance(d.settler.cfg.Retention - retentionMargin)
	corrected, err := d.EnterResult(ctx, Result{EventID: "gm1", HomeScore: 21, AwayScore: 17, EnteredBy: "trader", ExpectedResultVersion: &first.Version})
	must(t, err)
	d.clock.Advance(time.Second)
	late := Result{EventID: "gm1", HomeScore: 22, AwayScore: 17, EnteredBy: "trader", ExpectedResultVersion: &corrected.Version}
	if _, err := d.EnterResult(ctx, late); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("a late correction: %v, want conflict", err)
	}
	if _, err := d.VoidMarket(ctx, "gm1:spread", "late", staff); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("a late void: %v, want conflict", err)
	}
	late.HomeScore, late.ExpectedResultVersion = 21, nil
	if again, err := d.EnterResult(ctx, late); err != nil || again.Version != corrected.Version {
		t.Errorf("the standing result again: %+v, %v, want version %d", again, err, corrected.Version)
	}
}

func TestAResultBeforeTheStartClosesAtOnce(t *testing.T) {
	t.Parallel()
	d := setupDesk(t)
	d.game("gm1")
	_, err := d.EnterResult(context.Background(), Result{EventID: "gm1", EnteredBy: "trader"})
	must(t, err)
	if f, _ := d.marketFact("gm1:total"); !f.ClosedAt.Equal(d.clock.Now()) {
		t.Errorf("closed at %s, want now", f.ClosedAt)
	}
}

func TestMarketsCloseAtTheStart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	d.game("gm1")
	late := newGame("gm2")
	late.StartsAt = kickoff.Add(time.Minute)
	_, err := d.CreateEvent(ctx, late, staff)
	must(t, err)
	must(t, d.closeStarted(ctx))
	d.clock.Advance(time.Hour + time.Second)
	must(t, d.closeStarted(ctx))
	e, err := d.FindEvent(ctx, nj, "gm1")
	must(t, err)
	if e.Status != EventLive || e.Markets[0].Status != MarketClosed || !e.Markets[0].ClosedAt.Equal(kickoff) {
		t.Errorf("event %s, market %s at %s; want live, closed at the start", e.Status, e.Markets[0].Status, e.Markets[0].ClosedAt)
	}
	if e, _ = d.FindEvent(ctx, nj, "gm2"); e.Status != EventScheduled || e.Markets[0].Status != MarketOpen {
		t.Errorf("an event that starts in a minute is %s", e.Status)
	}
}

func TestListPagesThroughTheOfferOfAJurisdiction(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	for i := range 12 {
		n := newGame(fmt.Sprintf("gm%02d", i))
		n.StartsAt = kickoff.Add(time.Duration(11-i/2) * time.Minute) // pairs that start together
		if i%4 == 3 {
			n.Jurisdictions = []id.Jurisdiction{on}
		}
		_, err := d.CreateEvent(ctx, n, staff)
		must(t, err)
	}
	var got []string
	cursor := ""
	for page := 0; ; page++ {
		events, next, err := d.ListEvents(ctx, EventQuery{Jurisdiction: nj, Status: EventScheduled, Limit: 4, Cursor: cursor})
		must(t, err)
		for _, e := range events {
			got = append(got, e.ID)
		}
		if cursor = next; cursor == "" || page > 5 {
			break
		}
	}
	want := []string{"gm10", "gm08", "gm09", "gm06", "gm04", "gm05", "gm02", "gm00", "gm01"}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	for _, j := range []id.Jurisdiction{nj, ""} {
		if _, err := d.FindEvent(ctx, j, "gm03"); !errs.Is(err, errs.CodeNotFound) {
			t.Errorf("an event of another jurisdiction, asked for in %q: %v, want not_found", j, err)
		}
	}
	for _, q := range []EventQuery{
		{}, {Jurisdiction: nj, Cursor: "!"}, {Jurisdiction: nj, Cursor: "AAAA"}, {Jurisdiction: nj, Limit: 201},
		{Jurisdiction: nj, Limit: -1}, {Jurisdiction: nj, Status: "over"},
	} {
		if _, _, err := d.ListEvents(ctx, q); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("ListEvents(%+v): %v, want invalid", q, err)
		}
	}
}

func TestViewsAreCopies(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	e := d.game("gm1", nj)
	e.Jurisdictions[0] = on
	e.Markets[1].Selections[0].Price = american(5000)
	*e.Markets[1].Selections[0].Line = 0
	again, err := d.FindEvent(ctx, nj, "gm1")
	must(t, err)
	if s := again.Markets[1].Selections[0]; s.Price != american(-110) || *s.Line != -350 {
		t.Errorf("a caller changed the offer: %+v", s)
	}
}

func TestBuiltInSlateIsAddedOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	now := d.clock.Now().Add(4 * time.Minute)
	for range 2 {
		must(t, d.AddBuiltInSlate(ctx, now))
	}
	events, _, err := d.ListEvents(ctx, EventQuery{Jurisdiction: nj})
	must(t, err)
	if len(events) != len(slateGames) || len(events[0].Markets) != 3 {
		t.Fatalf("%d events, want %d with three markets", len(events), len(slateGames))
	}
	if soon := events[0].StartsAt.Sub(now); soon < 15*time.Minute || soon > 30*time.Minute {
		t.Errorf("the first starts in %s, want soon", soon)
	}
	if late := events[len(events)-1].StartsAt.Sub(now); late < 24*time.Hour {
		t.Errorf("the last starts in %s, want after a day", late)
	}
	must(t, d.AddBuiltInSlate(ctx, now.Add(7*time.Hour)))
	if events, _, _ = d.ListEvents(ctx, EventQuery{Jurisdiction: Everywhere}); len(events) <= len(slateGames) {
		t.Errorf("%d events after the first ones started, want new ones", len(events))
	}
}

func TestOpenRefusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := Open(context.Background(), Config{Dir: t.TempDir()}, Deps{}); err == nil {
		t.Error("opened without dependencies")
	}
	for _, c := range []Config{
		{}, {Dir: "x", Exposure: ExposureConfig{SelectionPayoutMinor: -1}},
		{Dir: "x", Exposure: ExposureConfig{SelectionPayoutMinor: 10, MarketPayoutMinor: 5}},
	} {
		if err := c.Validate(); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("Validate(%+v) = %v, want invalid", c, err)
		}
	}
}
