package sportsbook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
)

// seasonHeader and seasonRow are a small season file; prices in the order of the columns.
var seasonHeader = strings.Join(seasonColumns, ",")

const seasonRow = `2019_05_BUF_TEN,2019,REG,5,2026-09-13T17:00:00Z,BUF,TEN,"Stadium, ""The"" One",140,-160,150,-165,-3,-110,-110,-2.5,-112,-108,39,-110,-110,38.5,-105,-115,14,7`

func TestImportOfRealSeasons(t *testing.T) {
	t.Parallel()
	for _, season := range []struct {
		file            string
		games, noMarket int
		opening         bool
	}{
		{"season_2018.csv", 267, 0, false}, {"season_2018.csv", 267, 1, true}, {"season_2019.csv", 267, 0, false},
	} {
		t.Run(fmt.Sprintf("%s opening %t", season.file, season.opening), func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			content, err := io.ReadAll(dataFile(t, season.file))
			must(t, err)
			d := setupDesk(t)
			options := ImportOptions{OpeningPrices: season.opening, Kickoff: func(at time.Time) time.Time { return at.AddDate(10, 0, 0) }}
			report, err := d.ImportSeason(ctx, bytes.NewReader(content), options)
			must(t, err)
			if report.Rows != season.games || report.Created != season.games || len(report.NoMarket) != season.noMarket {
				t.Errorf("report = %+v, want %d games created, %d without a market", report, season.games, season.noMarket)
			}
			report, err = d.ImportSeason(ctx, bytes.NewReader(content), options)
			must(t, err)
			if report.Created != 0 || report.Updated != 0 || report.Unchanged != season.games {
				t.Errorf("second import = %+v, want everything unchanged", report)
			}
		})
	}
}

