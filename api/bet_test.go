package api

import (
	"net/http"
	"strings"
	"testing"

	"matchday/id"
	"matchday/sportsbook"
	"matchday/stream"
)

func TestABetsWholeLife(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	events := into[List[Event]](s.do("GET", "/v1/events?status=scheduled", token, nil).want(http.StatusOK))
	if len(events.Items) != 1 || len(events.Items[0].Markets) != 3 || events.Items[0].Markets[0].Selections[0].PriceDecimal == "" {
		t.Fatalf("the offer is %+v, want one game with three markets", events)
	}
	line := "-3.5"
	ask := BetRequest{Stake: Amount{"10.00", "USD"}, Legs: []LegRequest{{SelectionID: "game:spread:home", Price: "-110", Line: &line}}}
	quote := into[Quote](s.do("POST", "/v1/bets/quote", token, ask).want(http.StatusOK))
	if quote.PotentialPayout != (Amount{"19.09", "USD"}) || len(quote.Changes) != 0 {
		t.Errorf("quote %+v, want 19.09", quote)
	}
	key := header("Idempotency-Key", "my-bet")
	placed := s.do("POST", "/v1/bets", token, ask, key).want(http.StatusCreated)
	receipt := into[Receipt](placed)
	if receipt.PotentialPayout != quote.PotentialPayout || receipt.Balance != (Amount{"90.00", "USD"}) || receipt.Replayed || receipt.Position == "" {
		t.Errorf("receipt %+v, want 19.09 and 90.00 left", receipt)
	}
	at := header("Matchday-Position", placed.header.Get("Matchday-Position"))
	bet := into[Bet](s.do("GET", "/v1/bets/"+receipt.ID, token, nil, at).want(http.StatusOK)) // read your writes
	if bet.Status != "open" || bet.Payout != nil || bet.Stake != ask.Stake || *bet.Legs[0].Line != "-3.5" {
		t.Errorf("bet %+v, want it open as placed", bet)
	}
	if list := into[Bets](s.do("GET", "/v1/me/bets?status=open", token, nil, at).want(http.StatusOK)); len(list.Items) != 1 || list.Items[0].ID != receipt.ID {
		t.Errorf("open bets %+v, want the one", list)
	}
	again := into[Receipt](s.do("POST", "/v1/bets", token, ask, key).want(http.StatusCreated))
	if again.ID != receipt.ID || !again.Replayed || again.Position != receipt.Position {
		t.Errorf("the same key answers %+v, want %+v replayed", again, receipt)
	}
	other := ask
	other.Stake.Amount = "11.00"
	s.do("POST", "/v1/bets", token, other, key).want(http.StatusConflict).wantCode("conflict")

	trader := s.trader()
	home, away := 27, 20
	s.do("POST", "/v1/operator/events/game/score", trader, ScoreRequest{&home, &away}).want(http.StatusNoContent)
	s.do("POST", "/v1/operator/events/game/result", trader, ResultRequest{HomeScore: &home, AwayScore: &away}).want(http.StatusAccepted)
	s.poll("the payout", func() bool {
		b := into[Bet](s.do("GET", "/v1/bets/"+receipt.ID, token, nil))
		return b.Status == "won" && b.Payout != nil && b.Payout.Amount == "19.09" && b.SettledAt != nil && b.Legs[0].Outcome == "won"
	})
	if got := into[Balance](s.do("GET", "/v1/me/balance", token, nil)); got.Available != (Amount{"109.09", "USD"}) {
		t.Errorf("balance %+v after the payout, want 109.09", got)
	}
	s.poll("the settlement's end", func() bool {
		all := into[List[Settlement]](s.do("GET", "/v1/operator/settlements", trader, nil).want(http.StatusOK)).Items
		return len(all) == 1 && all[0].DoneAt != nil && all[0].Paid == 1 && all[0].EventName != ""
	})
	rates := into[Rates](s.do("GET", "/v1/operator/rates", trader, nil).want(http.StatusOK))
	s.poll("the rates", func() bool {
		rates = into[Rates](s.do("GET", "/v1/operator/rates", trader, nil))
		return sum(rates.Deposits) == 1 && sum(rates.Bets) == 1 && sum(rates.Payouts) == 1 && sum(rates.Reads) > 3
	})
	if len(rates.Bets) != 599 || len(rates.Reads) != len(rates.Bets) {
		t.Errorf("rates have %d and %d steps, want 599", len(rates.Bets), len(rates.Reads))
	}
}

func sum(series []int64) int64 {
	var total int64
	for _, n := range series {
		total += n
	}
	return total
}

