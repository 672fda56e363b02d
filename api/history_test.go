package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestListsOfBetsAreFiltered: two bets on one game and one on another, seen by their player and by staff.
func TestListsOfBetsAreFiltered(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	s.game("final")
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	began := time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)
	var ids []string
	var at option
	for _, b := range []struct{ game, stake string }{{"game", "5.00"}, {"final", "10.00"}, {"game", "20.00"}} {
		bet := single(b.game, "USD")
		bet.Stake.Amount = b.stake
		placed := s.do("POST", "/v1/bets", token, bet, s.key()).want(http.StatusCreated)
		ids = append(ids, into[Receipt](placed).ID)
		at = header("Matchday-Position", placed.header.Get("Matchday-Position"))
	}
	first := into[Bet](s.do("GET", "/v1/bets/"+ids[0], token, nil, at).want(http.StatusOK))
	if first.Product != "sportsbook" || first.Legs[0].Sport == "" || first.Legs[0].Competition == "" {
		t.Fatalf("bet %+v does not say its product, sport and competition", first)
	}
	tests := []struct {
		query string
		want  []int
	}{
		{"", []int{2, 1, 0}},
		{"event=game", []int{2, 0}},
		{"event=game&max_stake=19.99", []int{0}},
		{"event=gam", nil},
		{"min_stake=10&max_stake=10.00&currency=USD", []int{1}},
		{"currency=CAD", nil},
		{"product=sportsbook&status=open&sport=" + url.QueryEscape(first.Legs[0].Sport), []int{2, 1, 0}},
		{"competition=" + url.QueryEscape(first.Legs[0].Competition), []int{2, 1, 0}},
		{"sport=Chess", nil},
		{"status=settled", nil},
		{"from=" + began, []int{2, 1, 0}},
		{"to=" + began, nil},
		{"bet=" + ids[1], []int{1}},
	}
	lists := []struct{ path, token string }{{"/v1/me/bets?", token}, {"/v1/operator/players/" + p.ID + "/bets?jurisdiction=US-NJ&", s.trader()}}
	for _, list := range lists {
		for _, tt := range tests {
			got := into[Bets](s.do("GET", list.path+tt.query, list.token, nil, at).want(http.StatusOK))
			if !slices.EqualFunc(got.Items, tt.want, func(b Bet, n int) bool { return b.ID == ids[n] }) || got.Next != "" || got.FreshAt.IsZero() {
				t.Errorf("%s%s: %+v, want bets %v", list.path, tt.query, got, tt.want)
			}
		}
	}
	s.do("GET", "/v1/operator/players/"+p.ID+"/bets?jurisdiction=CA-ON", s.trader(), nil).wantCode("not_found")
	s.do("GET", "/v1/operator/players/"+p.ID+"/bets?jurisdiction=US-NJ", s.staff("elsewhere", 1, on), nil).wantCode("forbidden")
	s.do("GET", "/v1/operator/players/"+p.ID+"/bets?jurisdiction=US-NJ", token, nil).wantCode("forbidden")
}

