package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestLiveShowsAPlayerTheirOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, mine := s.signUp(nj)
	_, other := s.signUp(nj)
	s.fund(other, "100.00", "USD")
	lines := s.events("/v1/live", mine, header("Last-Event-ID", "whatever was last"))
	hello := next[map[string]bool](s, lines, "hello", nil)
	if hello["resumed"] {
		t.Error("hello says that the stream was resumed")
	}
	next(s, lines, "balance", func(b Balance) bool { return b.Available.Amount == "0.00" })
	s.do("POST", "/v1/bets", other, single("game", "USD"), s.key()).want(http.StatusCreated) // not ours to see
	s.fund(mine, "100.00", "USD")
	next(s, lines, "balance", func(b Balance) bool { return b.Available.Amount == "100.00" })
	bet := into[Receipt](s.do("POST", "/v1/bets", mine, single("game", "USD"), s.key()).want(http.StatusCreated))
	seen := next(s, lines, "bet", func(b Bet) bool { return b.Status == "open" })
	if seen.ID != bet.ID {
		t.Errorf("the stream shows bet %s, want %s only", seen.ID, bet.ID)
	}
	home, away := 10, 3
	s.do("POST", "/v1/operator/events/game/result", s.trader(), ResultRequest{HomeScore: &home, AwayScore: &away}).want(http.StatusAccepted)
	if won := next(s, lines, "bet", func(b Bet) bool { return b.Status == "won" }); won.ID != bet.ID {
		t.Errorf("the stream shows the payout of %s, want %s", won.ID, bet.ID)
	}
	next(s, lines, "balance", func(b Balance) bool { return b.Available.Amount == "105.88" })
}

func TestLiveShowsTheOfferOfOneJurisdiction(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	s.game("pa-only", pa)
	trader := s.trader()
	jersey, penn := s.events("/v1/live?jurisdiction=US-NJ", ""), s.events("/v1/live?jurisdiction=US-PA", "")
	next[map[string]bool](s, jersey, "hello", nil)
	next[map[string]bool](s, penn, "hello", nil)
	s.do("POST", "/v1/operator/selections/game:moneyline:home/price", trader, SetPriceRequest{Price: "-190", Jurisdiction: "US-PA"}).want(http.StatusNoContent)
	next(s, penn, "price", func(p LivePrice) bool {
		return p.SelectionID == "game:moneyline:home" && p.Price == "-190" && p.PriceDecimal == "1.526"
	})
	suspended := true
	s.do("POST", "/v1/operator/events/pa-only/suspension", trader, SuspensionRequest{&suspended}).want(http.StatusNoContent)
	next(s, penn, "market", func(m LiveMarket) bool { return m.EventID == "pa-only" && m.Status == "suspended" })
	home, away := 7, 0
	s.do("POST", "/v1/operator/events/game/score", trader, ScoreRequest{&home, &away}).want(http.StatusNoContent)
	next(s, jersey, "score", func(l LiveScore) bool {
		if l.EventID != "game" {
			t.Errorf("New Jersey is shown %+v of Pennsylvania", l)
		}
		return l.HomeScore == 7 && l.Status == "live"
	})
	s.do("GET", "/v1/live", "", nil).wantCode("invalid")
	s.do("GET", "/v1/live?jurisdiction=XX-XX", "", nil).wantCode("invalid")
}

func TestLiveIsBoundedAndEndsWithTheSession(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *Config) { c.LiveClientsPerOne = 2 })
	_, token := s.signUp(nj)
	first, second := s.events("/v1/live", token), s.events("/v1/live", token)
	s.do("GET", "/v1/live", token, nil).want(http.StatusTooManyRequests).wantCode("rate_limited")
	s.do("DELETE", "/v1/sessions", token, nil).want(http.StatusNoContent)
	drain(t, first)
	drain(t, second)
}

func TestLiveOutlivesTheTimeoutsOfRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t) // with a heartbeat every 50 ms
	web := httptest.NewUnstartedServer(s.api.Handler())
	web.Config.ReadTimeout, web.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	web.Start()
	t.Cleanup(func() { _ = s.api.Close(); web.Close() })
	s.url, s.http = web.URL, web.Client()
	lines := s.events("/v1/live?jurisdiction=US-NJ", "")
	next[map[string]bool](s, lines, "hello", nil)
	deadline := time.After(2 * time.Minute)
	for beat := range 12 {
		select {
		case <-deadline:
			t.Fatalf("only %d heartbeats in minutes", beat)
		case _, open := <-lines:
			if !open {
				t.Fatalf("the live stream ended after %d heartbeats", beat)
			}
		}
	}
}

func TestLiveEndsWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	lines := s.events("/v1/live?jurisdiction=US-NJ", "")
	next[map[string]bool](s, lines, "hello", nil)
	if err := s.api.Close(); err != nil {
		t.Fatal(err)
	}
	drain(t, lines)
}

// drain waits for the stream's end.
func drain(t *testing.T, lines <-chan string) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case <-deadline:
			t.Fatal("the live stream goes on")
		case _, open := <-lines:
			if !open {
				return
			}
		}
	}
}

func TestASlowClientIsDropped(t *testing.T) {
	t.Parallel()
	c := &client{wake: make(chan struct{}, 1)}
	for range 5 {
		c.push([]byte("x"), 4)
	}
	if len(c.queue) != 4 || !c.dropped {
		t.Errorf("a client of 4 holds %d messages, dropped: %t", len(c.queue), c.dropped)
	}
}