func TestImportSpellsAGameOut(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, file := range map[string]string{
		"LF":                 seasonHeader + "\n" + seasonRow + "\n",
		"CRLF":               seasonHeader + "\r\n" + seasonRow + "\r\n",
		"byte order mark":    "\ufeff" + seasonHeader + "\n" + seasonRow,
		"one more column":    "note," + seasonHeader + "\n" + "x," + seasonRow + "\n",
		"no line end at all": seasonHeader + "\n" + seasonRow,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setupDesk(t)
			_, err := d.ImportSeason(ctx, strings.NewReader(file), ImportOptions{})
			must(t, err)
			e, err := d.FindEvent(ctx, nj, "2019_05_BUF_TEN")
			must(t, err)
			got := fmt.Sprint(e.Name, e.Stadium, e.Week, e.Season, e.StartsAt.Format(time.RFC3339))
			for _, m := range e.Markets {
				for _, s := range m.Selections {
					got += fmt.Sprintf("\n%s %s", s.ID, s.Price)
					if s.Line != nil {
						got += " " + s.Line.String()
					}
				}
			}
			want := `Buffalo at TennesseeStadium, "The" One5 20192026-09-13T17:00:00Z
2019_05_BUF_TEN:moneyline:home -165
2019_05_BUF_TEN:moneyline:away +150
2019_05_BUF_TEN:spread:home -112 -2.5
2019_05_BUF_TEN:spread:away -108 2.5
2019_05_BUF_TEN:total:over -105 38.5
2019_05_BUF_TEN:total:under -115 38.5`
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestImportErrorsHaveLinesAndChangeNothing(t *testing.T) {
	t.Parallel()
	swap := func(old, next string) string {
		return seasonHeader + "\n" + seasonRow + "\n" + strings.Replace(strings.Replace(seasonRow, "2019_05_BUF_TEN", "2019_05_B_T", 1), old, next, 1) + "\n"
	}
	tests := []struct{ name, file, want string }{
		{"empty file", "", "line 1: the file is empty: a header line is required"},
		{"a missing column", strings.Replace(seasonHeader, "week,", "", 1) + "\n", "line 1, week: the column is missing"},
		{"a column twice", seasonHeader + ",week\n", "line 1, week: the column appears twice"},
		{"too few fields", seasonHeader + "\na,b\n", "line 2: has 2 fields, the header has 26"},
		{"an open quote", seasonHeader + "\n" + `"abc` + "\n", "line 2: extraneous or missing \" in quoted-field"},
		{"no id", swap("2019_05_B_T", ""), `line 3, game_id: "" must be 3 to 80 letters, digits, _ or -`},
		{"the same id twice", swap("2019_05_B_T", "2019_05_BUF_TEN"), "line 3, game_id: 2019_05_BUF_TEN is on line 2 already"},
		{"a season in words", swap(",2019,", ",last,"), `line 3, season: "last" is not a whole number from 1900 to 2100`},
		{"week zero", swap(",5,", ",0,"), `line 3, week: "0" is not a whole number from 1 to 60`},
		{"a local time", swap("2026-09-13T17:00:00Z", "2026-09-13 17:00"), `line 3, kickoff_utc: "2026-09-13 17:00" is not a time such as 2019-10-06T17:00:00Z`},
		{"a team against itself", swap("BUF,TEN", "TEN,TEN"), "line 3, home_team: is the away team too"},
		{"a team in words", swap("BUF,TEN", "Buffalo!,TEN"), `line 3, away_team: "Buffalo!" is not a team's abbreviation`},
		{"a price that is none", swap("-165", "-65"), `line 3, close_moneyline_home: "-65" is not an American price such as -110 or +154`},
		{"an opening price that is none", swap("-160", "x"), `line 3, open_moneyline_home: "x" is not an American price such as -110 or +154`},
		{"a quarter line", swap("-2.5", "-2.25"), `line 3, close_spread_home: "-2.25" is not a whole or half number of points`},
		{"a negative total", swap("38.5", "-38.5"), `line 3, close_total: "-38.5" must be above zero`},
		{"one score", swap(",14,7", ",14,"), `line 3, home_score: "" is not a whole number from 0 to 999`},
		{"no UTF-8", swap("The", "\xff\xfe"), "line 3, stadium: must be at most 500 bytes of plain UTF-8 text"},
		{"a control character", swap("The", "\x00"), "line 3, stadium: must be at most 500 bytes of plain UTF-8 text"},
		{"a line break in quotes", swap("The", "\n"), "line 3, stadium: must be at most 500 bytes of plain UTF-8 text"},
	}
	d := setupDesk(t) // one for all: every import leaves it empty
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			report, err := d.ImportSeason(context.Background(), strings.NewReader(tt.file), ImportOptions{})
			if !errs.Is(err, errs.CodeInvalid) || len(report.Errors) == 0 {
				t.Fatalf("import: %v %+v, want invalid with errors", err, report)
			}
			if got := report.Errors[0].String(); got != tt.want {
				t.Errorf("first error = %s\nwant          %s", got, tt.want)
			}
			if events, _, _ := d.ListEvents(context.Background(), EventQuery{Jurisdiction: Everywhere}); len(events) != 0 {
				t.Errorf("%d events after a refused import", len(events))
			}
		})
	}
}

func TestImportBoundsItsErrorsAndRows(t *testing.T) {
	t.Parallel()
	_, report, err := ReadSeason(strings.NewReader(seasonHeader + "\n" + strings.Repeat("x\n", 250)))
	if !errs.Is(err, errs.CodeInvalid) || len(report.Errors) != 100 || report.MoreErrors != 150 {
		t.Errorf("%d errors and %d more (%v), want 100 and 150", len(report.Errors), report.MoreErrors, err)
	}
	_, report, _ = ReadSeason(strings.NewReader(seasonHeader + "\n" + strings.Repeat(seasonRow+"\n", maxSeasonRows+1)))
	last := report.Errors[0]
	if report.MoreErrors == 0 {
		t.Errorf("too many rows: first error %v, want an error for each double", last)
	}
	endless := io.MultiReader(strings.NewReader(seasonHeader+"\n\""), endlessReader{})
	if _, report, _ = ReadSeason(endless); len(report.Errors) != 1 || report.Errors[0].Message != "the file is too large" {
		t.Errorf("endless file: %+v, want too large", report.Errors)
	}
}

