package sportsbook

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/money"
	"matchday/odds"
	"matchday/stream"
)

// Product is the name of this room's product in accounts and records.
const Product = "sportsbook"

// PriceChangePolicy says which moves of the offer a player accepts between slip and placement.
type PriceChangePolicy string

// The policies. A changed line is a change that only PriceChangeAny accepts.
const (
	PriceChangeNone   PriceChangePolicy = "none" // also the meaning of the empty policy
	PriceChangeBetter PriceChangePolicy = "better"
	PriceChangeAny    PriceChangePolicy = "any"
)

// maxKeyBytes bounds a caller's idempotency key.
const maxKeyBytes = 100

// PlaceRequest asks for one bet: a single with one leg, a parlay with more.
type PlaceRequest struct {
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Key          string // the caller's idempotency key, 1 to 100 printable ASCII characters
	Stake        money.Money
	Legs         []LegRequest
	PriceChange  PriceChangePolicy
}

// LegRequest is one selection as the player saw it.
type LegRequest struct {
	SelectionID string
	Price       odds.Price
	Line        *odds.Line
}

// Receipt is the answer to an accepted bet.
type Receipt struct {
	BetID           id.Bet
	Position        stream.Position
	PlacedAt        time.Time
	Stake           money.Money
	PotentialPayout money.Money
	Legs            []stream.BetLeg
	Replayed        bool  // the key had been accepted before; this is that bet
	BalanceMinor    int64 // the player's cash after the stake
}

// Place accepts a bet as asked for or not at all. The bet and its stake are one ledger transfer, so
// neither can exist without the other.
//
// Idempotency: the key names the bet. A retry of an accepted bet answers with that bet, even if the
// offer has moved or closed since; the same key for another bet is a conflict. A bet refused for
// lack of funds stays refused under its key; a refusal by the offer or a limit does not, and is
// given only when no other request with the key can still be accepted: until then the answer is
// unavailable.
// Rounding: the potential payout is exact and rounded down once.
// Errors: invalid, suspended, limit_reached, insufficient_funds, conflict, unavailable;
// [PriceChangedError].
func (s *Service) Place(ctx context.Context, req PlaceRequest) (Receipt, error) {
	began := s.deps.Clock.Now()
	receipt, err := s.place(ctx, req, began)
	s.metrics.placed(&req, receipt.Replayed, err, s.deps.Clock.Now().Sub(began))
	return receipt, err
}

func (s *Service) place(ctx context.Context, req PlaceRequest, now time.Time) (Receipt, error) {
	rules, err := s.checkRequest(&req)
	if err != nil {
		return Receipt{}, err
	}
	asked, key := req.digest(), stakeKey(&req)
	s.uncertain.enter(key) // before the offer is read: a retry must not be refused beside it
	bet, err := s.accept(&req, rules, now)
	if err != nil {
		s.uncertain.leave(key)
		return s.replay(ctx, &req, asked, err)
	}
	return s.commit(ctx, &req, bet, asked)
}

// commit moves the stake of a bet that was accepted and counted under its key.
func (s *Service) commit(ctx context.Context, req *PlaceRequest, bet *stream.BetPlaced, asked []byte) (Receipt, error) {
	key := stakeKey(req)
	data, err := json.Marshal(bet)
	if err != nil {
		s.uncertain.leave(key)
		s.exposure.release(bet)
		return Receipt{}, fmt.Errorf("encode bet %s: %w", bet.BetID, err)
	}
	result, err := s.deps.Ledger.Commit(ctx, ledger.LaneInteractive, stakeTransfer(req, bet, asked, data))
	if err != nil && !isFinal(err) {
		s.uncertain.add(uncertainBet{bet: bet, key: key, asked: asked, since: s.deps.Clock.Now()}, s.exposure)
		return Receipt{}, fmt.Errorf("place bet %s: %w", bet.BetID, err)
	}
	s.uncertain.leave(key)
	switch {
	case err != nil:
		s.exposure.release(bet)
		return Receipt{}, fmt.Errorf("place bet %s: %w", bet.BetID, err)
	case result.Replayed:
		s.exposure.release(bet) // the bet of the first request holds its own reservation
		return replayedReceipt(result)
	}
	return receiptOf(bet, result), nil
}

