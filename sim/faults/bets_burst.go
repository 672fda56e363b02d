package faults

import (
	"context"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/ledger"
	"matchday/sim/workload"
)

const (
	burstPlayers = 1_000
	burstChunk   = 2_000
	burstSenders = 4
)

// burst places and settles so many bets as fast as the books take them.
func burst(ctx context.Context, books *ledger.Service, n int) error {
	money := workload.NewLedger("burst-", burstPlayers, 1)
	if err := commitAll(ctx, books, money.Fund(0, burstPlayers)); err != nil {
		return err
	}
	source := workload.NewHistory(burstPlayers, n, 1)
	for _, part := range []func(from, upTo int) ([]ledger.Transfer, error){source.Placed, source.Settled} {
		g, ctx := errgroup.WithContext(ctx)
		for sender := range burstSenders {
			g.Go(func() error {
				for from := sender * burstChunk; from < source.Bets(); from += burstSenders * burstChunk {
					list, err := part(from, from+burstChunk)
					if err == nil {
						err = commitAll(ctx, books, list)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// commitAll commits every transfer of the list, asking again while the ledger has too much to do.
func commitAll(ctx context.Context, books *ledger.Service, list []ledger.Transfer) error {
	for len(list) > 0 {
		results, err := books.CommitBatch(ctx, ledger.LaneBulk, list)
		if err != nil {
			return err
		}
		var again []ledger.Transfer
		for i := range results {
			switch err := results[i].Err; {
			case errs.Is(err, errs.CodeUnavailable):
				again = append(again, list[i])
			case err != nil:
				return err
			}
		}
		if list = again; len(list) > 0 {
			pause(ctx, pauseRetry)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
