package ledgertest

import (
	"encoding/json"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"matchday/id"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

// NJ is the jurisdiction of the suite's players.
const NJ id.Jurisdiction = "US-NJ"

// Start is where the suite's clock stands first.
var Start = time.Date(2026, 9, 13, 17, 0, 0, 0, time.UTC)

// Deposit moves minor units from the provider to the player's cash.
func Deposit(key string, p id.Player, minor int64) ledger.Transfer {
	return move(key, ledger.KindDeposit, p, ledger.PSP("sandbox", NJ), ledger.PlayerCash(p, NJ), minor)
}

// Stake moves minor units from the player's cash to the escrow, with a record.
func Stake(key string, p id.Player, minor int64) ledger.Transfer {
	t := move(key, ledger.KindStake, p, ledger.PlayerCash(p, NJ), ledger.Bets(NJ, "sportsbook"), minor)
	t.Record = &stream.Draft{
		Type: stream.TypeBetPlaced, Subject: key,
		Data: json.RawMessage(fmt.Sprintf(`{"bet_id":%q,"stake_minor":%d}`, key, minor)),
	}
	return t
}

// Hold reserves minor units of the player's cash for the escrow until the time.
func Hold(key string, p id.Player, minor int64, until time.Time) ledger.Transfer {
	t := move(key, ledger.KindHold, p, ledger.PlayerCash(p, NJ), ledger.Bets(NJ, "sportsbook"), minor)
	t.Hold = &ledger.HoldTerms{ExpiresAt: until}
	return t
}

// End resolves the hold made under holdKey; minor counts with KindPost only.
func End(key string, kind ledger.Kind, p id.Player, holdKey string, minor int64) ledger.Transfer {
	return ledger.Transfer{
		Key: key, Kind: kind, Player: p, Jurisdiction: NJ, Currency: money.USD, HoldKey: holdKey, AmountMinor: minor,
	}
}

func move(key string, kind ledger.Kind, p id.Player, from, to ledger.Address, minor int64) ledger.Transfer {
	return ledger.Transfer{
		Key: key, Kind: kind, Player: p, Jurisdiction: NJ, Currency: money.USD,
		Postings: []ledger.Posting{{Account: from, AmountMinor: -minor}, {Account: to, AmountMinor: minor}},
	}
}

// settle moves a stake out of escrow: the payout to the player, the difference to or from revenue.
func settle(key string, p id.Player, stake, payout int64) ledger.Transfer {
	t := ledger.Transfer{Key: key, Kind: ledger.KindSettlement, Player: p, Jurisdiction: NJ, Currency: money.USD}
	t.Postings = []ledger.Posting{{Account: ledger.Bets(NJ, "sportsbook"), AmountMinor: -stake}}
	if payout > 0 {
		t.Postings = append(t.Postings, ledger.Posting{Account: ledger.PlayerCash(p, NJ), AmountMinor: payout})
	}
	if payout != stake {
		t.Postings = append(t.Postings, ledger.Posting{Account: ledger.Revenue(NJ, "sportsbook"), AmountMinor: stake - payout})
	}
	return t
}

// generator draws random transfers that hit one another: few players, few holds, small amounts.
type generator struct {
	now  time.Time
	next int
	past []ledger.Transfer
}

func (g *generator) draw(t *rapid.T) ledger.Transfer {
	if len(g.past) > 0 {
		switch rapid.IntRange(0, 9).Draw(t, "again") {
		case 0, 1:
			return g.old(t)
		case 2:
			changed, first := g.fresh(t), g.old(t)
			if changed.Player == first.Player { // keys are unique per shard, so per player
				changed.Key = first.Key
				return changed
			}
		}
	}
	made := g.fresh(t)
	g.past = append(g.past, made)
	return made
}

func (g *generator) old(t *rapid.T) ledger.Transfer {
	return g.past[rapid.IntRange(0, len(g.past)-1).Draw(t, "old")]
}

// holdKey names one of the transfers made so far, often a hold.
func (g *generator) holdKey(t *rapid.T) string {
	if len(g.past) == 0 {
		return "none"
	}
	from := g.old(t)
	for i := len(g.past) - 1; i >= 0; i-- {
		if g.past[i].Kind == ledger.KindHold && g.past[i].Player == from.Player {
			return g.past[i].Key
		}
	}
	return from.Key
}

func (g *generator) fresh(t *rapid.T) ledger.Transfer {
	g.next++
	key := fmt.Sprintf("key-%d", g.next)
	p := id.Player(rapid.SampledFrom(players).Draw(t, "player"))
	minor := rapid.Int64Range(1, 60).Draw(t, "minor")
	switch rapid.IntRange(0, 13).Draw(t, "kind") {
	case 0, 1, 2:
		return Deposit(key, p, minor)
	case 3, 4:
		return Stake(key, p, minor)
	case 5:
		return settle(key, p, minor, rapid.Int64Range(0, 90).Draw(t, "payout"))
	case 6:
		return move(key, ledger.KindWithdrawalRequest, p, ledger.PlayerCash(p, NJ), ledger.PlayerWithdrawing(p, NJ), minor)
	case 7:
		return move(key, ledger.KindWithdrawal, p, ledger.PlayerWithdrawing(p, NJ), ledger.PSP("sandbox", NJ), minor)
	case 8:
		return move(key, ledger.KindResettlement, p, ledger.PlayerOwed(p, NJ), ledger.Revenue(NJ, "sportsbook"), minor)
	case 9:
		return move(key, ledger.KindOwedRecovery, p, ledger.PlayerCash(p, NJ), ledger.PlayerOwed(p, NJ), minor)
	case 10, 11:
		return Hold(key, p, minor, g.now.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "minutes"))*time.Minute))
	case 12:
		return End(key, ledger.KindPost, p, g.holdKey(t), rapid.Int64Range(0, 40).Draw(t, "part"))
	default:
		kind := rapid.SampledFrom([]ledger.Kind{ledger.KindRelease, ledger.KindExpire}).Draw(t, "end")
		return End(key, kind, p, g.holdKey(t), 0)
	}
}
