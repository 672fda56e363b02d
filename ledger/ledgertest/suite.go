package ledgertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/ledger"
)

// Engine opens a running ledger over the folder or database named dir; opened again with the same
// name it finds what was there. Stop ends it as a graceful shutdown does. The engine must not sweep
// holds during a test: the suite decides when they end.
type Engine func(t T, dir string, c clock.Clock) (s *ledger.Service, stop func())

// T is what an engine needs of a test.
type T interface {
	Helper()
	Context() context.Context
	Fatalf(format string, args ...any)
}

// Run tests an engine. Fresh returns a name that no engine has been opened with.
func Run(t *testing.T, open Engine, fresh func() string) {
	t.Run("any list of operations ends as in the model", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { againstModel(r, open, fresh(), nil) })
	})
	t.Run("groups, dry runs and limits end as in the model", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { featuresAgainstModel(r, open, fresh()) })
	})
	t.Run("one request sent many times at once commits once", func(t *testing.T) {
		t.Parallel()
		sameKeyAtOnce(t, open, fresh())
	})
	t.Run("debits that race never overdraw", func(t *testing.T) {
		t.Parallel()
		racingDebits(t, open, fresh())
	})
	t.Run("a second writer stops the first", func(t *testing.T) {
		t.Parallel()
		fencing(t, open, fresh())
	})
}

// againstModel runs a random list of operations on the engine and on the model, compares every
// answer, restarts the engine now and then, and compares all balances at the end. Between, if there
// is one, is done to the engine now and then; nobody may notice.
func againstModel(t *rapid.T, open Engine, dir string, between func(*rapid.T, *ledger.Service)) {
	ctx := t.Context()
	now := clock.NewManual(Start)
	s, stop := open(t, dir, now)
	defer func() { stop() }()
	model := NewModel()
	g := &generator{}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		g.now = now.Now()
		switch rapid.IntRange(0, 11).Draw(t, "step") {
		case 0:
			now.Advance(time.Duration(rapid.IntRange(0, 3).Draw(t, "minutes")) * time.Minute)
		case 1:
			stop()
			s, stop = open(t, dir, now)
		case 2, 3:
			if between != nil {
				between(t, s)
			}
		default:
			list := make([]ledger.Transfer, rapid.IntRange(1, 5).Draw(t, "size"))
			for i := range list {
				list[i] = g.draw(t)
			}
			got, err := s.CommitBatch(ctx, ledger.LaneInteractive, list)
			if err != nil {
				t.Fatalf("commit batch: %v", err)
			}
			for i := range list {
				compare(t, &list[i], got[i], model.Commit(list[i], now.Now()))
			}
		}
	}
	for a, want := range model.Posted {
		got, err := s.Balance(ctx, a)
		if err != nil || got.PostedMinor != want || got.HeldMinor != model.Held[a] {
			t.Fatalf("balance of %s: got %+v (%v), want posted %d, held %d", a, got, err, want, model.Held[a])
		}
	}
	sameStatements(t, s, now.Now())
	sameLog(t, s)
	sameBooks(t, s, func(most int) int { return rapid.IntRange(0, most).Draw(t, "cut") })
}

func compare(t *rapid.T, asked *ledger.Transfer, got ledger.Result, want Answer) {
	if code := errs.CodeOf(got.Err); code != want.Code {
		t.Fatalf("%s %s: got code %q (%v), want %q", asked.Kind, asked.Key, code, got.Err, want.Code)
	}
	if got.Replayed != want.Replayed {
		t.Fatalf("%s %s: got replayed %t, want %t", asked.Kind, asked.Key, got.Replayed, want.Replayed)
	}
	if len(want.Balances) > 0 && len(got.Balances) != len(want.Balances) {
		t.Fatalf("%s %s: got balances %v, want %v", asked.Kind, asked.Key, got.Balances, want.Balances)
	}
	for i := range want.Balances {
		ofHouse := i > 0 && len(asked.Postings) == 0 || len(asked.Postings) > 0 && asked.Postings[i].Account.Player() == ""
		if !ofHouse && got.Balances[i] != want.Balances[i] { // a house balance is that of one shard
			t.Fatalf("%s %s: got balances %v, want %v", asked.Kind, asked.Key, got.Balances, want.Balances)
		}
	}
}

