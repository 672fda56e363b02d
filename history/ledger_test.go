package history_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/stream"
)

// testBetIsReadAtThePositionOfItsStake plays bets through the real ledger: each player reads at the
// position that the stake's transfer answered with, and then at the payout's.
func testBetIsReadAtThePositionOfItsStake(t *testing.T, e engine) {
	t.Parallel()
	const players, rounds = 8, 12
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	books, err := ledger.Open(ctx, ledger.Config{Dir: filepath.Join(dir, "ledger"), Shards: 2},
		ledger.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatalf("open ledger: %v", err)
	}
	emb, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(dir, "streams")}, quiet())
	if err != nil {
		t.Fatalf("start streams: %v", err)
	}
	config := history.Config{Dir: filepath.Join(dir, "history"), ReadWait: time.Minute}
	if e.server != nil {
		config.Clusters = e.clusters(t, e.server.Database(t), 2)
	}
	s, err := history.Open(ctx, config, history.Deps{Clock: clock.System{},
		Log: quiet(), Metrics: prometheus.NewRegistry(), Transport: emb.Transport(), Source: books, ShardOf: books.ShardOf, Since: books.Since})
	if err != nil {
		t.Fatalf("open history: %v", err)
	}
	w := &world{t: t}
	stops := []func(){w.background(books.Run)}
	for n := range books.Shards() {
		relay, err := stream.NewRelay(books, n, emb.Transport(), stream.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, w.background(relay.Run))
	}
	stops = append(stops, w.background(s.Run))
	var playing sync.WaitGroup
	for n := range players {
		playing.Go(func() { playBets(t, books, s, id.Player(fmt.Sprintf("plr_%d", n)), rounds) })
	}
	moveEverybody(ctx, t, books, players) // and nobody notices
	playing.Wait()
	allMoved(ctx, t, books)
	for n := range books.Shards() {
		if err := s.WaitFor(ctx, stream.Position{Shard: n, Seq: books.Head(n)}); err != nil {
			t.Error(err)
		}
	}
	report, err := history.Audit(ctx, history.AuditOptions{Dir: config.Dir, Clusters: config.Clusters, Log: books})
	if err != nil {
		t.Errorf("Audit: %v", err)
	}
	var bets int64
	for _, shard := range report.Shards {
		bets += shard.Bets
	}
	if bets != players*rounds {
		t.Errorf("audit counts %d bets, want %d", bets, players*rounds)
	}
	for i := range stops {
		stops[len(stops)-1-i]()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := emb.Close(); err != nil {
		t.Error(err)
	}
}

// playBets places and settles bets of one player and reads each at the position of its write.
func playBets(t *testing.T, books *ledger.Service, s *history.Service, player id.Player, rounds int) {
	ctx := context.Background()
	commit := func(key string, kind ledger.Kind, lane ledger.Lane, from, to ledger.Address, record *stream.Record) (at stream.Position) {
		transfer := ledger.Transfer{Key: string(player) + key, Kind: kind, Player: player, Jurisdiction: nj, Currency: "USD",
			Postings: []ledger.Posting{{Account: from, AmountMinor: -100}, {Account: to, AmountMinor: 100}}}
		if record != nil {
			transfer.Record = &stream.Draft{Type: record.Type, Subject: record.Subject, Data: record.Data}
		}
		result, err := books.Commit(ctx, lane, transfer)
		for ; errs.Is(err, errs.CodeUnavailable); result, err = books.Commit(ctx, lane, transfer) { // the shard changes hands
			<-time.After(time.Millisecond)
		}
		if err != nil {
			t.Errorf("commit %s: %v", transfer.Key, err)
		}
		return result.Position
	}
	cash, bets := ledger.PlayerCash(player, nj), ledger.Bets(nj, "sportsbook")
	commit("deposit", ledger.KindDeposit, ledger.LaneInteractive, ledger.PSP("sandbox", nj), cash, nil)
	for n := range rounds {
		bet := id.Bet(fmt.Sprintf("bet_%s_%02d", player, n))
		placed := placedRecord(player, nj, bet, 100)
		at := commit(fmt.Sprintf("stake%d", n), ledger.KindStake, ledger.LaneInteractive, cash, bets, &placed)
		page, err := s.List(ctx, history.Query{Player: player, Jurisdiction: nj, At: &at, Limit: 1})
		if err != nil || len(page.Bets) != 1 || page.Bets[0].ID != bet || page.Bets[0].Status != history.StatusOpen {
			t.Errorf("after the stake at %s the newest bet is %+v, %v, want %s", at, page.Bets, err, bet)
		}
		settled := settledRecord(player, nj, bet, 1, "push", 100)
		at = commit(fmt.Sprintf("payout%d", n), ledger.KindSettlement, ledger.LaneBulk, bets, cash, &settled)
		if got, err := s.Find(ctx, player, nj, bet, &at); err != nil || got.Status != history.StatusPush {
			t.Errorf("after the payout at %s the bet is %+v, %v", at, got, err)
		}
	}
}

