package web

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/money"
	"matchday/odds"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
	"matchday/stream"
)

// now is a Sunday noon in New York.
var now = time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC)

const (
	token      = "a-player's-token"
	staffToken = "a-member-of-staff's-token"
)

// stage is a set of rooms with a fixed scene, behind the interfaces that this room declares. The
// browser tests of package app drive the real ones.
type stage struct {
	mu     sync.Mutex
	clock  *clock.Manual
	events []sportsbook.Event
	bets   []history.Bet
	lines  []ledger.StatementLine
	paid   []payments.Payment
	signUp func(player.SignUp) error
	signIn func(player.Credentials) error
	fault  error // of the offer
	lag    time.Duration
	asked  []history.Query // of the bets, in order
	sums   []history.SummaryQuery
	more   bool  // there is always a next page
	refuse error // of the bets
	next   history.NextStatus
	log    bytes.Buffer
	tokens map[string]player.Session
}

// newStage returns the scene and the pages over it.
func newStage(t testing.TB) (*stage, *Web) {
	t.Helper()
	return newStageWith(t, Config{SignInsPerMinute: 60})
}

// newStageWith returns the scene and the pages as configured.
func newStageWith(t testing.TB, c Config) (*stage, *Web) {
	t.Helper()
	s := &stage{clock: clock.NewManual(now), events: scene(t), tokens: map[string]player.Session{
		token: {
			ID: "s1", Player: "plr_01jb2m7k3v9q8w5x4y6z7a0b1c", Jurisdiction: "US-NJ", Status: player.StatusActive,
			ExpiresAt: now.Add(time.Hour), PreviousSignIn: now.Add(-26 * time.Hour),
		},
		staffToken: {ID: "s2", Staff: "sam", Role: player.RoleOperator, Jurisdictions: []id.Jurisdiction{"US-NJ", "CA-ON"}, ExpiresAt: now.Add(time.Hour)},
	}}
	s.fillAccount()
	registry, err := jurisdiction.New(jurisdiction.Default())
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(c, Deps{
		Clock: s.clock, Log: slog.New(slog.NewTextHandler(&s.log, nil)), Metrics: prometheus.NewRegistry(),
		Players: s, Offer: s, Bets: stagedBets{s}, Books: stagedBooks{s}, Payments: stagedPayments{s}, Jurisdictions: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, w
}

// cookie makes the cookie of a session.
func cookie(name, value string) *http.Cookie { return &http.Cookie{Name: name, Value: value} }

func american(t testing.TB, text string) odds.Price {
	t.Helper()
	p, err := odds.ParsePrice(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func line(t testing.TB, text string) *odds.Line {
	t.Helper()
	l, err := odds.ParseLine(text)
	if err != nil {
		t.Fatal(err)
	}
	return &l
}

// makeEvent makes an event with the three markets.
func makeEvent(t testing.TB, n int, away, home string, starts time.Time) sportsbook.Event {
	t.Helper()
	eventID := "ev" + strconv.Itoa(n)
	pick := func(market, code, name, price, at string) sportsbook.Selection {
		s := sportsbook.Selection{ID: eventID + ":" + market + ":" + code, MarketID: eventID + ":" + market, Name: name, Code: code, Price: american(t, price), Version: 1}
		if at != "" {
			s.Line = line(t, at)
		}
		return s
	}
	return sportsbook.Event{
		ID: eventID, Sport: "American football", Competition: "Union League", Name: away + " at " + home, Home: home, Away: away,
		Stadium: home + " Field", StartsAt: starts, Status: sportsbook.EventScheduled, Week: 5, Season: 2026, Version: 1,
		Markets: []sportsbook.Market{
			{ID: eventID + ":moneyline", EventID: eventID, Type: sportsbook.Moneyline, Status: sportsbook.MarketOpen, Selections: []sportsbook.Selection{
				pick("moneyline", "home", home, "-162", ""), pick("moneyline", "away", away, "+138", ""),
			}},
			{ID: eventID + ":spread", EventID: eventID, Type: sportsbook.Spread, Status: sportsbook.MarketOpen, Selections: []sportsbook.Selection{
				pick("spread", "home", home, "-110", "-3.5"), pick("spread", "away", away, "-110", "3.5"),
			}},
			{ID: eventID + ":total", EventID: eventID, Type: sportsbook.Total, Status: sportsbook.MarketOpen, Selections: []sportsbook.Selection{
				pick("total", "over", "Over", "-105", "46.5"), pick("total", "under", "Under", "-115", "46.5"),
			}},
		},
	}
}

// scene is a Sunday: one game in play, one suspended, some to come, one over.
func scene(t testing.TB) []sportsbook.Event {
	t.Helper()
	live := makeEvent(t, 1, "Harbour City Gulls", "Ironbridge Foundry", now.Add(-time.Hour))
	live.Status, live.HomeScore, live.AwayScore = sportsbook.EventLive, 14, 10
	suspended := makeEvent(t, 2, "Lakeview Pilots", "Redwood Rangers", now.Add(time.Hour))
	suspended.Markets[2].Status = sportsbook.MarketSuspended
	bare := makeEvent(t, 3, "Saltmarsh Herons", "Kingsport Crowns", now.Add(4*time.Hour))
	bare.Markets = bare.Markets[:1]
	over := makeEvent(t, 6, "Northgate Owls", "Copper Valley Miners", now.Add(-26*time.Hour))
	over.Status, over.HomeScore, over.AwayScore, over.ResultVersion = sportsbook.EventEnded, 27, 24, 1
	for i := range over.Markets {
		over.Markets[i].Status = sportsbook.MarketSettled
	}
	return []sportsbook.Event{
		live, suspended, bare, makeEvent(t, 4, "Northgate Owls", "Harbour City Gulls", now.Add(27*time.Hour)),
		makeEvent(t, 5, "Copper Valley Miners", "Lakeview Pilots", now.Add(30*time.Hour)), over,
	}
}

func (s *stage) fillAccount() {
	usd := func(minor int64) money.Money { return money.New(minor, money.USD) }
	spread := "3.5"
	s.bets = []history.Bet{
		{
			ID: "bet_01jb2m7k3v9q8w5x4y6z7a0b1f", Status: history.StatusOpen, PlacedAt: now.Add(-time.Minute), Stake: usd(2500), PotentialPayout: usd(6321),
			Legs: []history.Leg{
				{BetLeg: stream.BetLeg{EventName: "Lakeview Pilots at Redwood Rangers", EventID: "ev2", Sport: "American football", Competition: "Union League", StartsAtMS: now.UnixMilli(), Market: "spread", Selection: "away", SelectionName: "Lakeview Pilots", Line: &spread, Price: "-110"}},
				{BetLeg: stream.BetLeg{EventName: "Saltmarsh Herons at Kingsport Crowns", StartsAtMS: now.UnixMilli(), Market: "moneyline", Selection: "home", SelectionName: "Kingsport Crowns", Price: "-162"}, Outcome: "won"},
			},
		},
		{
			ID: "bet_01jb2m7k3v9q8w5x4y6z7a0b1e", Status: history.StatusWon, PlacedAt: now.Add(-27 * time.Hour), SettledAt: now.Add(-20 * time.Hour), Stake: usd(1000), PotentialPayout: usd(1909), Payout: usd(1909), Version: 1,
			Legs: []history.Leg{{BetLeg: stream.BetLeg{EventName: "Northgate Owls at Copper Valley Miners", StartsAtMS: now.UnixMilli(), Market: "moneyline", SelectionName: "Copper Valley Miners", Price: "-110"}, Outcome: "won"}},
		},
		{
			ID: "bet_01jb2m7k3v9q8w5x4y6z7a0b1d", Status: history.StatusLost, PlacedAt: now.Add(-28 * time.Hour), SettledAt: now.Add(-20 * time.Hour), Stake: usd(500), PotentialPayout: usd(1190), Version: 1,
			Payout: usd(0), Legs: []history.Leg{{BetLeg: stream.BetLeg{EventName: "Northgate Owls at Copper Valley Miners", StartsAtMS: now.UnixMilli(), Market: "moneyline", SelectionName: "Northgate Owls", Price: "+138"}, Outcome: "lost"}},
		},
	}
	s.lines = []ledger.StatementLine{
		{Position: stream.Position{Seq: 9}, Kind: ledger.KindStake, At: now.Add(-time.Minute), AmountMinor: -2500, BalanceMinor: 123409, Subject: "bet_01jb2m7k3v9q8w5x4y6z7a0b1f"},
		{Position: stream.Position{Seq: 7}, Kind: ledger.KindSettlement, At: now.Add(-20 * time.Hour), AmountMinor: 1909, BalanceMinor: 125909},
		{Position: stream.Position{Seq: 3}, Kind: ledger.KindDeposit, At: now.Add(-30 * time.Hour), AmountMinor: 125000, BalanceMinor: 125000},
	}
	s.paid = []payments.Payment{
		{ID: "pay_2", Direction: payments.DirectionWithdrawal, Amount: usd(5000), Status: payments.StatusPending, CreatedAt: now.Add(-time.Minute)},
		{ID: "pay_1", Direction: payments.DirectionDeposit, Amount: usd(125000), Status: payments.StatusCompleted, CreatedAt: now.Add(-30 * time.Hour)},
		{ID: "pay_0", Direction: payments.DirectionDeposit, Amount: usd(125000), Status: payments.StatusDeclined, CreatedAt: now.Add(-30 * time.Hour), Reason: "card_declined"},
	}
}

// SignUp implements Players.
func (s *stage) SignUp(_ context.Context, up player.SignUp) (player.Player, error) {
	if s.signUp != nil {
		if err := s.signUp(up); err != nil {
			return player.Player{}, err
		}
	}
	return player.Player{ID: "plr_01jb2m7k3v9q8w5x4y6z7a0b1c", DisplayName: up.DisplayName, Jurisdiction: up.Jurisdiction}, nil
}

// SignIn implements Players.
func (s *stage) SignIn(_ context.Context, c player.Credentials) (player.Session, string, error) {
	if s.signIn != nil {
		if err := s.signIn(c); err != nil {
			return player.Session{}, "", err
		}
	}
	return s.tokens[token], token, nil
}

// SignInStaff implements Players.
func (s *stage) SignInStaff(_ context.Context, name, password string) (player.Session, string, error) {
	if name != "sam" || password != "right" {
		return player.Session{}, "", errs.New(errs.CodeUnauthenticated, "no")
	}
	return s.tokens[staffToken], staffToken, nil
}

// Authenticate implements Players.
func (s *stage) Authenticate(_ context.Context, token string) (player.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.tokens[token]
	if !ok {
		return player.Session{}, errs.New(errs.CodeUnauthenticated, "no")
	}
	return session, nil
}

// SignOut implements Players.
func (s *stage) SignOut(_ context.Context, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
	return nil
}

// Find implements Players.
func (s *stage) Find(_ context.Context, p id.Player, j id.Jurisdiction) (player.Player, error) {
	if j != "US-NJ" {
		return player.Player{}, errs.New(errs.CodeNotFound, "no such player")
	}
	return player.Player{ID: p, Jurisdiction: j, DisplayName: "Robin <b>", Email: "robin@example.com", Status: player.StatusActive}, nil
}

// ListEvents implements Offer.
func (s *stage) ListEvents(_ context.Context, q sportsbook.EventQuery) ([]sportsbook.Event, string, error) {
	var all []sportsbook.Event
	for _, e := range s.events {
		if q.Status == "" || e.Status == q.Status {
			all = append(all, e)
		}
	}
	return all, "", s.fault
}

// FindEvent implements Offer.
func (s *stage) FindEvent(_ context.Context, _ id.Jurisdiction, eventID string) (sportsbook.Event, error) {
	for _, e := range s.events {
		if e.ID == eventID {
			return e, nil
		}
	}
	return sportsbook.Event{}, errs.New(errs.CodeNotFound, "no event")
}

type stagedBets struct{ s *stage }

// fresh is how fresh the history is.
func (b stagedBets) fresh() history.Freshness {
	return history.Freshness{Position: stream.Position{Shard: 3, Seq: 4711}, FreshAt: b.s.clock.Now().Add(-b.s.lag)}
}

// List implements Bets.
func (b stagedBets) List(_ context.Context, q history.Query) (history.Page, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.s.asked = append(b.s.asked, q)
	page := history.Page{Freshness: b.fresh()}
	if err := errors.Join(q.Validate(), b.s.refuse); err != nil {
		return page, err
	}
	for _, one := range b.s.bets {
		if q.Status == "" || one.Status == q.Status || (q.Status == history.StatusSettled && one.Status != history.StatusOpen) {
			page.Bets = append(page.Bets, one)
		}
	}
	if b.s.more {
		page.Next = "bet_01jb2m7k3v9q8w5x4y6z7a0b10"
	}
	return page, nil
}

// Follow implements Bets.
func (b stagedBets) Follow(_ context.Context, _ id.Player, _ id.Jurisdiction, bet id.Bet, _ *stream.Position) (history.BetLife, error) {
	for _, one := range b.s.bets {
		if one.ID != bet {
			continue
		}
		life := history.BetLife{Bet: one, Placed: stream.Position{Shard: 3, Seq: 7}, Freshness: b.fresh()}
		usd := func(minor int64) money.Money { return money.New(minor, money.USD) }
		switch one.Status {
		case history.StatusWon:
			life.Settlements = []history.Settlement{{Version: 1, Status: history.StatusWon, At: one.SettledAt, Position: stream.Position{Shard: 3, Seq: 9}, Payout: one.Payout, Outcomes: []string{"won"}}}
		case history.StatusLost:
			life.Settlements = []history.Settlement{
				{Version: 1, Status: history.StatusWon, At: one.SettledAt.Add(-time.Hour), Position: stream.Position{Shard: 3, Seq: 8}, Payout: usd(1190), Outcomes: []string{"won"}},
				{Version: 2, Status: history.StatusLost, At: one.SettledAt, Position: stream.Position{Shard: 3, Seq: 12}, Payout: usd(0), Outcomes: []string{"lost"}},
			}
		}
		return life, nil
	}
	if bet == goneBet {
		return history.BetLife{}, errs.New(errs.CodeGone, "too old")
	}
	return history.BetLife{}, errs.New(errs.CodeNotFound, "no such bet")
}

// goneBet is no longer kept.
const goneBet = "bet_01jb2m7k3v9q8w5x4y6z7a0b00"

// Summarise implements Bets.
func (b stagedBets) Summarise(_ context.Context, q history.SummaryQuery) (history.Summary, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.s.sums = append(b.s.sums, q)
	out := history.Summary{Zone: "America/New_York", Freshness: b.fresh()}
	if err := q.Validate(); err != nil || len(b.s.bets) == 0 {
		return out, err
	}
	usd := func(minor int64) money.Money { return money.New(minor, money.USD) }
	periods := map[history.Grain][2]string{history.GrainDay: {"2026-11-22", "2026-11-21"}, history.GrainMonth: {"2026-11", "2026-10"}, history.GrainYear: {"2026", "2025"}}[q.By]
	out.Lines = []history.SummaryLine{
		{Period: periods[0], Product: "sportsbook", Sums: history.Sums{Bets: 1234, Open: 1, Staked: usd(412000), AtStake: usd(2500), Returned: usd(400000), Net: usd(-9500)}},
		{Period: periods[1], Product: "sportsbook", Sums: history.Sums{Bets: 2, Staked: usd(1500), AtStake: usd(0), Returned: usd(12000), Net: usd(10500)}},
	}
	if b.s.more && q.By != history.GrainYear {
		out.Next = periods[1]
	}
	return out, nil
}

// NextStatus implements Bets.
func (b stagedBets) NextStatus() history.NextStatus { return b.s.next }

type stagedBooks struct{ s *stage }

// Balance implements Books.
func (b stagedBooks) Balance(_ context.Context, a ledger.Address) (ledger.Balance, error) {
	if len(b.s.lines) == 0 {
		return ledger.Balance{}, errs.New(errs.CodeNotFound, "no account")
	}
	return ledger.Balance{Account: a, Currency: money.USD, PostedMinor: 123409, AvailableMinor: 123409}, nil
}

// Statement implements Books.
func (b stagedBooks) Statement(context.Context, ledger.Address, ledger.StatementQuery) ([]ledger.StatementLine, error) {
	return b.s.lines, nil
}

type stagedPayments struct{ s *stage }

// List implements Payments.
func (p stagedPayments) List(context.Context, id.Player, id.Jurisdiction, string, int) ([]payments.Payment, string, error) {
	return p.s.paid, "", nil
}
