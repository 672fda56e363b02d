package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"matchday/player"
)

const quoteHeader = "game_id,market,selection,book,open_line,open_price,close_line,close_price\n"

// quoteFile has two books' quotes of one game, and two rows that make no sense.
const quoteFile = quoteHeader +
	"cup,money_line,HAR,one,0,-120,,-140\n" +
	"cup,money_line,MIL,one,0,100,,120\n" +
	"cup,money_line,HAR,two,0,-900,,-900\n" +
	"cup,money_line,MIL,two,0,600,,600\n" +
	"nowhere,money_line,HAR,one,0,-120,,-140\n" +
	"cup,spread,HAR,one,-2.5,-110,-3.5,-105\n" +
	"cup,spread,MIL,one,2.5,-110,3.5,-115\n" +
	"cup,draw,HAR,one,0,-110,,-110\n"

const quotesPath = "/v1/operator/quotes/import"

// quoted is a server with the game of quoteFile.
func quoted(t *testing.T) (s *server, trader string) {
	t.Helper()
	s = newServer(t)
	trader = s.trader()
	line := "-2.5"
	s.do("POST", "/v1/operator/events", trader, NewEvent{ID: "cup", Sport: "Football", Competition: "Cup", Home: "Harbour Town", Away: "Mill City",
		HomeCode: "HAR", AwayCode: "MIL", StartsAt: s.api.deps.Clock.Now().Add(time.Hour), Markets: []NewMarket{
			{Type: "moneyline", Prices: map[string]string{"home": "-110", "away": "-110"}},
			{Type: "spread", Line: &line, Prices: map[string]string{"home": "-110", "away": "-110"}},
		}}).want(http.StatusCreated)
	return s, trader
}

func TestAQuoteFileMovesPrices(t *testing.T) {
	t.Parallel()
	s, trader := quoted(t)
	csv := header("Content-Type", "text/csv")
	report := into[QuotesReport](s.do("POST", quotesPath+"?book=one", trader, quoteFile, csv).want(http.StatusOK))
	if report.Rows != 8 || report.Applied != 4 || report.Refused != 0 || report.PassedOver != 2 {
		t.Errorf("report %+v, want 4 changes of 8 rows, 2 passed over", report)
	}
	if n := report.Notes; len(n) != 2 || n[0].Line != 6 || n[1].Line != 9 || n[0].Message == "" || n[1].Column != "market" {
		t.Errorf("notes %+v, want lines 6 and 9", n)
	}
	e := into[Event](s.do("GET", "/v1/events/cup?jurisdiction=US-NJ", "", nil).want(http.StatusOK))
	prices := map[string]string{}
	for _, m := range e.Markets {
		for _, sel := range m.Selections {
			prices[sel.ID] = sel.Price
			if sel.Line != nil {
				prices[sel.ID] += " at " + *sel.Line
			}
		}
	}
	for selection, want := range map[string]string{"cup:moneyline:home": "-140", "cup:moneyline:away": "+120",
		"cup:spread:home": "-105 at -3.5", "cup:spread:away": "-115 at 3.5"} {
		if prices[selection] != want {
			t.Errorf("%s is %s after the quotes, want %s", selection, prices[selection], want)
		}
	}
	s.do("POST", "/v1/operator/markets/cup:spread/status", trader, MarketStatusRequest{Status: "closed"}).want(http.StatusNoContent)
	report = into[QuotesReport](s.do("POST", quotesPath+"?book=two", trader, quoteFile+"cup,spread,HAR,two,-7,-110,-7,-110\ncup,spread,MIL,two,7,-110,7,-110\n", csv).want(http.StatusOK))
	if report.Applied != 2 || report.Refused != 2 {
		t.Errorf("report %+v, want the closed market's 2 changes refused and the other's 2 applied", report)
	}
}

func TestNotesOfAQuoteFileAreBounded(t *testing.T) {
	t.Parallel()
	s, trader := quoted(t)
	file := quoteHeader + strings.Repeat("nowhere,money_line,HAR,one,0,-120,,-140\n", 1000)
	report := into[QuotesReport](s.do("POST", quotesPath, trader, file, header("Content-Type", "text/csv")).want(http.StatusOK))
	if report.PassedOver != 1000 || len(report.Notes) != 100 || report.Applied != 0 {
		t.Errorf("%d passed over with %d notes and %d applied, want 1000, 100 and none", report.PassedOver, len(report.Notes), report.Applied)
	}
}

func TestAQuoteFileIsRefused(t *testing.T) {
	t.Parallel()
	s, trader := quoted(t)
	csv := header("Content-Type", "text/csv")
	before := s.state()
	p := s.do("POST", quotesPath, trader, strings.Replace(quoteFile, "close_price", "last_price", 1), csv).wantCode("invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "line 1, close_price" {
		t.Errorf("a file without a column names %v, want it", p.Errors)
	}
	s.do("POST", quotesPath, trader, "", csv).wantCode("invalid")
	s.do("POST", quotesPath, trader, "\x00\xff\n", csv).wantCode("invalid")
	s.do("POST", quotesPath, trader, quoteFile).want(http.StatusUnsupportedMediaType)
	s.do("POST", quotesPath, trader, strings.Repeat("x", 9<<20), csv).want(http.StatusRequestEntityTooLarge).wantCode("too_large")
	s.do("POST", quotesPath, s.staff("jersey", player.RoleAdmin, nj), quoteFile, csv).wantCode("forbidden")
	if after := s.state(); after != before {
		t.Errorf("a refused quote file changed something:\n%s\nwas\n%s", after, before)
	}
}
