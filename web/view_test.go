package web

import (
	"testing"
	"time"

	"matchday/money"
	"matchday/odds"
	"matchday/sportsbook"
)

func TestAmountText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		minor int64
		c     money.Currency
		want  string
	}{
		{"cents", 5, money.USD, "$0.05"}, {"thousands are grouped", 123456789, money.CAD, "$1,234,567.89"},
		{"a hundred is not grouped", 10000, money.USD, "$100.00"}, {"a loss has a minus sign", -350, money.GBP, "−£3.50"},
		{"yen have no decimals", 1500, money.JPY, "¥1,500"}, {"nothing", 0, money.EUR, "€0.00"},
	}
	for _, tt := range tests {
		if got := amountText(money.New(tt.minor, tt.c)); got != tt.want {
			t.Errorf("%s: amountText(%d %s) = %q, want %q", tt.name, tt.minor, tt.c, got, tt.want)
		}
	}
	if got := signedText(money.New(100, money.USD)); got != "+$1.00" {
		t.Errorf("signedText = %q, want +$1.00", got)
	}
}

func TestLineText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		market     sportsbook.MarketType
		code, line string
		want       string
	}{
		{sportsbook.Spread, "home", "-3.5", "−3.5"}, {sportsbook.Spread, "away", "3.5", "+3.5"}, {sportsbook.Spread, "home", "0", "PK"},
		{sportsbook.Total, "over", "46", "O 46"}, {sportsbook.Total, "under", "46.5", "U 46.5"},
	}
	for _, tt := range tests {
		if got := lineText(tt.market, tt.code, line(t, tt.line)); got != tt.want {
			t.Errorf("lineText(%s, %s, %s) = %q, want %q", tt.market, tt.code, tt.line, got, tt.want)
		}
	}
	if got := lineText(sportsbook.Moneyline, "home", nil); got != "" {
		t.Errorf("a moneyline has the line %q", got)
	}
}

func TestTeamCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ code, name, want string }{
		{"TEN", "Tennessee", "TEN"}, {"", "Harbour City Gulls", "HCG"}, {"", "Tennessee", "TEN"}, {"", "Éire", "ÉIR"}, {"LONG", "x", "LON"}, {"", "", ""},
	} {
		if got := teamCode(tt.code, tt.name); got != tt.want {
			t.Errorf("teamCode(%q, %q) = %q, want %q", tt.code, tt.name, got, tt.want)
		}
	}
}

func TestGroupByDay(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	late := makeEvent(t, 1, "A", "B", time.Date(2026, 11, 23, 4, 30, 0, 0, time.UTC)) // 23:30 on Sunday in New York
	next := makeEvent(t, 2, "C", "D", time.Date(2026, 11, 23, 5, 30, 0, 0, time.UTC)) // half past midnight
	other := makeEvent(t, 3, "E", "F", time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC))
	other.Competition = "Cup"
	later := makeEvent(t, 4, "G", "H", time.Date(2026, 11, 29, 18, 0, 0, 0, time.UTC))
	started := makeEvent(t, 5, "I", "J", now.Add(-time.Minute))
	groups := groupByDay([]sportsbook.Event{started, late, next, other, later}, now, zone)
	var got []string
	for _, g := range groups {
		got = append(got, g.Name+"/"+g.Note)
	}
	want := []string{"In play/", "Today/Union League", "Tomorrow/Union League", "Tomorrow/Cup", "Sun Nov 29/Union League"}
	if len(got) != len(want) {
		t.Fatalf("groups %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("group %d is %q, want %q", i, got[i], want[i])
		}
	}
	if first := groups[0].Games[0]; !first.Started || first.Live {
		t.Errorf("a game past its start without score: %+v, want Started", first)
	}
}

func TestGameIsClosedWhenNoMarketTakesBets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status sportsbook.MarketStatus
		starts time.Duration
		want   bool
	}{
		{"open before the start", sportsbook.MarketOpen, time.Hour, false},
		{"closed by staff before the start stays on the board", sportsbook.MarketClosed, time.Hour, false},
		{"closed after the start", sportsbook.MarketClosed, -time.Hour, true},
		{"suspended after the start may open again", sportsbook.MarketSuspended, -time.Hour, false},
	}
	for _, tt := range tests {
		e := makeEvent(t, 1, "A", "B", now.Add(tt.starts))
		for i := range e.Markets {
			e.Markets[i].Status = tt.status
		}
		if got := game(e, now, time.UTC).Closed; got != tt.want {
			t.Errorf("%s: closed %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestGamePutsAwayAndOverAbove(t *testing.T) {
	t.Parallel()
	v := game(makeEvent(t, 1, "Away", "Home", now), now, time.UTC)
	for i, want := range [][2]string{{"ev1:spread:away", "ev1:spread:home"}, {"ev1:total:over", "ev1:total:under"}, {"ev1:moneyline:away", "ev1:moneyline:home"}} {
		if v.Upper[i].SelectionID != want[0] || v.Lower[i].SelectionID != want[1] {
			t.Errorf("column %d has %s above %s, want %s above %s", i, v.Upper[i].SelectionID, v.Lower[i].SelectionID, want[0], want[1])
		}
	}
	if got, want := v.Upper[0].Label(), "Away at Home, Spread, Away +3.5, price −110"; got != want {
		t.Errorf("label %q, want %q", got, want)
	}
	if p := (priceView{Status: sportsbook.MarketOpen}); p.Open() {
		t.Error("a selection without price can be pressed")
	}
	var zero odds.Line
	if got := nameWithLine("Over", lineText(sportsbook.Total, "over", &zero)); got != "Over 0" {
		t.Errorf("nameWithLine = %q, want Over 0", got)
	}
}
