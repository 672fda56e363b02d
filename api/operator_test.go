package api

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestStaffCreateAndTradeAnEvent(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	trader := s.trader()
	line := "-2.5"
	starts := s.api.deps.Clock.Now().Add(2 * time.Hour)
	created := into[Event](s.do("POST", "/v1/operator/events", trader, NewEvent{ID: "cup-final", Sport: "Football", Competition: "Cup",
		Home: "Harbour Town", Away: "Mill City", HomeCode: "HAR", AwayCode: "MIL", Stadium: "The Quay", StartsAt: starts,
		Jurisdictions: []string{"US-NJ", "CA-ON"}, Markets: []NewMarket{
			{Type: "moneyline", Prices: map[string]string{"home": "-130", "away": "+110"}},
			{Type: "spread", Line: &line, Prices: map[string]string{"home": "-105", "away": "-115"}},
		}}).want(http.StatusCreated))
	if created.ID != "cup-final" || created.Status != "scheduled" || len(created.Markets) != 2 || !created.StartsAt.Equal(starts) {
		t.Errorf("created %+v, want the cup final", created)
	}
	s.do("GET", "/v1/events/cup-final?jurisdiction=US-PA", "", nil).wantCode("not_found")
	s.do("POST", "/v1/operator/selections/cup-final:moneyline:home/price", trader, SetPriceRequest{Price: "-140", Jurisdiction: "CA-ON"}).want(http.StatusNoContent)
	line = "-3"
	s.do("POST", "/v1/operator/markets/cup-final:spread/prices", trader, SetPricesRequest{Prices: map[string]string{"home": "-110", "away": "-110"}, Line: &line}).want(http.StatusNoContent)
	price := func(j string) map[string]string {
		out := map[string]string{}
		for _, m := range into[Event](s.do("GET", "/v1/operator/events/cup-final?jurisdiction="+j, trader, nil).want(http.StatusOK)).Markets {
			for _, sel := range m.Selections {
				out[sel.ID] = sel.Price
				if sel.Line != nil {
					out[sel.ID] += " at " + *sel.Line
				}
			}
		}
		return out
	}
	if nj, on := price("US-NJ"), price("CA-ON"); nj["cup-final:moneyline:home"] != "-130" || on["cup-final:moneyline:home"] != "-140" ||
		nj["cup-final:spread:away"] != "-110 at 3" {
		t.Errorf("prices %v in New Jersey and %v in Ontario, want -130, -140 and the moved spread", nj, on)
	}
	no := false
	yes := true
	s.do("POST", "/v1/operator/events/cup-final/suspension", trader, SuspensionRequest{&yes}).want(http.StatusNoContent)
	if e := into[Event](s.do("GET", "/v1/events/cup-final?jurisdiction=US-NJ", "", nil)); e.Markets[0].Status != "suspended" {
		t.Errorf("market %+v, want it suspended", e.Markets[0])
	}
	s.do("POST", "/v1/operator/events/cup-final/suspension", trader, SuspensionRequest{&no}).want(http.StatusNoContent)
}

func TestStaffSeeTheirBoard(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
	trader := s.trader()
	players := into[List[Player]](s.do("GET", "/v1/operator/players?jurisdiction=US-NJ", trader, nil).want(http.StatusOK))
	if len(players.Items) != 1 || players.Items[0] != p {
		t.Errorf("players %+v, want %+v", players, p)
	}
	if got := into[Player](s.do("GET", "/v1/operator/players/"+p.ID+"?jurisdiction=US-NJ", trader, nil).want(http.StatusOK)); got != p {
		t.Errorf("player %+v, want %+v", got, p)
	}
	s.do("GET", "/v1/operator/players/"+p.ID+"?jurisdiction=CA-ON", trader, nil).wantCode("not_found")
	shards := into[List[Shard]](s.do("GET", "/v1/operator/shards", trader, nil).want(http.StatusOK)).Items
	var committed uint64
	for _, shard := range shards {
		committed += shard.Committed
	}
	if one := shards[0]; one.State != "writing" || one.Engine != "sqlite" || one.Bytes == 0 || one.Buckets != 512 || one.LastMinute > 2 {
		t.Errorf("shard %+v, want it written here, with half of the buckets", one)
	}
	if len(shards) != 2 || committed != 2 {
		t.Errorf("shards %+v, want two with two transfers", shards)
	}
	s.poll("history to follow", func() bool {
		for _, l := range into[List[Lag]](s.do("GET", "/v1/operator/lag", trader, nil).want(http.StatusOK)).Items {
			if l.Position < l.Head {
				return false
			}
		}
		return true
	})
	s.poll("the writers to file their commits", func() bool { return s.filedCommits(trader) == 2 })
	statements := into[List[Statement]](s.do("GET", "/v1/operator/statements", trader, nil).want(http.StatusOK)).Items
	if !contains(statements, func(i int) bool { return statements[i].Count > 0 && statements[i].MaxSeconds > 0 }) {
		s.t.Errorf("statements %+v, want some that ran", statements)
	}
	rows := into[List[Exposure]](s.do("GET", "/v1/operator/exposure?event_id=game", trader, nil).want(http.StatusOK)).Items
	if len(rows) != 1 || rows[0].Payout != (Amount{"15.88", "USD"}) || rows[0].Bets != 1 || rows[0].EventName == "" {
		t.Errorf("exposure %+v, want one bet for 15.88", rows)
	}
	if all := into[List[Jurisdiction]](s.do("GET", "/v1/operator/jurisdictions", s.staff("jersey", 1, nj), nil).want(http.StatusOK)).Items; len(all) != 1 || all[0].Code != "US-NJ" {
		t.Errorf("staff of New Jersey see %+v", all)
	}
	s.do("DELETE", "/v1/operator/sessions", trader, nil).want(http.StatusNoContent)
	s.do("GET", "/v1/operator/shards", trader, nil).wantCode("unauthenticated")
}

