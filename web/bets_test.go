package web

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/history"
	"matchday/money"
)

func TestTheFilterOfBets(t *testing.T) {
	t.Parallel()
	in := cookie(sessionCookie, token)
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	const betID = "bet_01jb2m7k3v9q8w5x4y6z7a0b1f"
	tests := []struct {
		name, query string
		want        history.Query
	}{
		{"nothing asks for all", "", history.Query{}},
		{"names are taken as they are", "?status=push&product=sportsbook&sport=American+football&competition=Union+League&event=ev2", history.Query{
			Status: history.StatusPush, Product: "sportsbook", Sport: "American football", Competition: "Union League", Event: "ev2"}},
		{"days are those of the jurisdiction, the last included", "?from=2026-11-01&to=2026-11-01", history.Query{
			From: time.Date(2026, 11, 1, 0, 0, 0, 0, newYork), To: time.Date(2026, 11, 2, 0, 0, 0, 0, newYork)}}, // a day of 25 hours
		{"amounts are of the jurisdiction's currency", "?min_stake=%2410&max_stake=25.50", history.Query{Currency: money.USD, Least: 1000, Most: 2550}},
		{"a bet and a place in the list", "?bet=" + betID + "&before=" + betID, history.Query{Bet: betID, Before: betID}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, w := newStage(t)
			if rec := visit(w, "/bets"+tt.query, in); rec.Code != 200 || len(s.asked) != 1 {
				t.Fatalf("status %d after %d questions", rec.Code, len(s.asked))
			}
			tt.want.Player, tt.want.Jurisdiction, tt.want.Limit = s.tokens[token].Player, "US-NJ", betsPerPage
			got := s.asked[0]
			if !got.From.Equal(tt.want.From) || !got.To.Equal(tt.want.To) {
				t.Errorf("from %s to %s, want %s to %s", got.From, got.To, tt.want.From, tt.want.To)
			}
			got.From, got.To, tt.want.From, tt.want.To = time.Time{}, time.Time{}, time.Time{}, time.Time{}
			if got != tt.want {
				t.Errorf("asked for %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAFilterThatDoesNotWorkIsExplainedAndKept(t *testing.T) {
	t.Parallel()
	in := cookie(sessionCookie, token)
	for _, tt := range []struct{ query, field, typed, want string }{
		{"min_stake=lots", "min_stake", "lots", "is not an amount such as 25.00"},
		{"min_stake=-5", "min_stake", "-5", "must be above zero"},
		{"min_stake=20&max_stake=10", "max_stake", "10", "must not be below the other amount"},
		{"from=yesterday", "from", "yesterday", "is not a day such as 2026-11-22"},
		{"from=0001-01-01", "from", "0001-01-01", "is not a day"},
		{"from=2026-11-02&to=2026-11-01", "to", "2026-11-01", "must not be before the first day"},
		{"bet=17", "bet", "17", "is not the number of a bet"},
		{"sport=" + strings.Repeat("x", 300), "sport", strings.Repeat("x", maxFieldBytes), "is too long"},
		{"competition=a%00b", "competition", "", "plain text"},
	} {
		s, w := newStage(t)
		rec := visit(w, "/bets?status=won&"+tt.query, in)
		body := rec.Body.String()
		if rec.Code != 400 || len(s.asked) != 0 {
			t.Errorf("%s: status %d after %d questions, want 400 and none", tt.query, rec.Code, len(s.asked))
		}
		wrong := `id="filter-` + tt.field + `-wrong">`
		at := strings.Index(body, wrong)
		if at < 0 || !strings.Contains(clipRunes(body[at:], 200), tt.want) {
			t.Errorf("%s: the page does not say %q at %s", tt.query, tt.want, tt.field)
		}
		if !strings.Contains(body, `value="`+tt.typed) || !strings.Contains(body, "(invalid)") || !strings.Contains(body, `<option value="won" selected>`) {
			t.Errorf("%s: the form does not keep what was typed", tt.query)
		}
	}
}

func TestAFormLeavesOnlyWhatWasFilledInTheAddress(t *testing.T) {
	t.Parallel()
	_, w := newStage(t)
	rec := visit(w, "/bets?status=won&product=&sport=&from=&to=&min_stake=+5+&max_stake=&bet=", cookie(sessionCookie, token))
	if got := rec.Header().Get("Location"); rec.Code != 303 || got != "/bets?min_stake=5&status=won" {
		t.Errorf("status %d to %q", rec.Code, got)
	}
	if got := visit(w, "/bets?status=", cookie(sessionCookie, token)).Header().Get("Location"); got != "/bets" {
		t.Errorf("an empty filter leads to %q", got)
	}
}

func TestPagesOfBetsFollowEachOther(t *testing.T) {
	t.Parallel()
	in := cookie(sessionCookie, token)
	s, w := newStage(t)
	s.more = true
	const next = `href="/bets?before=bet_01jb2m7k3v9q8w5x4y6z7a0b10&amp;event=ev2&amp;status=won"`
	body := visit(w, "/bets?status=won&event=ev2", in).Body.String()
	if !strings.Contains(body, next) || strings.Contains(body, "Newest bets") {
		t.Error("the first page does not lead to the second alone")
	}
	if !strings.Contains(body, `href="/bets?status=won" aria-label="Remove the filter Game ev2"`) {
		t.Error("a part of the filter cannot be taken away")
	}
	body = visit(w, "/bets?status=won&event=ev2&before=bet_01jb2m7k3v9q8w5x4y6z7a0b1f", in).Body.String()
	if !strings.Contains(body, next) || !strings.Contains(body, `href="/bets?event=ev2&amp;status=won">Newest bets`) {
		t.Error("the second page does not lead on and back")
	}
	for _, tt := range []struct {
		name, query, want string
		more              bool
	}{
		{"no bets at all", "", "No bets yet", false},
		{"none that fit", "?event=ev2", "Show all bets", false},
		{"none among those looked at", "?event=ev2", "Look further back", true},
		{"none behind the last", "?before=bet_01jb2m7k3v9q8w5x4y6z7a0b1f", "No older bets", false},
	} {
		s, w := newStage(t)
		s.bets, s.more = nil, tt.more
		if body := visit(w, "/bets"+tt.query, in).Body.String(); !strings.Contains(body, tt.want) {
			t.Errorf("%s: the page does not say %q", tt.name, tt.want)
		}
	}
}

func TestPagesOfBetsSayHowFreshTheyAre(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lag  time.Duration
		want string
	}{
		{0, "Up to date as of 12:00:00 PM."},
		{2 * time.Second, "Up to date as of 11:59:58 AM."},
		{2001 * time.Millisecond, "the last 3 seconds may be missing"},
		{10 * time.Minute, "the last 10 minutes may be missing"},
		{3 * time.Hour, "the last 3 hours may be missing"},
	} {
		s, w := newStage(t)
		s.lag = tt.lag
		for _, page := range []string{"/bets", "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1d", "/bets/summary"} {
			if body := visit(w, page, cookie(sessionCookie, token)).Body.String(); !strings.Contains(body, tt.want) {
				t.Errorf("%s that is %s behind does not say %q", page, tt.lag, tt.want)
			}
		}
	}
	if v := freshness(history.Freshness{}, now, time.UTC); !v.Late || !strings.Contains(v.Text, "not known") {
		t.Errorf("a history that never said how fresh it is: %+v", v)
	}
}

func TestTheLifeOfABet(t *testing.T) {
	t.Parallel()
	in := cookie(sessionCookie, token)
	_, w := newStage(t)
	for bet, want := range map[string][]string{
		"bet_01jb2m7k3v9q8w5x4y6z7a0b1f": {"Placed", "−$25.00", "Waits for the result"},
		"bet_01jb2m7k3v9q8w5x4y6z7a0b1e": {"Placed", "−$10.00", "Settled: won", "+$19.09"},
		"bet_01jb2m7k3v9q8w5x4y6z7a0b1d": {"Placed", "−$5.00", "Settled: won", "+$11.90", "Settled again: lost", "−$11.90",
			"Sat Nov 21, 2026, 4:00:00 PM", "Paid before $11.90, now $0.00.", "Northgate Owls: lost, before: won"},
	} {
		body := visit(w, "/bets/"+bet, in).Body.String()
		for at, text := 0, body; len(want) > at; at++ { // in this order
			_, rest, ok := strings.Cut(text, want[at])
			if !ok {
				t.Errorf("the life of %s has no %q behind what comes before it", bet, want[at])
				break
			}
			text = rest
		}
		if strings.Contains(body, "position <code>") {
			t.Errorf("a player's page of %s has the figures of staff", bet)
		}
	}
	for path, want := range map[string]int{"/bets/" + goneBet: 410, "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b99": 404, "/bets/nonsense": 404} {
		if rec := visit(w, path, in); rec.Code != want {
			t.Errorf("GET %s: status %d, want %d", path, rec.Code, want)
		}
	}
	if rec := visit(w, "/bets/"+goneBet); rec.Code != 303 {
		t.Errorf("without a session: status %d", rec.Code)
	}
}

func TestABetThatIsOpenAgain(t *testing.T) {
	t.Parallel()
	usd := func(minor int64) money.Money { return money.New(minor, money.USD) }
	b := history.BetLife{Bet: history.Bet{Status: history.StatusOpen, Stake: usd(1000), PotentialPayout: usd(4000), Legs: make([]history.Leg, 2)},
		Settlements: []history.Settlement{
			{Version: 1, Status: history.StatusLost, Payout: usd(0), Outcomes: []string{"lost", ""}},
			{Version: 2, Status: history.StatusOpen, Payout: usd(0), Outcomes: []string{"won", ""}},
		}}
	steps := life(b, time.UTC)
	var got []string
	for _, s := range steps {
		got = append(got, s.What)
	}
	if want := "Placed, Settled: lost, Open again, Waits for the result"; strings.Join(got, ", ") != want {
		t.Errorf("the life is %q, want %q", got, want)
	}
	if legs := steps[2].Legs; len(legs) != 1 || legs[0].Text != "won, before: lost" {
		t.Errorf("the legs that changed are %+v", legs)
	}
}

func TestSummariesOfBets(t *testing.T) {
	t.Parallel()
	in := cookie(sessionCookie, token)
	s, w := newStage(t)
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"", []string{"November 2026", "October 2026", "1,234", "$4,120.00", "$25.00 at stake", "−$95.00", "+$105.00", "In all", "1,236", "$4,135.00", "+$10.00",
			`href="/bets?from=2026-11-01&amp;to=2026-11-30"`, `href="/bets/summary?by=day&amp;from=2026-11-01&amp;to=2026-11-30"`, "America/New_York"}},
		{"?by=day", []string{"Sun Nov 22, 2026", `href="/bets?from=2026-11-22&amp;to=2026-11-22"`}},
		{"?by=year&from=2025-02-03&to=2026-11-20", []string{`href="/bets?from=2026-01-01&amp;to=2026-11-20"`, `href="/bets/summary?by=month&amp;from=2025-02-03&amp;to=2025-12-31"`}},
	} {
		rec := visit(w, "/bets/summary"+tt.query, in)
		for _, want := range tt.want {
			if !strings.Contains(rec.Body.String(), want) {
				t.Errorf("GET /bets/summary%s: status %d, without %q", tt.query, rec.Code, want)
			}
		}
	}
	s.more, s.sums = true, nil
	body := visit(w, "/bets/summary?by=day&from=2026-01-01", in).Body.String()
	if !strings.Contains(body, `href="/bets/summary?before=2026-11-21&amp;by=day&amp;from=2026-01-01"`) || !strings.Contains(body, "of all periods asked for") {
		t.Error("a page of a longer summary does not lead on, or hides that its total is of all")
	}
	if len(s.sums) != 2 || s.sums[1].By != history.GrainYear || s.sums[1].From != "2026-01-01" || s.sums[1].Before != "" {
		t.Errorf("the total is of %+v", s.sums)
	}
	for query, want := range map[string]string{
		"by=week": "The period must be day, month or year.", "from=1": "is not a day such as", "before=x": "The place in the summary is none of this list.",
		"from=2026-02-01&to=2026-01-01": "must not be before the first day",
	} {
		if rec := visit(w, "/bets/summary?"+query, in); rec.Code != 400 || !strings.Contains(rec.Body.String(), want) || !strings.Contains(rec.Body.String(), "(invalid)") {
			t.Errorf("%s: status %d, want 400 and %q", query, rec.Code, want)
		}
	}
	s.bets = nil
	if body := visit(w, "/bets/summary", in).Body.String(); !strings.Contains(body, "Nothing to add up") {
		t.Error("a summary of nothing does not say so")
	}
}

func TestTextOfOthersIsShownAsText(t *testing.T) {
	t.Parallel()
	const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	s, w := newStage(t)
	for i := range s.bets {
		for n := range s.bets[i].Legs {
			l := &s.bets[i].Legs[n]
			l.SelectionName, l.EventName, l.EventID, l.Sport, l.Competition = hostile, hostile, hostile, hostile, hostile
		}
	}
	query := url.Values{"sport": {hostile}, "competition": {hostile}, "event": {hostile}, "status": {"open"}}.Encode()
	for _, path := range []string{"/bets", "/bets?" + query, "/bets?min_stake=" + url.QueryEscape(hostile), "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1d",
		"/bets/summary?by=" + url.QueryEscape(hostile) + "&from=" + url.QueryEscape(hostile)} {
		body := visit(w, path, cookie(sessionCookie, token)).Body.String()
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") || strings.Contains(body, `"'>`) {
			t.Errorf("GET %s has the markup of others", path)
		}
		if !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("GET %s does not show the text at all", path)
		}
	}
}

func TestPagesOfBetsWhenTheHistoryFails(t *testing.T) {
	t.Parallel()
	for code, want := range map[errs.Code]int{errs.CodeUnavailable: 503, errs.CodeInternal: 500} {
		s, w := newStage(t)
		s.refuse = errs.New(code, "shard 7 is on fire")
		if rec := visit(w, "/bets", cookie(sessionCookie, token)); rec.Code != want || strings.Contains(rec.Body.String(), "on fire") {
			t.Errorf("%s: status %d, want %d without the detail", code, rec.Code, want)
		}
	}
}
