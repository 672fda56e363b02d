package groupcommit

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"matchday/errs"
	"matchday/internal/sqldb"
)

func setup(t testing.TB) (*Group, *sqldb.DB) {
	t.Helper()
	db, err := sqldb.Open(filepath.Join(t.TempDir(), "test.db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Write.ExecContext(context.Background(), `CREATE TABLE number (n INTEGER PRIMARY KEY) STRICT`); err != nil {
		t.Fatal(err)
	}
	return New(db), db
}

func insert(numbers ...int) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		for _, n := range numbers {
			if _, err := tx.ExecContext(ctx, `INSERT INTO number (n) VALUES (?)`, n); err != nil {
				return sqldb.Wrap("insert", err)
			}
		}
		return nil
	}
}

func count(t testing.TB, db *sqldb.DB) int {
	t.Helper()
	var n int
	if err := db.Read.QueryRowContext(context.Background(), `SELECT COUNT(*) FROM number`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// line makes the caller wait in line until gate is closed, so that the others gather behind it.
func line(t *testing.T, g *Group, gate <-chan struct{}) (inside <-chan struct{}, wait func()) {
	t.Helper()
	entered := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		err := g.Do(t.Context(), func(context.Context, *sql.Tx) error {
			close(entered)
			<-gate
			return nil
		})
		if err != nil {
			t.Errorf("Do = %v", err)
		}
	})
	return entered, group.Wait
}

// gather returns when n writes are waiting in line.
func gather(g *Group, n int) {
	for {
		g.mu.Lock()
		have := len(g.waiting)
		g.mu.Unlock()
		if have >= n {
			return
		}
	}
}

func TestAFailingWriteHurtsOnlyItself(t *testing.T) {
	t.Parallel()
	g, db := setup(t)
	gate := make(chan struct{})
	inside, wait := line(t, g, gate)
	<-inside
	odd := errors.New("odd")
	results := make([]error, 20)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			results[i] = g.Do(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				if err := insert(2*i, 2*i+1)(ctx, tx); err != nil || i%2 == 0 {
					return err
				}
				return odd // after both inserts
			})
		})
	}
	gather(g, len(results))
	close(gate)
	group.Wait()
	wait()
	for i, err := range results {
		if got, want := errors.Is(err, odd), i%2 == 1; got != want {
			t.Errorf("write %d = %v", i, err)
		}
	}
	if got, want := count(t, db), 20; got != want {
		t.Errorf("%d rows, want the %d of the ten writes that succeeded", got, want)
	}
}

func TestAConstraintIsItsOwnersError(t *testing.T) {
	t.Parallel()
	g, db := setup(t)
	gate := make(chan struct{})
	inside, wait := line(t, g, gate)
	<-inside
	var conflicts, fine int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			err := g.Do(t.Context(), insert(7))
			mu.Lock()
			defer mu.Unlock()
			switch errs.CodeOf(err) {
			case "":
				fine++
			case errs.CodeConflict:
				conflicts++
			}
		})
	}
	gather(g, 5)
	close(gate)
	group.Wait()
	wait()
	if fine != 1 || conflicts != 4 || count(t, db) != 1 {
		t.Errorf("%d succeeded, %d conflicts, %d rows, want 1, 4 and 1", fine, conflicts, count(t, db))
	}
}

func TestManyCallersAllGetTheirAnswer(t *testing.T) {
	t.Parallel()
	g, db := setup(t)
	var group sync.WaitGroup
	for i := range 600 { // more than two full groups
		group.Go(func() {
			if err := g.Do(t.Context(), insert(i)); err != nil {
				t.Errorf("Do = %v", err)
			}
		})
	}
	group.Wait()
	if got := count(t, db); got != 600 || g.led || len(g.waiting) != 0 {
		t.Errorf("%d rows, led %t, %d waiting, want 600, nobody and none", got, g.led, len(g.waiting))
	}
}

func TestAnEndedContextWritesNothingAndALaterEndStopsNobody(t *testing.T) {
	t.Parallel()
	g, db := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := g.Do(ctx, func(inner context.Context, tx *sql.Tx) error {
		cancel()
		return insert(1)(inner, tx)
	})
	if err != nil {
		t.Errorf("Do with a context that ends inside = %v, want it committed", err)
	}
	if err := g.Do(ctx, insert(2)); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("Do with an ended context = %v, want unavailable", err)
	}
	if got := count(t, db); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
}

func TestTheLineIsBounded(t *testing.T) {
	t.Parallel()
	g, _ := setup(t)
	g.led = true
	g.waiting = make([]*write, maxWaiting)
	if err := g.Do(t.Context(), insert(1)); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("Do = %v, want unavailable", err)
	}
}

func TestAClosedDatabaseAnswersEverybody(t *testing.T) {
	t.Parallel()
	g, db := setup(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			if err := g.Do(t.Context(), insert(i)); err == nil {
				t.Error("Do on a closed database succeeded")
			}
		})
	}
	group.Wait()
}

func BenchmarkDo(b *testing.B) {
	g, _ := setup(b)
	var n int
	var mu sync.Mutex
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			i := n
			mu.Unlock()
			if err := g.Do(context.Background(), insert(i)); err != nil {
				b.Error(err)
			}
		}
	})
}