func TestAnAuditRunsBesideTheWriter(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	trader := s.trader()
	if got := into[Audit](s.do("GET", "/v1/operator/audit", trader, nil).want(http.StatusOK)); got.Status != "never" {
		t.Errorf("before any audit: %+v", got)
	}
	if got := into[Audit](s.do("POST", "/v1/operator/audit", trader, nil).want(http.StatusAccepted)); got.Status != "running" || got.StartedBy != "trader" {
		t.Errorf("started %+v, want it running", got)
	}
	var got Audit
	s.poll("the audit", func() bool {
		got = into[Audit](s.do("GET", "/v1/operator/audit", trader, nil).want(http.StatusOK))
		return got.Status != "running"
	})
	if got.Status != "clean" || got.DoneAt == nil || len(got.Findings) != 0 {
		t.Errorf("audit %+v, want it clean", got)
	}
}

// season reads a real season file that lies beside the repository.
func season(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../shared/data/nfl/season_2019.csv")
	if err != nil {
		t.Skipf("the season files are not beside the repository: %v", err)
	}
	return string(raw)
}

func TestASeasonIsImportedOrNothingIs(t *testing.T) {
	t.Parallel()
	file := season(t)
	s := newServer(t)
	trader := s.trader()
	csv := header("Content-Type", "text/csv")
	before := s.state()
	broken := strings.Replace(file, "\n2019_", "\nbroken,line\n2019_", 1)
	p := s.do("POST", "/v1/operator/events/import", trader, broken, csv).wantCode("invalid")
	if len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, "line 2") {
		t.Errorf("a broken file names %v, want line 2", p.Errors)
	}
	s.do("POST", "/v1/operator/events/import?week=0", trader, file, csv).wantCode("invalid")
	s.do("POST", "/v1/operator/events/import?week=5&first_kickoff=tomorrow", trader, file, csv).wantCode("invalid")
	s.do("POST", "/v1/operator/events/import?jurisdictions=US-NJ,XX", trader, file, csv).wantCode("invalid")
	s.do("POST", "/v1/operator/events/import?jurisdictions=US-NJ,US-PA", s.staff("jersey", 2, nj), file, csv).wantCode("forbidden")
	s.do("POST", "/v1/operator/events/import", trader, file).want(http.StatusUnsupportedMediaType)
	s.do("POST", "/v1/operator/events/import", trader, strings.Repeat("x", 9<<20), csv).want(http.StatusRequestEntityTooLarge).wantCode("too_large")
	if after := s.state(); after != before {
		t.Error("a refused import changed something")
	}
	kickoff := s.api.deps.Clock.Now().Add(time.Hour).Truncate(time.Second)
	path := "/v1/operator/events/import?week=5&speed=60&jurisdictions=US-NJ&first_kickoff=" + kickoff.Format(time.RFC3339)
	report := into[ImportReport](s.do("POST", path, trader, file, csv).want(http.StatusOK))
	if report.Games != 15 || report.Created != 15 {
		t.Errorf("report %+v, want the 15 games of week 5", report)
	}
	events := into[List[Event]](s.do("GET", "/v1/events?jurisdiction=US-NJ&limit=200", "", nil).want(http.StatusOK)).Items
	if len(events) != 15 || !events[0].StartsAt.Equal(kickoff) || events[14].StartsAt.Sub(kickoff) > 3*time.Hour {
		t.Errorf("%d events from %s to %s, want 15 within 3 hours of %s", len(events), events[0].StartsAt, events[len(events)-1].StartsAt, kickoff)
	}
	if again := into[ImportReport](s.do("POST", path, trader, file, csv).want(http.StatusOK)); again.Created != 0 || again.Unchanged != 15 {
		t.Errorf("the same import again: %+v, want nothing changed", again)
	}
}

// filedCommits counts the transfers whose steps staff can read.
func (s *server) filedCommits(trader string) int64 {
	s.t.Helper()
	commits := into[Commits](s.do("GET", "/v1/operator/commits", trader, nil).want(http.StatusOK))
	if len(commits.Shards) != 2 || commits.WindowSeconds != 60 {
		s.t.Errorf("commits %+v, want two shards over a minute", commits)
	}
	var transfers int64
	for _, shard := range commits.Shards {
		for _, step := range shard.Steps {
			if queue := strings.HasPrefix(step.Step, "queue_"); !queue && step.Count != shard.Batches {
				s.t.Errorf("shard %d: %d times %s in %d batches", shard.Shard, step.Count, step.Step, shard.Batches)
			}
		}
		transfers += shard.Transfers
	}
	return transfers
}