// accept checks a request against the offer and reserves its exposure.
func (s *Service) accept(req *PlaceRequest, rules jurisdiction.Jurisdiction, now time.Time) (*stream.BetPlaced, error) {
	if !s.ready.Load() {
		return nil, &errs.Error{
			Code: errs.CodeUnavailable, Detail: "bets are taken in a moment", RetryAfter: time.Second,
		}
	}
	legs, changes, err := s.priceLegs(req.Jurisdiction, req.Legs, now)
	if err != nil {
		return nil, err
	}
	if refused := refusedChanges(changes, req.PriceChange); len(refused) > 0 {
		return nil, &PriceChangedError{Legs: refused}
	}
	payout, err := priceBet(req.Stake, legs, rules.Limits)
	if err != nil {
		return nil, err
	}
	bet := &stream.BetPlaced{
		BetID: s.ids.NewBet(), PlayerID: req.Player, Jurisdiction: req.Jurisdiction, Product: Product,
		Currency: string(rules.Currency), StakeMinor: req.Stake.Minor(), PotentialPayoutMinor: payout,
		Legs: betLegs(legs),
	}
	if err := s.exposure.reserve(bet); err != nil {
		return nil, err
	}
	return bet, nil
}

// replay answers a request that the offer refuses now: with the bet that the key stands for, if it
// was accepted or finally refused before, else with the refusal. While another request with the key
// may still be accepted nobody can say: it answers unavailable.
func (s *Service) replay(ctx context.Context, req *PlaceRequest, asked []byte, refusal error) (Receipt, error) {
	key := stakeKey(req)
	pending := s.uncertain.pending(key, s.deps.Clock.Now()) // before the look, so that no commit falls between
	result, found, err := s.deps.Ledger.Lookup(ctx, req.Player, key, asked)
	switch {
	case err != nil:
		return Receipt{}, fmt.Errorf("look up bet of %s: %w", req.Player, err)
	case !found && pending:
		return Receipt{}, &errs.Error{
			Code: errs.CodeUnavailable, Detail: "an earlier request with this key is not answered yet; ask again with the same key",
			RetryAfter: pendingRetry,
		}
	case !found:
		return Receipt{}, refusal
	case result.Err != nil:
		return Receipt{}, result.Err
	}
	return replayedReceipt(result)
}

// pendingRetry is when a request whose bet is still on its way should be made again.
const pendingRetry = time.Second

// isFinal reports whether an error of the ledger says for certain that this call committed nothing.
func isFinal(err error) bool {
	if errors.Is(err, ledger.ErrNotTaken) {
		return true
	}
	switch errs.CodeOf(err) {
	case errs.CodeUnavailable, errs.CodeInternal:
		return false
	}
	return true
}

// stakeKey is the ledger key of the bet.
func stakeKey(req *PlaceRequest) string { return "bet/" + string(req.Player) + "/" + req.Key }

// stakeTransfer moves the stake from the player's cash to the escrow of open bets.
func stakeTransfer(req *PlaceRequest, bet *stream.BetPlaced, asked, data []byte) ledger.Transfer {
	return ledger.Transfer{
		Key: stakeKey(req), Kind: ledger.KindStake, Player: req.Player, Jurisdiction: req.Jurisdiction,
		Currency: req.Stake.Currency(), Request: asked,
		Postings: []ledger.Posting{
			{Account: ledger.PlayerCash(req.Player, req.Jurisdiction), AmountMinor: -bet.StakeMinor},
			{Account: ledger.Bets(req.Jurisdiction, Product), AmountMinor: bet.StakeMinor},
		},
		Record: &stream.Draft{Type: stream.TypeBetPlaced, Subject: string(bet.BetID), Data: data},
	}
}

