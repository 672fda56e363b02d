package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"matchday/ledger"
	"matchday/money"
	"matchday/odds"
	"matchday/sim/internal/wire"
	"matchday/sim/workload"
	"matchday/sportsbook"
	"matchday/stream"
)

const (
	placers      = 512   // goroutines that place the bets of the payout benchmark
	payoutStake  = 1_000 // minor units of each bet
	payoutLimit  = time.Hour
	lagPeriod    = 5 * time.Millisecond
	beforeResult = 2 * time.Second // debits run alone for this long before the result
)

// BenchPayout places winning singles, enters the result, and measures until every player is paid and
// history shows it, while single debits go on at a fixed rate.
func BenchPayout(ctx context.Context, o BenchOptions, out io.Writer) error {
	o.Runs = orDefault(o.Runs, 1)
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	r := newBenchReport("payout", o.Commit, map[string]any{
		"engine": o.Engine, "shards": o.Shards, "bets": o.Bets, "players": o.Accounts, "runs": o.Runs, "debit_rate": o.Rate,
		"connections": o.Workers, "seed": o.Seed, "durability": "synchronous=FULL",
	})
	r.Data = "winning singles on one selection, spread over the players; single debits through the ledger API meanwhile"
	r.Excluded = "placing the bets, which goes through the sportsbook in process, not over HTTP; funding"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, run int) error {
		return onPlatform(ctx, o, dir, func(p *platform) error { return measurePayout(ctx, o, r, p, run) })
	})
}

func measurePayout(ctx context.Context, o BenchOptions, r *BenchReport, p *platform, run int) error {
	h := &betHouse{o: o, p: p, crowd: newCrowd(0)}
	if err := fund(ctx, p.Ledger, workload.NewLedger("fund-", o.Accounts, o.Seed)); err != nil {
		return err
	}
	if err := h.openOffer(ctx); err != nil {
		return err
	}
	winner, err := h.moneylineHome(0)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := placeWinners(ctx, o, p, winner); err != nil {
		return err
	}
	r.add("placed_in_process_per_s", float64(o.Bets)/time.Since(start).Seconds())
	if err := h.caughtUp(ctx); err != nil {
		return err
	}
	return surge(ctx, o, r, p, run)
}

// placeWinners places the bets through the sportsbook in process, with all its checks.
func placeWinners(ctx context.Context, o BenchOptions, p *platform, winner selection) error {
	price, err := odds.ParsePrice(winner.price)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed firstError
	for range placers {
		wg.Go(func() {
			for ctx.Err() == nil && failed.err() == nil {
				n := int(next.Add(1)) - 1
				if n >= o.Bets {
					return
				}
				t := workload.TerritoryOf(n % o.Accounts)
				_, err := p.Sportsbook.Place(ctx, sportsbook.PlaceRequest{
					Player: workload.Player(n % o.Accounts), Jurisdiction: t.Code, Key: "w" + strconv.Itoa(n),
					Stake: money.New(payoutStake, t.Currency), PriceChange: sportsbook.PriceChangeAny,
					Legs: []sportsbook.LegRequest{{SelectionID: winner.id, Price: price}},
				})
				failed.note(err)
			}
		})
	}
	wg.Wait()
	return errors.Join(failed.err(), ctx.Err())
}

// surge enters the result and measures the way to the last payout in history.
func surge(ctx context.Context, o BenchOptions, r *BenchReport, p *platform, run int) error {
	var visible atomic.Int64
	all := make(chan time.Time, 1)
	shown := newLatency()
	stop := p.History.Subscribe(func(b stream.Batch) {
		shown.visible(b)
		for i := range b.Records {
			if b.Records[i].Type == stream.TypeBetSettled && visible.Add(1) == int64(o.Bets) {
				all <- time.Now()
			}
		}
	})
	defer stop()
	load, cancel := context.WithCancel(ctx)
	defer cancel()
	debits, ended := newDebits(o, p.addr, p.Secrets.ServiceKey, fmt.Sprintf("debit%d-", run)), make(chan error, 1)
	go func() { ended <- debits.play(load, payoutLimit) }()
	pause(ctx, beforeResult)
	quiet := debits.latency.percentiles()
	lag := newLatency()
	start, cpu := time.Now(), cpuTime()
	var done time.Time
	err := r.measured(o, func() (err error) {
		if err = enterHomeWin(ctx, p); err == nil {
			done, err = awaitPayouts(ctx, p, lag, all)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%d of %d bets paid and visible: %w", visible.Load(), o.Bets, err)
	}
	used := cpuTime() - cpu
	during := debits.latency.percentiles()
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	r.add("paid_and_visible_s", done.Sub(start).Seconds())
	r.add("history_lag_p99_ms", lag.percentiles().P99)
	r.add("history_lag_max_ms", lag.percentiles().Max)
	r.add("commit_to_visible_p50_ms", shown.percentiles().P50)
	r.add("commit_to_visible_p99_ms", shown.percentiles().P99)
	r.add("commit_to_visible_max_ms", shown.percentiles().Max)
	r.add("debit_p99_ms", during.P99)
	r.add("debit_p50_ms", during.P50)
	r.add("quiet_debit_p99_ms", quiet.P99)
	r.add("cpu_us_per_payout", float64(used.Microseconds())/float64(o.Bets))
	return checkPaid(ctx, o, p)
}

// awaitPayouts samples the lag of history until the last payout shows.
func awaitPayouts(ctx context.Context, p *platform, lag *latency, all <-chan time.Time) (time.Time, error) {
	limit := time.NewTimer(payoutLimit)
	defer limit.Stop()
	tick := time.NewTicker(lagPeriod)
	defer tick.Stop()
	for {
		select {
		case at := <-all:
			return at, nil
		case <-tick.C:
			for _, l := range p.History.Lag() {
				lag.add(l.Lag)
			}
		case <-limit.C:
			return time.Time{}, fmt.Errorf("not within %s", payoutLimit)
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// enterHomeWin enters a result that the first game's home side wins.
func enterHomeWin(ctx context.Context, p *platform) error {
	slate, err := fictionSlate(1)
	if err != nil {
		return err
	}
	client := wire.New(p.addr, requestTimeout)
	defer client.Close()
	request := resultRequest(slate.Games[0].ID, 24, 10, p.staff)
	if err := call(ctx, client, &request, nil); err != nil {
		return fmt.Errorf("enter the result: %w", err)
	}
	return nil
}

// checkPaid proves that nothing is left in escrow.
func checkPaid(ctx context.Context, o BenchOptions, p *platform) error {
	for _, t := range workload.Territories() {
		left, err := p.Ledger.Balance(ctx, ledger.Bets(t.Code, "sportsbook"))
		if err != nil {
			return fmt.Errorf("escrow of %s: %w", t.Code, err)
		}
		if left.PostedMinor != 0 {
			return fmt.Errorf("%s after %d payouts: %d left in escrow: %w", t.Code, o.Bets, left.PostedMinor, ErrBroken)
		}
	}
	return nil
}
