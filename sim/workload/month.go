package workload

import (
	"math/rand/v2"
	"strconv"
	"time"

	"matchday/ledger"
)

// Month makes the transfers of a month of a betting ledger, hour by hour. Every player pays in first.
// Saturdays have twice and Sundays three times the transfers of other days, evenings four times those of
// nights. Until nine in the evening, of each hundred, 50 are bets, of which 3 are refused for lack of
// funds, and 32 settle earlier bets; after nine it is 13 with one refused, and 70: the surge after the
// games. The others are deposits, withdrawals in two steps, and holds with their ends, of which one in
// five is forgotten and runs out. Bets and settlements carry a record of 300 bytes. Skew as in Ledger.
//
// It is not safe for concurrent use. Its memory is that of the bets and holds that are open.
type Month struct {
	rng     *rand.Rand
	players int
	total   int // transfers to be made after the funding
	source  *Ledger
	next    int

	bets      []openBet
	withdrawn []openBet // asked for, not yet paid
	holds     []openHold
}

type openBet struct{ player, minor int32 }

type openHold struct {
	key    string
	player int
	made   time.Time
}

const (
	// MonthDays is the length of the month.
	MonthDays = 30
	// MonthFund is what each player pays in at first.
	MonthFund = 1_000_000
)

// MonthStart is a Tuesday: four weekends follow.
var MonthStart = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)

// NewMonth returns a month of so many players and transfers, their first deposits among them.
func NewMonth(players, transfers int, seed uint64) *Month {
	return &Month{
		rng: rand.New(rand.NewPCG(seed, 30)), players: players, total: transfers - players, // #nosec: not for secrets
		source: NewLedger("m", players, seed),
	}
}

// Players returns how many players there are.
func (m *Month) Players() int { return m.players }

// Fund returns the first deposits of the players from to upTo.
func (m *Month) Fund(from, upTo int) []ledger.Transfer {
	list := make([]ledger.Transfer, 0, upTo-from)
	for n := from; n < min(upTo, m.players); n++ {
		list = append(list, deposit("first-"+strconv.Itoa(n), playerOf(n), MonthFund, nil))
	}
	return list
}

// dayWeights are the transfers of each day of the week against those of a working day, from Sunday.
var dayWeights = [7]int{3, 1, 1, 1, 1, 1, 2}

// weightOf is how busy an hour is.
func weightOf(at time.Time) int {
	day := dayWeights[at.Weekday()]
	switch {
	case at.Hour() < 8:
		return day
	case at.Hour() < 17:
		return 2 * day
	default:
		return 4 * day
	}
}

// Hours calls f for each hour of the month with its share of the transfers, until f fails.
func (m *Month) Hours(f func(at time.Time, n int) error) error {
	all := 0
	for hour := range 24 * MonthDays {
		all += weightOf(MonthStart.Add(time.Duration(hour) * time.Hour))
	}
	seen, made := 0, 0
	for hour := range 24 * MonthDays {
		at := MonthStart.Add(time.Duration(hour) * time.Hour)
		m.forget(at)
		seen += weightOf(at)
		upTo := int(int64(m.total) * int64(seen) / int64(all))
		if err := f(at, upTo-made); err != nil {
			return err
		}
		made = upTo
	}
	return nil
}

// holdFor is how long a hold lasts: an hour of the month and then some.
const holdFor = 75 * time.Minute

// forget leaves alone the holds that have run out.
func (m *Month) forget(now time.Time) {
	kept := m.holds[:0]
	for _, h := range m.holds {
		if h.made.Add(holdFor).After(now) {
			kept = append(kept, h)
		}
	}
	m.holds = kept
}

// Fill makes a batch of the hour's transfers. No two of a batch depend on each other, but on earlier
// batches they do.
func (m *Month) Fill(batch []ledger.Transfer, at time.Time) {
	bet, settled := 50, 82
	if at.Hour() >= 21 {
		bet, settled = 13, 83
	}
	bets, holds, asked := len(m.bets), len(m.holds), len(m.withdrawn) // of earlier batches
	for i := range batch {
		switch n := m.rng.IntN(100); {
		case n >= bet && n < settled && bets > 0:
			bets--
			batch[i] = m.settle(bets)
		case n < settled:
			batch[i] = m.bet(n*17 < bet) // about one in 17
		case n < 88:
			batch[i] = deposit(m.key("deposit"), m.draw(), int64(500+m.rng.IntN(10_000)), nil)
		case n < 90 && asked > 0:
			asked--
			batch[i] = m.pay(asked)
		case n < 92:
			batch[i] = m.ask()
		case n < 96 && holds > 0:
			holds--
			batch[i] = m.end(holds)
		default:
			batch[i] = m.hold(at)
		}
	}
}