func receiptOf(bet *stream.BetPlaced, result ledger.Result) Receipt {
	currency := money.Currency(bet.Currency)
	r := Receipt{
		BetID: bet.BetID, Position: result.Position, PlacedAt: result.At, Replayed: result.Replayed, Legs: bet.Legs,
		Stake: money.New(bet.StakeMinor, currency), PotentialPayout: money.New(bet.PotentialPayoutMinor, currency),
	}
	if len(result.Balances) > 0 {
		r.BalanceMinor = result.Balances[0]
	}
	return r
}

// replayedReceipt reads the receipt from the record of the first acceptance.
func replayedReceipt(result ledger.Result) (Receipt, error) {
	var bet stream.BetPlaced
	if err := json.Unmarshal(result.Data, &bet); err != nil {
		return Receipt{}, fmt.Errorf("read bet at %s: %w", result.Position, err)
	}
	result.Replayed = true
	return receiptOf(&bet, result), nil
}

// checkRequest checks everything that needs no offer, and returns the jurisdiction's rules.
func (s *Service) checkRequest(req *PlaceRequest) (jurisdiction.Jurisdiction, error) {
	var check errs.Check
	if req.Player == "" || strings.Contains(string(req.Player), "/") {
		check.Add("player", "is required")
	}
	if !isKey(req.Key) {
		check.Add("key", "must be 1 to %d printable ASCII characters without spaces", maxKeyBytes)
	}
	switch req.PriceChange {
	case "":
		req.PriceChange = PriceChangeNone
	case PriceChangeNone, PriceChangeBetter, PriceChangeAny:
	default:
		check.Add("price_change", "must be none, better or any")
	}
	rules := s.checkSlip(&check, req.Jurisdiction, req.Stake, req.Legs)
	if req.PriceChange != PriceChangeAny {
		for i := range req.Legs {
			if req.Legs[i].Price.IsZero() {
				check.Add(legField(i, "price"), "is required")
			}
		}
	}
	return rules, check.Err()
}

// checkSlip checks jurisdiction, stake and the number of legs.
func (s *Service) checkSlip(check *errs.Check, j id.Jurisdiction, stake money.Money, legs []LegRequest) jurisdiction.Jurisdiction {
	rules, err := s.deps.Jurisdictions.Find(j)
	switch {
	case err != nil || !rules.Offers(Product):
		check.Add("jurisdiction", "no bets are taken in %.20q", string(j))
		return rules
	case stake.Currency() != rules.Currency:
		check.Add("stake.currency", "must be %s", rules.Currency)
	}
	if stake.Minor() <= 0 || stake.Minor() > money.MaxMinor {
		check.Add("stake.amount", "must be above zero and reasonable")
	}
	if len(legs) < 1 || len(legs) > rules.Limits.MaxLegs {
		check.Add("legs", "must be 1 to %d", rules.Limits.MaxLegs)
	}
	return rules
}

func isKey(key string) bool {
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(key) >= 1 && len(key) <= maxKeyBytes
}

// digest names what the player asked for, so that a retry is told from another bet under its key.
func (req *PlaceRequest) digest() []byte {
	buf := make([]byte, 0, 256)
	text := func(s string) {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	text(string(req.Jurisdiction))
	text(string(req.Stake.Currency()))
	buf = binary.AppendVarint(buf, req.Stake.Minor())
	text(string(req.PriceChange))
	for i := range req.Legs {
		leg := &req.Legs[i]
		text(leg.SelectionID)
		buf = binary.AppendVarint(buf, int64(leg.Price.Int()))
		if leg.Line != nil {
			text(leg.Line.String())
		} else {
			text("")
		}
	}
	sum := sha256.Sum256(buf)
	return sum[:]
}

func legField(i int, name string) string { return "legs[" + strconv.Itoa(i) + "]." + name }
