package api

import (
	"net/http"
	"net/url"
	"slices"
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
