package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"matchday/history"
	"matchday/id"
	"matchday/player"
	"matchday/stream"
)

// badOfSecond is what no step of a second history may take.
func badOfSecond() []badValue {
	const share, drop = "share-second-history", "drop-history"
	why := HistoryStepRequest{Reason: "a test"}
	some := func(percent int, players ...string) HistoryShareRequest {
		return HistoryShareRequest{HistoryStepRequest: why, Percent: percent, Players: players}
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = newPlayerID()
	}
	return []badValue{
		{"no reason", share, "", HistoryShareRequest{Percent: 5}, "invalid", "reason"},
		{"nobody", share, "", some(0), "invalid", "percent"},
		{"less than nobody", share, "", some(-1), "invalid", "percent"},
		{"more than everybody", share, "", some(101), "invalid", "percent"},
		{"a player who is none", share, "", some(5, newPlayerID(), "somebody"), "invalid", "players[1]"},
		{"too many players", share, "", some(5, many...), "invalid", "players"},
		{"no reason", "switch-to-second-history", "", HistoryStepRequest{}, "invalid", "reason"},
		{"blanks for a reason", "switch-to-second-history", "", HistoryStepRequest{Reason: "  "}, "invalid", "reason"},
		{"a long reason", "back-to-first-history", "", HistoryStepRequest{Reason: strings.Repeat("x", 501)}, "invalid", "reason"},
		{"no reason", drop, "", HistoryDropRequest{History: "second"}, "invalid", "reason"},
		{"a history that is none", drop, "", HistoryDropRequest{HistoryStepRequest: why, History: "third"}, "invalid", "history"},
		{"what players see", drop, "", HistoryDropRequest{HistoryStepRequest: why, History: "first"}, "conflict", ""},
	}
}

// TestBadStepsOfASecondHistoryAreRefused: what is asked for wrongly, and who may not ask.
func TestBadStepsOfASecondHistoryAreRefused(t *testing.T) {
	t.Parallel()
	s := newServerBeside(t, history.NextConfig{Dir: t.TempDir()})
	trader := s.trader()
	s.refusesAll(t, trader, badOfSecond())
	ontario, viewer := s.staff("ontario", player.RoleAdmin, on), s.staff("viewer", player.RoleViewer, nj, pa, on)
	why := HistoryStepRequest{Reason: "a test"}
	for path, body := range map[string]any{
		"share": HistoryShareRequest{HistoryStepRequest: why, Percent: 5}, "switch": why, "back": why,
		"drop": HistoryDropRequest{HistoryStepRequest: why, History: "second"},
	} {
		for _, token := range []string{ontario, viewer} {
			s.do("POST", "/v1/operator/history/"+path, token, body).wantCode("forbidden")
		}
	}
	s.do("GET", "/v1/operator/history", ontario, nil).wantCode("forbidden")
	got := into[SecondHistory](s.do("GET", "/v1/operator/history", viewer, nil).want(http.StatusOK))
	if len(got.Steps) != 0 || got.Shown != "first" || got.Dropped != "" {
		t.Errorf("refused requests left %+v", got)
	}
}

func TestWithoutASecondHistoryNoStepIsTaken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	trader := s.trader()
	s.do("GET", "/v1/operator/history", trader, nil).wantCode("conflict")
	s.do("POST", "/v1/operator/history/switch", trader, HistoryStepRequest{Reason: "a test"}).wantCode("conflict")
}

// TestASecondHistoryIsShownToSome: step by step, and every answer about bets says which history it comes from.
func TestASecondHistoryIsShownToSome(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: steps of operators are seen a second later")
	}
	s := newServerBeside(t, history.NextConfig{Dir: t.TempDir()})
	s.game("game")
	trader := s.trader()
	status := func() SecondHistory {
		return into[SecondHistory](s.do("GET", "/v1/operator/history", trader, nil).want(http.StatusOK))
	}
	inside, outside := s.bettor(trader), s.bettor(trader)
	s.poll("both histories", s.isLevel)
	inside.wantHistory("first")
	why := HistoryStepRequest{Reason: "a first look"}
	share := HistoryShareRequest{HistoryStepRequest: why, Players: []string{inside.id}}
	s.poll("the comparison", func() bool { // until then a step is refused, and says so
		a := s.do("POST", "/v1/operator/history/share", trader, share)
		if a.status != http.StatusAccepted {
			a.wantCode("conflict")
			return false
		}
		return true
	})
	s.seen(history.ShownShare)
	inside.wantHistory("second")
	outside.wantHistory("first")
	s.do("POST", "/v1/operator/history/share", trader, share).want(http.StatusAccepted)
	got := status()
	if got.Shown != "share" || len(got.Players) != 1 || len(got.Shards) != s.ledger.Shards() || got.At == nil {
		t.Errorf("status %+v, want one player's share and every shard", got)
	}
	s.poll("the look that is current", func() bool {
		got := status()
		return len(got.Processes) == 1 && got.Processes[0].Current && got.Processes[0].Process != ""
	})
	if len(got.Steps) != 1 || got.Steps[0].By != "trader" || got.Steps[0].Reason != "a first look" {
		t.Errorf("steps %+v, want the share once, by whom and why", got.Steps)
	}
	for _, one := range got.Shards {
		if !one.Done || one.Comparison.Passes == 0 || one.Comparison.At == nil || one.Comparison.Suspected != 0 {
			t.Errorf("shard %+v, want it copied, compared and equal", one)
		}
	}
	s.do("POST", "/v1/operator/history/switch", trader, why).want(http.StatusAccepted)
	s.seen(history.ShownSecond)
	outside.wantHistory("second")
	s.do("POST", "/v1/operator/history/back", trader, why).want(http.StatusAccepted)
	s.seen(history.ShownFirst)
	inside.wantHistory("first")
	drop := HistoryDropRequest{HistoryStepRequest: why, History: "second"}
	for range 2 { // a retry is answered as before
		if c := into[HistoryChoice](s.do("POST", "/v1/operator/history/drop", trader, drop).want(http.StatusAccepted)); c.Dropped != "second" {
			t.Errorf("let go of the second: %+v", c)
		}
	}
	s.do("POST", "/v1/operator/history/switch", trader, why).wantCode("conflict")
	if got := status(); len(got.Steps) != 4 || got.Dropped != "second" {
		t.Errorf("status %+v, want four steps and the second dropped", got)
	}
}

