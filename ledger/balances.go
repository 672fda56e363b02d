package ledger

import (
	"context"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/money"
	"matchday/stream"
)

// MaxBalances bounds one call of [Service.Balances].
const MaxBalances = 1000

// shardsAtOnce bounds how many shards one call asks at the same time.
const shardsAtOnce = 8

// BalanceResult is the answer to one address of [Service.Balances].
type BalanceResult struct {
	Balance Balance
	Err     error // why there is none; nil if there is
}

// Balances returns the balances of many accounts, of any mix of players and shards, in the order
// asked for. Each shard is read once, from a replica under the rules of [Service.BalanceFrom]; at
// names the sequence that the answers of a shard must show, 0 for one that is not in it. All answers
// of a shard are of one state or later, and carry its position; the shards are read for themselves.
//
// Errors: too_large; invalid for a position of a shard that does not exist. An address that is wrong
// or a shard that cannot be read fails its own results only.
func (s *Service) Balances(ctx context.Context, list []Address, at map[int]int64) ([]BalanceResult, error) {
	if len(list) > MaxBalances {
		return nil, errs.New(errs.CodeTooLarge, "%d balances in one call, at most %d", len(list), MaxBalances)
	}
	for n := range at {
		if _, err := s.shard(n); err != nil {
			return nil, err
		}
	}
	results := make([]BalanceResult, len(list))
	asked := make([][]int, len(s.shards)) // indexes into list
	for i, a := range list {
		results[i].Balance.Account = a
		parts, ok := parseAddress(string(a))
		if !ok {
			results[i].Err = errs.New(errs.CodeInvalid, "%.40q is not an account address", string(a))
			continue
		}
		if parts.player != "" {
			one, err := s.home(parts.player)
			if results[i].Err = err; err == nil {
				asked[one.number] = append(asked[one.number], i)
			}
			continue
		}
		for n := range asked { // a house account is the sum over the shards
			asked[n] = append(asked[n], i)
		}
	}
	found := make([]shardBalances, len(s.shards))
	var g errgroup.Group
	g.SetLimit(shardsAtOnce)
	for n, indexes := range asked {
		if len(indexes) > 0 {
			g.Go(func() error { found[n] = s.shards[n].balances(ctx, pick(list, indexes), at[n]); return nil })
		}
	}
	_ = g.Wait() // errors are in found
	for n, indexes := range asked {
		for k, i := range indexes {
			results[i].add(n, found[n], k)
		}
	}
	return results, nil
}

// pick returns the elements of the list at the indexes.
func pick(list []Address, indexes []int) []Address {
	out := make([]Address, len(indexes))
	for k, i := range indexes {
		out[k] = list[i]
	}
	return out
}

// shardBalances is what one shard answered.
type shardBalances struct {
	rows []balanceRow
	err  error
}

func (s *shard) balances(ctx context.Context, list []Address, seq int64) (out shardBalances) {
	out.err = s.readFrom(ctx, seq, func(r readerStore) (int64, error) {
		rows, at, err := r.balances(ctx, list)
		out.rows = rows
		return at, err
	})
	return out
}

// add adds a shard's part, which for a player's account is all of it.
func (r *BalanceResult) add(shard int, from shardBalances, k int) {
	if r.Err != nil {
		return
	}
	if r.Err = from.err; r.Err != nil {
		return
	}
	row, b := from.rows[k], &r.Balance
	if row.currency != "" {
		b.Currency = row.currency
	}
	sum, ok := money.AddMinor(b.PostedMinor, row.posted)
	if !ok {
		r.Err = errs.New(errs.CodeInternal, "the sum of %s over the shards is out of range", b.Account)
		return
	}
	b.PostedMinor, b.HeldMinor = sum, b.HeldMinor+row.held
	b.AvailableMinor = b.PostedMinor - b.HeldMinor
	if b.Account.Player() != "" {
		b.Position = stream.Position{Shard: shard, Seq: row.seq}
	}
}