// endlessReader is a file without end.
type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestImportUpdatesWhatHasNotStarted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	importRow := func(row string) ImportReport {
		report, err := d.ImportSeason(ctx, strings.NewReader(seasonHeader+"\n"+row+"\n"), ImportOptions{})
		must(t, err)
		return report
	}
	noTotal := strings.Replace(seasonRow, "38.5,-105,-115", "38.5,,-115", 1)
	if report := importRow(noTotal); len(report.NoMarket) != 1 || report.NoMarket[0] != "2019_05_BUF_TEN: total" {
		t.Errorf("report = %+v, want a missing total", report)
	}
	must(t, d.SetMarketStatus(ctx, "2019_05_BUF_TEN:moneyline", MarketSuspended, staff))
	moved := strings.Replace(strings.Replace(seasonRow, "-165", "-170", 1), "T17:00", "T18:00", 1)
	if report := importRow(moved); report.Updated != 1 {
		t.Errorf("report = %+v, want one update", report)
	}
	e, err := d.FindEvent(ctx, nj, "2019_05_BUF_TEN")
	must(t, err)
	if len(e.Markets) != 3 || e.Markets[0].Selections[0].Price != american(-170) || e.StartsAt.Hour() != 18 {
		t.Errorf("event = %+v, want the new price, the later start and the total", e)
	}
	if e.Markets[0].Status != MarketSuspended {
		t.Errorf("an import opened a suspended market")
	}
	_, err = d.EnterResult(ctx, Result{EventID: e.ID, HomeScore: 7, AwayScore: 14, EnteredBy: "trader"})
	must(t, err)
	if report := importRow(seasonRow); report.Unchanged != 1 {
		t.Errorf("report = %+v, want a decided event left alone", report)
	}
}

func TestImportFilters(t *testing.T) {
	t.Parallel()
	d := setupDesk(t)
	report, err := d.ImportSeason(context.Background(), dataFile(t, "season_2019.csv"), ImportOptions{
		Jurisdictions: nil, Filter: func(g Game) bool { return g.Week == 5 && g.Type == "REG" },
	})
	must(t, err)
	if report.Rows != 267 || report.Games != 15 || report.Created != 15 {
		t.Errorf("report = %+v, want the 15 games of week 5", report)
	}
	_, err = d.ImportSeason(context.Background(), strings.NewReader(seasonHeader+"\n"+seasonRow), ImportOptions{Jurisdictions: []id.Jurisdiction{"US-XX"}})
	if !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("unknown jurisdiction: %v, want invalid", err)
	}
}

func TestRealQuotesAreAFeed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	week5 := func(g Game) bool { return g.Week == 5 }
	_, err := d.ImportSeason(ctx, dataFile(t, "season_2019.csv"), ImportOptions{Filter: week5, Kickoff: func(time.Time) time.Time { return kickoff }})
	must(t, err)
	feed, err := d.ImportQuotes(ctx, dataFile(t, "quotes_2019.csv"), QuoteOptions{})
	must(t, err)
	if feed.Rows != 41285 || len(feed.Changes) != 15*3*2 {
		t.Errorf("%d rows made %d changes, want 41285 and 90", feed.Rows, len(feed.Changes))
	}
	for c := range feed.All() {
		must(t, d.SetPrices(ctx, c))
	}
	one, err := d.ImportQuotes(ctx, dataFile(t, "quotes_2019.csv"), QuoteOptions{Book: "PINNACLE", Opening: true})
	must(t, err)
	if len(one.Changes) == 0 || len(one.Changes) > 45 {
		t.Errorf("one book's opening quotes made %d changes, want 1 to 45", len(one.Changes))
	}
}

