package history_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// filling is a real ledger whose log a history reads by itself, in a bubble whose time passes only while everybody waits.
type filling struct {
	*world
	books  *ledger.Service
	config history.Config
	bets   int
	mu     sync.Mutex
}

// newFilling returns one whose ledger runs and has nothing yet.
func newFilling(t *testing.T, rate int) *filling {
	f := &filling{world: &world{t: t, dir: t.TempDir()}}
	var err error
	f.books, err = ledger.Open(t.Context(), ledger.Config{Dir: filepath.Join(f.dir, "ledger"), Shards: 2},
		ledger.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.books.Close() })
	f.background(f.books.Run)
	f.config = history.Config{Dir: filepath.Join(f.dir, "history"), FillRate: rate}
	return f
}

// place commits the stakes of so many bets together, of players of both shards in turn.
func (f *filling) place(n int) { f.commit(n, true) }

// commit commits so many transfers together; the history takes only what places a bet.
func (f *filling) commit(n int, bets bool) {
	var together sync.WaitGroup
	for range n {
		f.mu.Lock()
		number := f.bets
		f.bets++
		f.mu.Unlock()
		together.Go(func() {
			player := f.player(number)
			bet := placedRecord(player, nj, id.Bet(fmt.Sprintf("bet_%06d", number)), 100)
			t := ledger.Transfer{Key: fmt.Sprint("stake", number), Kind: ledger.KindDeposit, Player: player, Jurisdiction: nj, Currency: "USD",
				Postings: []ledger.Posting{{Account: ledger.PSP("sandbox", nj), AmountMinor: -100}, {Account: ledger.PlayerCash(player, nj), AmountMinor: 100}}}
			if bets {
				t.Record = &stream.Draft{Type: bet.Type, Subject: bet.Subject, Data: bet.Data}
			}
			if _, err := f.books.Commit(context.Background(), ledger.LaneInteractive, t); err != nil {
				f.t.Errorf("commit %s: %v", t.Key, err)
			}
		})
	}
	together.Wait()
}

// player returns one of forty, of the even shard for an even number.
func (f *filling) player(number int) id.Player {
	for try := number % 40; ; try += 40 {
		if p := id.Player(fmt.Sprintf("plr_%d", try)); f.books.ShardOf(p) == number%2 {
			return p
		}
	}
}

// begin opens the history and runs it.
func (f *filling) begin() (stop func()) {
	f.t.Helper()
	s, err := history.Open(context.Background(), f.config, history.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry(),
		Transport: streamtest.Silent{}, Source: f.books, ShardOf: f.books.ShardOf, Since: f.books.Since})
	if err != nil {
		f.t.Fatalf("open history: %v", err)
	}
	f.s = s
	end := f.background(s.Run)
	return func() {
		end()
		if err := s.Close(); err != nil {
			f.t.Error(err)
		}
	}
}

// shown is how much of the log both shards show.
func (f *filling) shown() (n int64) {
	for _, l := range f.s.Lag() {
		n += l.Position
	}
	return n
}

// head is how much both logs have.
func (f *filling) head() (n int64) {
	for shard := range f.books.Shards() {
		n += f.books.Head(shard)
	}
	return n
}

// said is what a shard said of the rest of its way.
type said struct {
	at time.Time
	history.CatchUp
}

// follow looks each second until the history shows so much, and returns what the shards said. However it stands, it took no more
// than the rate allows.
func (f *filling) follow(until func() bool) (list [2][]said) {
	f.t.Helper()
	began, from := time.Now(), f.shown()
	for !until() {
		<-time.After(time.Second)
		for shard, l := range f.s.Lag() {
			if l.CatchUp.Left > 0 {
				list[shard] = append(list[shard], said{time.Now(), l.CatchUp})
			}
		}
		took := int64(time.Since(began) / time.Second)
		if shown := f.shown() - from; shown > int64(f.config.FillRate)*took+2 && f.s.Lag()[0].Lag > stream.FillAge && f.s.Lag()[1].Lag > stream.FillAge {
			f.t.Fatalf("%d records in %d seconds", shown, took)
		}
		if took > 10_000 {
			f.t.Fatalf("shows %d of %d", f.shown(), f.head())
		}
	}
	return list
}

// TestAHistoryFillsItselfFromTheLogAtARate of a real ledger, while bets are placed, and goes on where it was when the process stops.
// What it says is left at half of the way is what it then takes, within a fifth: of the last ten minutes, which go faster, it does not
// know.
func TestAHistoryFillsItselfFromTheLogAtARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const placed, rate = 4_000, 2
		f := newFilling(t, rate)
		f.place(placed)
		<-time.After(2 * stream.FillAge)
		stopPlaying := f.background(func(ctx context.Context) error {
			for tick := time.NewTicker(5 * time.Second); ; {
				select {
				case <-ctx.Done():
					tick.Stop()
					return nil
				case <-tick.C:
					f.place(2)
				}
			}
		})
		stop := f.begin()
		f.follow(func() bool { return f.shown() > placed/4 })
		stop()
		before := f.shown()
		stop = f.begin()
		defer func() { stop() }()
		if got := f.shown(); got < before || got > placed/2 {
			t.Fatalf("it begins again at %d, it was at %d", got, before)
		}
		list := f.follow(func() bool { return f.shown() == f.head() })
		level := time.Now()
		stopPlaying()
		f.follow(func() bool { return f.shown() == f.head() }) // what was placed in that moment
		for shard, l := range f.s.Lag() {
			if l.CatchUp != (history.CatchUp{}) || l.Lag != 0 {
				t.Errorf("shard %d shows all and says %+v", shard, l)
			}
			all := list[shard]
			half := all[len(all)/2]
			took := level.Sub(half.at)
			t.Logf("shard %d, %d times: at half of the way %+v, it took %s", shard, len(all), half.CatchUp, took)
			if half.Left < took*4/5 || half.Left > took*6/5 {
				t.Errorf("shard %d: at half of the way %s were said to be left, it took %s", shard, half.Left, took)
			}
		}
		report, err := history.Audit(t.Context(), history.AuditOptions{Dir: f.config.Dir, Log: f.books})
		if err != nil {
			t.Errorf("Audit: %v", err)
		}
		if got := report.Shards[0].Bets + report.Shards[1].Bets; got != int64(f.bets) {
			t.Errorf("audit counts %d bets, want %d", got, f.bets)
		}
	})
}

// TestAFillLooksAheadIntoTheLog of a real ledger, half of which holds nothing for a history: what it says is left at a fifth of the way, before
// it has met any of that, is what it then takes, within a fifth.
func TestAFillLooksAheadIntoTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const each, rate = 1_500, 2
		f := newFilling(t, rate)
		f.place(each)
		f.commit(each, false)
		<-time.After(2 * stream.FillAge)
		stop := f.begin()
		defer func() { stop() }()
		list := f.follow(func() bool { return f.shown() >= 2*each/5 })
		began := time.Now()
		for f.shown() < f.head() {
			if time.Since(began) > time.Hour {
				t.Fatalf("shows %d of %d", f.shown(), f.head())
			}
			<-time.After(time.Second)
		}
		took := time.Since(began)
		for shard, all := range list {
			left := all[len(all)-1].Left
			t.Logf("shard %d: %s were said to be left, it took %s", shard, left, took)
			if left < took*4/5 || left > took*6/5 {
				t.Errorf("shard %d: %s were said to be left, it took %s", shard, left, took)
			}
		}
	})
}