// seen waits until the process follows a step.
func (s *server) seen(shown history.Shown) {
	s.t.Helper()
	s.poll("the step", func() bool { return s.history.NextStatus().Shown == shown })
}

// isLevel reports whether both histories show the whole log.
func (s *server) isLevel() bool {
	next := s.history.NextStatus().Copy
	for i, l := range s.history.Lag() {
		if head := s.ledger.Head(i); l.Position != head || i >= len(next) || next[i].Position != head {
			return false
		}
	}
	return true
}

// bettor is a player with one bet, and a member of staff who looks at it.
type bettor struct {
	s                     *server
	id, token, staff, bet string
}

func (s *server) bettor(staff string) bettor {
	s.t.Helper()
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	placed := s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
	return bettor{s: s, id: p.ID, token: token, staff: staff, bet: into[Receipt](placed).ID}
}

// wantHistory reads the bet in every way there is.
func (b bettor) wantHistory(want string) {
	b.s.t.Helper()
	player := "/v1/operator/players/" + b.id
	for _, path := range []string{"", "/summary", "/export", "/export.csv"} {
		b.wantFrom(want, "/v1/me/bets"+path, b.token)
		b.wantFrom(want, player+"/bets"+path+"?jurisdiction=US-NJ", b.staff)
	}
	b.wantFrom(want, "/v1/bets/"+b.bet, b.token)
	b.wantFrom(want, player+"/bets/"+b.bet+"?jurisdiction=US-NJ", b.staff)
	b.wantProblemsFrom(want)
}

// wantProblemsFrom asks for what there is not, in every way there is, and for what no history is asked.
func (b bettor) wantProblemsFrom(want string) {
	b.s.t.Helper()
	player, bet := "/v1/operator/players/"+b.id+"/bets", string(id.NewSource(time.Now).NewBet())
	old := string(id.NewSource(func() time.Time { return time.Date(2001, 9, 9, 0, 0, 0, 0, time.UTC) }).NewBet())
	elsewhere := header("Matchday-Position", stream.Position{Shard: (b.s.ledger.ShardOf(id.Player(b.id)) + 1) % b.s.ledger.Shards(), Seq: 1}.String())
	for _, tt := range []struct {
		path, token, code, history string
		with                       option
	}{
		{"/v1/bets/" + bet, b.token, "not_found", want, nil},
		{player + "/" + bet + "?jurisdiction=US-NJ", b.staff, "not_found", want, nil},
		{"/v1/bets/" + old, b.token, "gone", want, nil},
		{player + "/" + old + "?jurisdiction=US-NJ", b.staff, "gone", want, nil},
		{"/v1/bets/" + b.bet, b.token, "invalid", want, elsewhere},
		{"/v1/me/bets", b.token, "invalid", want, elsewhere},
		{"/v1/me/bets/summary", b.token, "invalid", want, elsewhere},
		{"/v1/me/bets/export", b.token, "invalid", want, elsewhere},
		{"/v1/me/bets/export.csv", b.token, "invalid", want, elsewhere},
		{"/v1/me/bets?sport=%0A", b.token, "invalid", "", nil},
		{"/v1/bets/none", b.token, "not_found", "", nil},
		{"/v1/bets/" + b.bet, "", "unauthenticated", "", nil},
		{player + "?jurisdiction=US-NJ", b.token, "forbidden", "", nil},
	} {
		var with []option
		if tt.with != nil {
			with = append(with, tt.with)
		}
		a := b.s.do("GET", tt.path, tt.token, nil, with...)
		a.wantCode(tt.code)
		if got := strings.Join(a.header.Values("Matchday-History"), " "); got != tt.history {
			b.s.t.Errorf("%s of %s: Matchday-History %q, want %q", tt.code, tt.path, got, tt.history)
		}
	}
}

func (b bettor) wantFrom(want, path, token string) {
	b.s.t.Helper()
	a := b.s.do("GET", path, token, nil).want(http.StatusOK)
	if got := a.header.Values("Matchday-History"); len(got) != 1 || got[0] != want {
		b.s.t.Errorf("%s: Matchday-History %q, want %s", path, got, want)
	}
	if strings.Contains(path, "summary") {
		return // of numbers only
	}
	if !strings.Contains(string(a.body), b.bet) {
		b.s.t.Errorf("%s lacks the bet: %s", path, a.body)
	}
}