func TestQuotesPassOverWhatIsOdd(t *testing.T) {
	t.Parallel()
	d := setupDesk(t)
	d.game("gm1")
	file := strings.Join(quoteColumns, ",") + `
gm1,money_line,HOM,a,0,-150,,-155
gm1,money_line,AWY,a,0,130,,135
gm1,money_line,HOM,b,0,-50,,-160
gm1,money_line,AWY,b,0,140,,
gm1,spread,HOM,a,-3,-110,-3.25,-110
gm1,spread,AWY,a,3,-110,3.5,-110
gm1,spread,HOM,b,-4,-110,-4,-105
gm1,spread,AWY,b,3.5,-110,4,-115
gm1,total,over,a,47,-110,48,-110
gm1,total,draw,a,47,-110,48,-110
gm1,corners,over,a,1,-110,1,-110
gm9,total,over,a,1,-110,1,-110
`
	feed, err := d.ImportQuotes(context.Background(), strings.NewReader(file), QuoteOptions{})
	must(t, err)
	var got []string
	for c := range feed.All() {
		line := "none"
		if c.Line != nil {
			line = c.Line.String()
		}
		got = append(got, fmt.Sprintf("%s %s %s/%s", c.MarketID, line, c.Prices[CodeHome], c.Prices[CodeAway]))
	}
	want := "[gm1:moneyline none -150/+130 gm1:spread -3 -110/-110 gm1:moneyline none -155/+135 gm1:spread -4 -105/-115]"
	if fmt.Sprint(got) != want {
		t.Errorf("changes = %v\nwant      %s", got, want)
	}
	lines := make(map[int]bool)
	for _, s := range feed.Skipped {
		lines[s.Line] = true
	}
	for _, line := range []int{4, 5, 6, 9, 11, 12, 13} {
		if !lines[line] {
			t.Errorf("line %d is not among the skipped: %v", line, feed.Skipped)
		}
	}
}

func FuzzReadSeason(f *testing.F) {
	f.Add([]byte(seasonHeader + "\n" + seasonRow + "\n"))
	f.Add([]byte("\ufeff" + seasonHeader + "\r\n" + strings.Replace(seasonRow, "-165", "", 1)))
	f.Add([]byte(seasonHeader + "\n\"" + seasonRow))
	f.Add([]byte("game_id\n\n\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		games, report, err := ReadSeason(bytes.NewReader(file))
		if (err == nil) != (len(report.Errors) == 0) {
			t.Fatalf("error %v with %d errors listed", err, len(report.Errors))
		}
		for i := range games {
			n, _ := ImportOptions{}.withDefaults().newEvent(&games[i])
			var check errs.Check
			(&Service{}).checkEvent(&check, n)
			if err := check.Err(); err != nil {
				t.Fatalf("game %q was read but is no event: %v", games[i].ID, err)
			}
		}
	})
}

func FuzzReadQuotes(f *testing.F) {
	header := strings.Join(quoteColumns, ",") + "\n"
	f.Add([]byte(header + "g,spread,HOM,a,-3,-110,-3.5,-110\ng,spread,AWY,a,3,-110,3.5,-110\n"))
	f.Add([]byte(header + "g,total,over,a,47,100,,x\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		feed, err := readQuotes(bytes.NewReader(file), QuoteOptions{}, func(game string, kind MarketType, selection string) (string, int, string) {
			if i := selectionIndex(kind, selection, "HOM", "AWY"); i >= 0 {
				return game + ":" + string(kind), i, ""
			}
			return "", 0, "no such selection"
		})
		if err != nil {
			return
		}
		for c := range feed.All() {
			kind := MarketType(c.MarketID[strings.LastIndex(c.MarketID, ":")+1:])
			var check errs.Check
			checkCodes(&check, "prices", kind, c.Prices)
			checkLine(&check, "line", kind, c.Line)
			if check.Err() != nil || len(c.Prices) != 2 {
				t.Fatalf("change %+v: %v", c, check.Err())
			}
		}
	})
}