// moveEverybody asks for every player's bucket to be moved to the other shard.
func moveEverybody(ctx context.Context, t *testing.T, books *ledger.Service, players int) {
	t.Helper()
	for n := range players {
		p := id.Player(fmt.Sprintf("plr_%d", n))
		from := books.ShardOf(p)
		_, err := books.StartMove(ctx, ledger.MoveRequest{Buckets: []int{ledger.BucketOf(p)}, From: from, To: 1 - from})
		if err != nil {
			t.Errorf("move %s: %v", p, err)
		}
	}
}

// allMoved waits until every move is done.
func allMoved(ctx context.Context, t *testing.T, books *ledger.Service) {
	t.Helper()
	for moving := true; moving && ctx.Err() == nil; <-time.After(5 * time.Millisecond) {
		list, err := books.Moves(ctx, "", ledger.MaxMoves)
		if err != nil {
			t.Fatal(err)
		}
		moving = slices.ContainsFunc(list, func(m ledger.Move) bool { return m.Step != ledger.MoveDone })
	}
}

// TestBucketsMoveWhileASecondHistoryIsFilled moves everybody to the other shard, on the real ledger, while bets flow
// and chunks are copied.
func TestBucketsMoveWhileASecondHistoryIsFilled(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: moves buckets of a real ledger")
	}
	directions(t, func(t *testing.T, first, second engine) {
		t.Parallel()
		const players, rounds = 6, 10
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		w := &world{t: t, dir: t.TempDir()}
		books, emb := w.realBooks(ctx)
		config := history.Config{Dir: filepath.Join(w.dir, "history"), ReadWait: time.Minute, Clusters: first.fresh(t, 2)}
		open := func() (stop func()) {
			s, err := history.Open(ctx, config, history.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry(),
				Transport: emb.Transport(), Source: books, ShardOf: books.ShardOf, Since: books.Since})
			if err != nil {
				t.Fatalf("open history: %v", err)
			}
			w.s = s
			end := w.background(s.Run)
			return func() {
				end()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		stop := open()
		play := func(from, upTo int) {
			var playing sync.WaitGroup
			for n := from; n < upTo; n++ {
				playing.Go(func() { playBets(t, books, w.s, id.Player(fmt.Sprintf("plr_%d", n)), rounds) })
			}
			playing.Wait()
		}
		play(0, players)
		stop()
		config.Next = history.NextConfig{Dir: filepath.Join(w.dir, "next"), Chunk: 4, Rate: 100, Lag: time.Minute, Clusters: second.fresh(t, 2)}
		first.grant(t, config)
		stop = open()
		moveEverybody(ctx, t, books, 2*players)
		play(players, 2*players)
		allMoved(ctx, t, books)
		w.until("complete", func(s history.NextStatus) bool {
			for _, p := range s.Copy {
				if !p.Done || p.Position != books.Head(p.Shard) {
					return false
				}
			}
			return len(s.Copy) == 2
		})
		stop()
		report, err := history.Audit(ctx, history.AuditOptions{Dir: config.Next.Dir, Clusters: config.Next.Clusters, Log: books})
		if err != nil {
			t.Fatalf("Audit: %v", err)
		}
		var bets int64
		for _, shard := range report.Shards {
			bets += shard.Bets
		}
		if bets != 2*players*rounds {
			t.Errorf("audit counts %d bets, want %d", bets, 2*players*rounds)
		}
	})
}

// realBooks runs a real ledger of two shards with its streams until the test ends.
func (w *world) realBooks(ctx context.Context) (*ledger.Service, *stream.Embedded) {
	w.t.Helper()
	books, err := ledger.Open(ctx, ledger.Config{Dir: filepath.Join(w.dir, "ledger"), Shards: 2},
		ledger.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		w.t.Fatalf("open ledger: %v", err)
	}
	w.t.Cleanup(func() { _ = books.Close() })
	emb, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(w.dir, "streams")}, quiet())
	if err != nil {
		w.t.Fatalf("start streams: %v", err)
	}
	w.t.Cleanup(func() { _ = emb.Close() })
	w.background(books.Run)
	for n := range books.Shards() {
		relay, err := stream.NewRelay(books, n, emb.Transport(), stream.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
		if err != nil {
			w.t.Fatal(err)
		}
		w.background(relay.Run)
	}
	return books, emb
}