// TestABetsWholeHistoryIsShown: a bet that is settled, and settled again, in the single bet, the summary and the export.
func TestABetsWholeHistoryIsShown(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	ask := single("game", "USD")
	ask.Stake.Amount = "10.00"
	placed := s.do("POST", "/v1/bets", token, ask, s.key()).want(http.StatusCreated)
	bet := into[Receipt](placed)
	s.shown(placed) // before that there is no such bet
	trader := s.trader()
	few, many := 3, 30
	result := func(version int, home, away *int) BetLife {
		before := version - 1
		s.do("POST", "/v1/operator/events/game/result", trader, ResultRequest{HomeScore: home, AwayScore: away, ResultVersion: &before}).want(http.StatusAccepted)
		var life BetLife
		s.poll("the settlement", func() bool {
			life = into[BetLife](s.do("GET", "/v1/bets/"+bet.ID, token, nil, header("Matchday-Position", bet.Position)).want(http.StatusOK))
			return life.Version == version
		})
		return life
	}
	if life := result(1, &many, &few); len(life.Settlements) != 1 || life.Settlements[0].Status != life.Status || life.PlacedPosition != bet.Position {
		t.Errorf("settled once: %+v", life)
	}
	life := result(2, &few, &many)
	if len(life.Settlements) != 2 || life.Settlements[0].Status == life.Status || life.Settlements[1].Status != life.Status ||
		life.Settlements[1].At.Before(life.Settlements[0].At) || life.Position == "" || life.FreshAt.IsZero() {
		t.Errorf("settled again: %+v", life)
	}
	staff := into[BetLife](s.do("GET", "/v1/operator/players/"+p.ID+"/bets/"+bet.ID+"?jurisdiction=US-NJ", trader, nil).want(http.StatusOK))
	if staff.ID != bet.ID || len(staff.Settlements) != 2 {
		t.Errorf("staff see %+v", staff)
	}
	for _, look := range []struct{ path, token string }{{"/v1/me/bets/summary?by=day", token}, {"/v1/operator/players/" + p.ID + "/bets/summary?jurisdiction=US-NJ&by=year", trader}} {
		sum := into[BetSummary](s.do("GET", look.path, look.token, nil).want(http.StatusOK))
		if len(sum.Lines) != 1 || sum.Zone != "UTC" || sum.FreshAt.IsZero() {
			t.Fatalf("%s: %+v, want one line", look.path, sum)
		}
		if l := sum.Lines[0]; l.Bets != 1 || l.Open != 0 || l.Staked.Amount != "10.00" || l.AtStake.Amount != "0.00" || l.Returned != life.Settlements[1].Payout {
			t.Errorf("%s: %+v, want the bet as it is now", look.path, l)
		}
	}
	for _, look := range []struct{ path, token string }{{"/v1/me/bets/export", token}, {"/v1/operator/players/" + p.ID + "/bets/export?jurisdiction=US-NJ", trader}} {
		lines := strings.Split(strings.TrimSpace(string(s.do("GET", look.path, look.token, nil).want(http.StatusOK).body)), "\n")
		var end exportTrailer
		var first exportedBet
		if len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &end) != nil || json.Unmarshal([]byte(lines[0]), &first) != nil {
			t.Fatalf("%s: %q, want a bet and a trailer", look.path, lines)
		}
		if end.Trailer.Bets != 1 || end.Trailer.Position == "" || first.ID != bet.ID || len(first.Settlements) != 2 {
			t.Errorf("%s: %q", look.path, lines)
		}
	}
	for _, look := range []struct{ path, token string }{{"/v1/me/bets/export.csv", token}, {"/v1/operator/players/" + p.ID + "/bets/export.csv?jurisdiction=US-NJ", trader}} {
		rows, err := csv.NewReader(bytes.NewReader(s.do("GET", look.path, look.token, nil).want(http.StatusOK).body)).ReadAll()
		if err != nil || len(rows) != 3 || !slices.Equal(rows[0], csvHead) || rows[1][1] != bet.ID || rows[1][8] != "10.00" || strings.Count(rows[1][12], ";") != 1 ||
			rows[2][0] != "end" || rows[2][1] != "1" || !strings.Contains(rows[2][12], "whole up to") {
			t.Errorf("%s: %q, %v, want a head, a bet and an end", look.path, rows, err)
		}
	}
	if got := s.do("GET", "/v1/me/bets", token, nil).want(http.StatusOK).header.Get("Matchday-History"); got != "first" {
		t.Errorf("Matchday-History %q, want first: there is no second", got)
	}
	elsewhere := s.staff("elsewhere", 1, on)
	for _, path := range []string{"/summary", "/export", "/export.csv", "/" + bet.ID} {
		s.do("GET", "/v1/operator/players/"+p.ID+"/bets"+path+"?jurisdiction=US-NJ", elsewhere, nil).wantCode("forbidden")
	}
}

// TestAnExportGoesOn: who was cut off before a bet gets it, and who was cut off behind it does not get it again.
func TestAnExportGoesOn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	placed := s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
	bet := into[Receipt](placed).ID
	s.shown(placed)
	before := "bet_" + strings.Repeat("0", len(bet)-len("bet_"))
	for after, want := range map[string]int{before: 1, bet: 0} {
		lines := strings.Split(strings.TrimSpace(string(s.do("GET", "/v1/me/bets/export?after="+after, token, nil).want(http.StatusOK).body)), "\n")
		var end exportTrailer
		if len(lines) != want+1 || json.Unmarshal([]byte(lines[want]), &end) != nil || end.Trailer.Bets != want || end.Trailer.Position == "" {
			t.Errorf("after %s: %q, want %d bets and a trailer", after, lines, want)
		}
	}
}

// TestATableIsNoProgram: what a spreadsheet would run is a text, and quotes and line breaks stay in their field.
func TestATableIsNoProgram(t *testing.T) {
	t.Parallel()
	line, err := csvBets.bet(exportedBet{Bet: Bet{ID: "bet_1", Legs: []Leg{{EventName: `=HYPERLINK("http://x","a")`, SelectionName: "a\nb", Price: "+120"}}}})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(line)).ReadAll()
	if err != nil || len(rows) != 1 || rows[0][11] != `'=HYPERLINK("http://x","a"): a`+"\nb () at +120" || !bytes.HasSuffix(line, []byte("\r\n")) {
		t.Errorf("row %q, %v", line, err)
	}
	for text, want := range map[string]string{"": "", "plain": "plain", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "é=1": "é=1", "＝1": "'＝1"} {
		if got := notFormula(text); got != want {
			t.Errorf("notFormula(%q) = %q, want %q", text, got, want)
		}
	}
}