func TestABetIsRefusedWhenTheOfferMoved(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	s.game("other")
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	trader := s.trader()
	s.do("POST", "/v1/operator/selections/game:moneyline:home/price", trader, SetPriceRequest{Price: "-180"}).want(http.StatusNoContent)
	before := s.state()
	p := s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusConflict).wantCode("price_changed")
	if len(p.Changes) != 1 || p.Changes[0].AskedPrice != "-170" || p.Changes[0].NowPrice != "-180" {
		t.Errorf("changes %+v, want -170 to -180", p.Changes)
	}
	worse := single("game", "USD")
	worse.PriceChange = "better"
	s.do("POST", "/v1/bets", token, worse, s.key()).wantCode("price_changed")
	if q := into[Quote](s.do("POST", "/v1/bets/quote", token, single("game", "USD")).want(http.StatusOK)); len(q.Changes) != 1 || q.Legs[0].Price != "-180" {
		t.Errorf("quote %+v, want the price of now and the change", q)
	}
	s.do("POST", "/v1/operator/markets/other:moneyline/status", trader, MarketStatusRequest{Status: "suspended"}).want(http.StatusNoContent)
	s.do("POST", "/v1/bets", token, single("other", "USD"), s.key()).want(http.StatusConflict).wantCode("suspended")
	s.do("POST", "/v1/operator/markets/other:moneyline/status", trader, MarketStatusRequest{Status: "open"}).want(http.StatusNoContent)
	if heads(before) != heads(s.state()) {
		t.Error("a refused bet moved the ledger")
	}
	any := single("game", "USD")
	any.PriceChange = "any"
	parlay := BetRequest{Stake: Amount{"5.00", "USD"}, Legs: []LegRequest{
		{SelectionID: "game:moneyline:home", Price: "-180"}, {SelectionID: "other:moneyline:away", Price: "+154"}}}
	if r := into[Receipt](s.do("POST", "/v1/bets", token, any, s.key()).want(http.StatusCreated)); r.Legs[0].Price != "-180" {
		t.Errorf("accepted at %s, want -180", r.Legs[0].Price)
	}
	if r := into[Receipt](s.do("POST", "/v1/bets", token, parlay, s.key()).want(http.StatusCreated)); len(r.Legs) != 2 || r.PotentialPayout.Amount != "19.75" {
		t.Errorf("parlay %+v, want two legs for 19.75", r)
	}
}

// heads is the part of a state that is about money.
func heads(state string) string {
	var out []string
	for line := range strings.Lines(state) {
		if strings.HasPrefix(line, "shard ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func TestABetWithoutMoneyIsRefusedForEver(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, token := s.signUp(nj)
	key := header("Idempotency-Key", "too-early")
	s.do("POST", "/v1/bets", token, single("game", "USD"), key).want(http.StatusPaymentRequired).wantCode("insufficient_funds")
	s.fund(token, "100.00", "USD")
	s.do("POST", "/v1/bets", token, single("game", "USD"), key).wantCode("insufficient_funds")
	s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
}

func TestBetsArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	var want []string
	position := ""
	for range 5 {
		a := s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
		want = append([]string{into[Receipt](a).ID}, want...)
		position = a.header.Get("Matchday-Position")
	}
	var got []string
	for path := "/v1/me/bets?limit=2"; path != ""; {
		page := into[Bets](s.do("GET", path, token, nil, header("Matchday-Position", position)).want(http.StatusOK))
		for _, b := range page.Items {
			got = append(got, b.ID)
		}
		path = ""
		if page.Next != "" {
			path = "/v1/me/bets?limit=2&cursor=" + page.Next
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("pages show %v, want %v", got, want)
	}
}

func TestAPositionThatNeverComesIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, token := s.signUp(nj)
	s.do("GET", "/v1/me/balance", token, nil, header("Matchday-Position", "0-999999999")).want(http.StatusServiceUnavailable).wantCode("unavailable")
	mine := s.ledger.ShardOf(id.Player(p.ID))
	late := s.do("GET", "/v1/me/bets", token, nil, header("Matchday-Position", stream.Position{Shard: mine, Seq: 999999999}.String()))
	if late.wantCode("unavailable"); late.header.Get("Matchday-History") != "first" {
		t.Errorf("the history that is late is %q, want first", late.header.Get("Matchday-History"))
	}
	s.do("GET", "/v1/me/balance", token, nil, header("Matchday-Position", "99-1")).wantCode("invalid")
	s.do("GET", "/v1/me/bets", token, nil, header("Matchday-Position", "soon")).wantCode("invalid")
}

func TestAVoidedMarketGivesTheStakeBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	placed := s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
	bet := into[Receipt](placed)
	s.shown(placed) // before that there is no such bet
	s.do("POST", "/v1/operator/markets/game:moneyline/void", s.trader(), VoidRequest{Reason: "palpable error"}).want(http.StatusAccepted)
	s.poll("the void", func() bool {
		b := into[Bet](s.do("GET", "/v1/bets/"+bet.ID, token, nil, header("Matchday-Position", bet.Position)))
		return b.Status == "void" && b.Payout != nil && b.Payout.Amount == "10.00"
	})
	e := into[Event](s.do("GET", "/v1/events/game", token, nil).want(http.StatusOK))
	if got := sportsbook.MarketStatus(e.Markets[0].Status); got != sportsbook.MarketVoid {
		t.Errorf("the market is %s, want void", got)
	}
}