// sameLog reads every shard's log and checks that its batches have no gap.
func sameLog(t T, s *ledger.Service) {
	for shard := range s.Shards() {
		for after := int64(0); after < s.Head(shard); {
			list, err := s.ReadLog(t.Context(), shard, after, 3)
			if err != nil || len(list) == 0 {
				t.Fatalf("read log of shard %d after %d: %d batches, %v", shard, after, len(list), err)
			}
			for _, b := range list {
				if b.First != after+1 || b.Last < b.First {
					t.Fatalf("shard %d: batch %d..%d follows %d", shard, b.First, b.Last, after)
				}
				after = b.Last
			}
		}
	}
}

func sameKeyAtOnce(t *testing.T, open Engine, dir string) {
	s, stop := open(t, dir, clock.NewManual(Start))
	defer stop()
	const callers = 20
	results := make([]ledger.Result, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			results[i], _ = s.Commit(t.Context(), ledger.LaneInteractive, Deposit("once", "plr_a", 100))
		})
	}
	wg.Wait()
	first := 0
	for i := range results {
		if results[i].Err != nil || results[i].Position != results[0].Position {
			t.Errorf("caller %d: got %+v", i, results[i])
		}
		if !results[i].Replayed {
			first++
		}
	}
	if first != 1 {
		t.Errorf("got %d first answers, want 1", first)
	}
	wantPosted(t, s, ledger.PlayerCash("plr_a", NJ), 100)
}

func racingDebits(t *testing.T, open Engine, dir string) {
	s, stop := open(t, dir, clock.NewManual(Start))
	defer stop()
	ctx := t.Context()
	if _, err := s.Commit(ctx, ledger.LaneInteractive, Deposit("d", "plr_a", 100)); err != nil {
		t.Fatal(err)
	}
	const callers = 30
	codes := make([]errs.Code, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			lane := ledger.Lane(i % 2) // #nosec: 0 or 1
			_, err := s.Commit(ctx, lane, Stake(fmt.Sprintf("s%d", i), "plr_a", 10))
			codes[i] = errs.CodeOf(err)
		})
	}
	wg.Wait()
	accepted := 0
	for _, code := range codes {
		if code == "" {
			accepted++
		} else if code != errs.CodeInsufficientFunds {
			t.Errorf("got code %s", code)
		}
	}
	if accepted != 10 {
		t.Errorf("got %d accepted debits of 10 from 100, want 10", accepted)
	}
	wantPosted(t, s, ledger.PlayerCash("plr_a", NJ), 0)
}

func fencing(t *testing.T, open Engine, dir string) {
	ctx := t.Context()
	now := clock.NewManual(Start)
	first, stopFirst := open(t, dir, now)
	defer stopFirst()
	if _, err := first.Commit(ctx, ledger.LaneInteractive, Deposit("d1", "plr_a", 100)); err != nil {
		t.Fatal(err)
	}
	second, stopSecond := open(t, dir, now)
	defer stopSecond()
	if _, err := first.Commit(ctx, ledger.LaneInteractive, Deposit("d2", "plr_a", 100)); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("a fenced writer answered %v, want unavailable", err)
	}
	if _, err := second.Commit(ctx, ledger.LaneInteractive, Deposit("d2", "plr_a", 100)); err != nil {
		t.Errorf("the new writer: %v", err)
	}
	wantPosted(t, second, ledger.PlayerCash("plr_a", NJ), 200)
}

func wantPosted(t *testing.T, s *ledger.Service, a ledger.Address, want int64) {
	t.Helper()
	got, err := s.Balance(t.Context(), a)
	if err != nil || got.PostedMinor != want {
		t.Errorf("balance of %s: got %d (%v), want %d", a, got.PostedMinor, err, want)
	}
}