func (m *Month) key(kind string) string {
	m.next++
	return kind + "-" + pad12(m.next)
}

func (m *Month) number() int  { return Skewed(m.rng, m.players) }
func (m *Month) draw() player { return playerOf(m.number()) }

// take removes the item at the index.
func take[T any](list *[]T, at int) T {
	l := *list
	one, last := l[at], len(l)-1
	l[at], *list = l[last], l[:last]
	return one
}

// bet stakes a little, or far more than there is.
func (m *Month) bet(tooMuch bool) ledger.Transfer {
	n, minor := m.number(), 100+m.rng.IntN(1_000)
	if tooMuch {
		minor = 2_000_000_000
	} else {
		m.bets = append(m.bets, openBet{int32(n), int32(minor)}) // #nosec: both are small
	}
	p, key := playerOf(n), m.key("bet")
	return stake(key, p, int64(minor), m.source.draft(key, p, int64(minor)))
}

// settle ends an open bet: half of them win nearly double.
func (m *Month) settle(at int) ledger.Transfer {
	b := take(&m.bets, at)
	p, key, staked := playerOf(int(b.player)), m.key("settle"), int64(b.minor)
	payout := int64(0)
	if m.rng.IntN(2) == 0 {
		payout = staked * 19 / 10
	}
	t := transfer(key, ledger.KindSettlement, p, m.source.draft(key, p, payout),
		ledger.Posting{Account: ledger.Bets(p.territory.Code, "bench"), AmountMinor: -staked},
		ledger.Posting{Account: ledger.Revenue(p.territory.Code, "bench"), AmountMinor: staked - payout})
	if payout > 0 {
		t.Postings = append(t.Postings, ledger.Posting{Account: p.cash, AmountMinor: payout})
	}
	return t
}

// ask moves money to where it waits for its withdrawal.
func (m *Month) ask() ledger.Transfer {
	n, minor := m.number(), int32(100+m.rng.IntN(400)) // #nosec: small
	m.withdrawn = append(m.withdrawn, openBet{int32(n), minor})
	p := playerOf(n)
	return transfer(m.key("ask"), ledger.KindWithdrawalRequest, p, nil,
		ledger.Posting{Account: p.cash, AmountMinor: -int64(minor)},
		ledger.Posting{Account: ledger.PlayerWithdrawing(p.id, p.territory.Code), AmountMinor: int64(minor)})
}

// pay pays out what was asked for.
func (m *Month) pay(at int) ledger.Transfer {
	w := take(&m.withdrawn, at)
	p := playerOf(int(w.player))
	return transfer(m.key("pay"), ledger.KindWithdrawal, p, nil,
		ledger.Posting{Account: ledger.PlayerWithdrawing(p.id, p.territory.Code), AmountMinor: -int64(w.minor)},
		ledger.Posting{Account: ledger.PSP("sandbox", p.territory.Code), AmountMinor: int64(w.minor)})
}

// hold reserves money; one in five is forgotten.
func (m *Month) hold(at time.Time) ledger.Transfer {
	n, key, minor := m.number(), m.key("hold"), int64(100+m.rng.IntN(900))
	if m.rng.IntN(5) > 0 {
		m.holds = append(m.holds, openHold{key, n, at})
	}
	p := playerOf(n)
	t := stake(key, p, minor, nil)
	t.Kind, t.Hold = ledger.KindHold, &ledger.HoldTerms{ExpiresAt: at.Add(holdFor)}
	return t
}

// end posts or releases a hold.
func (m *Month) end(at int) ledger.Transfer {
	h := take(&m.holds, at)
	kind := ledger.KindPost
	if m.rng.IntN(2) == 0 {
		kind = ledger.KindRelease
	}
	t := transfer(m.key("end"), kind, playerOf(h.player), nil, ledger.Posting{}, ledger.Posting{})
	t.Postings, t.HoldKey = nil, h.key
	return t
}
