package history_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/history"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// sharedNext is two processes over one first and one second history, both on a server.
type sharedNext struct {
	*world
	services [2]*history.Service
	turns    [2][]*streamtest.Turns // by shard
	clocks   [2]*shifted
}

// shifted is a clock that somebody moves.
type shifted struct{ by atomic.Int64 }

// Now implements clock.Clock.
func (c *shifted) Now() time.Time { return clock.System{}.Now().Add(time.Duration(c.by.Load())) }

// newSharedNext fills the first history with bets. The first process copies a chunk of each shard and then rests for a
// minute, the second one copies as fast as it can: so whoever takes over from the first does it in the middle.
func newSharedNext(t *testing.T, shards, bets int) *sharedNext {
	t.Helper()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	e := engine{mariadb.Shared(t)}
	w := &sharedNext{world: beside(t, e, e, shards, bets)}
	w.config.ReadWait = time.Minute
	for n := range w.services {
		for range shards {
			w.turns[n] = append(w.turns[n], streamtest.NewTurns())
		}
		w.clocks[n] = &shifted{}
		w.start(n)
	}
	return w
}

// start opens a process of the two and runs it.
func (w *sharedNext) start(n int) {
	w.t.Helper()
	c := w.config
	if n == 0 {
		c.Next.Rate = 1
	}
	hold := func(ctx context.Context, shard int, fn func(ctx context.Context, epoch int64) error) error {
		return w.turns[n][shard].Hold(ctx, shard, fn)
	}
	s, err := history.Open(context.Background(), c, history.Deps{Clock: w.clocks[n], Log: quiet(), Metrics: prometheus.NewRegistry(),
		Transport: w.emb.Transport(), Source: w.log, ShardOf: w.shardOf, Hold: hold})
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	w.services[n] = s
	run, before := w.background(s.Run), w.stop
	w.stop = sync.OnceFunc(func() {
		run()
		if err := s.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
		before()
	})
	w.t.Cleanup(w.stop)
}

// give gives a process the turn on every shard; 0 takes it away.
func (w *sharedNext) give(n int, epoch int64) {
	for _, turn := range w.turns[n] {
		turn.Give(epoch)
	}
}

// status asks both processes, which must agree, until they say what done asks for.
func (w *sharedNext) status(what string, done func(history.NextStatus) bool) {
	w.t.Helper()
	eventually(w.t, what, func() bool {
		for _, s := range w.services {
			d, err := s.Desk()
			if err != nil {
				w.t.Fatal(err)
			}
			got, err := d.Status(w.t.Context())
			if err != nil {
				w.t.Fatal(err)
			}
			if !done(got) {
				return false
			}
		}
		return true
	})
}

// isEqual says that everything is copied and that a comparison has found nothing.
func (w *sharedNext) isEqual(s history.NextStatus) bool {
	for i, p := range s.Copy {
		if !p.Done || s.Equal[i].Passes == 0 || s.Equal[i].Suspected > 0 {
			return false
		}
	}
	return len(s.Copy) == w.log.Shards()
}

// follow waits until both processes go by a choice.
func (w *sharedNext) follow(shown history.Shown) {
	w.t.Helper()
	eventually(w.t, "the choice of "+string(shown), func() bool {
		return w.services[0].NextStatus().Shown == shown && w.services[1].NextStatus().Shown == shown
	})
	w.status("looks that are current", func(s history.NextStatus) bool {
		return s.Shown == shown && len(s.Looks) == 2 && s.Looks[0].Current && s.Looks[1].Current
	})
}

// seen asks both processes, at the ends of the logs, which history each player sees.
func (w *sharedNext) seen(players int) string {
	w.t.Helper()
	var out [2]strings.Builder
	for n, s := range w.services {
		for i := range players {
			p := oldPlayer(i)
			at := stream.Position{Shard: w.shardOf(p), Seq: w.log.Head(w.shardOf(p))}
			page, err := s.List(w.t.Context(), history.Query{Player: p, Jurisdiction: nj, Limit: 1, At: &at})
			if err != nil {
				w.t.Fatalf("process %d: %v", n, err)
			}
			if len(page.Bets) != 1 || page.Position.Seq < at.Seq || page.Position.Shard != at.Shard {
				w.t.Errorf("process %d shows %s %+v at %s, want a bet at %s", n, p, page.Bets, page.Position, at)
			}
			fmt.Fprintf(&out[n], "%s ", page.History)
		}
	}
	if out[0].String() != out[1].String() {
		w.t.Errorf("one process shows %s, the other %s", &out[0], &out[1])
	}
	return out[0].String()
}

// step takes a step through one of the processes, again while it is refused for want of a fresh report.
func (w *sharedNext) step(n int, take func(ctx context.Context, d *history.Desk) error) {
	w.t.Helper()
	d, err := w.services[n].Desk()
	if err != nil {
		w.t.Fatal(err)
	}
	reported(w.t, func() error { return take(w.t.Context(), d) })
}

// TestASecondHistoryBesideASharedOne has a process copy its part, replaces it while it believes that it still copies,
// and lets the other one finish, while bets flow. Choices are made through either and seen by both.
func TestASecondHistoryBesideASharedOne(t *testing.T) {
	t.Parallel()
	const shards, bets, players = 2, 600, 17
	w := newSharedNext(t, shards, bets)
	stop := w.traffic()
	w.give(0, 1)
	w.status("begun", func(s history.NextStatus) bool {
		for _, p := range s.Copy {
			if p.Chunks == 0 || p.Since.IsZero() {
				return false
			}
		}
		return len(s.Copy) == shards
	})
	if list := w.services[1].NextStatus().Copy; len(list) != 0 {
		t.Errorf("the process that only reads says that it copies %+v", list)
	}
	begun := w.services[0].NextStatus().Copy[0]
	if begun.Done {
		t.Fatalf("the first process has copied all: %+v", begun)
	}
	w.step(1, func(ctx context.Context, d *history.Desk) error { // half a history is shown to nobody
		if _, err := d.Switch(ctx, why); !errs.Is(err, errs.CodeConflict) {
			t.Errorf("switch to half a history: %v, want a conflict", err)
		}
		return nil
	})
	w.give(1, 2) // and the first is left in the belief that it copies
	eventually(t, "the take-over", func() bool {
		list := w.services[1].NextStatus().Copy
		return len(list) == shards && (list[0].Done || list[0].Since.After(begun.Since))
	})
	eventually(t, "the copy", func() bool { return w.isEqual(w.services[1].NextStatus()) })
	w.give(0, 0)
	w.status("complete and equal", w.isEqual)
	first, second := strings.Repeat("first ", players), strings.Repeat("second ", players)
	if got := w.seen(players); got != first {
		t.Errorf("before anything is chosen players see %s", got)
	}
	w.step(0, func(ctx context.Context, d *history.Desk) error { _, err := d.Share(ctx, why, 50, nil); return err })
	w.follow(history.ShownShare)
	if got := w.seen(players); got == first || got == second {
		t.Errorf("of half the players all see %s", got)
	}
	w.step(1, func(ctx context.Context, d *history.Desk) error { _, err := d.Switch(ctx, why); return err })
	w.follow(history.ShownSecond)
	if got := w.seen(players); got != second {
		t.Errorf("after the switch players see %s", got)
	}
	w.give(1, 0) // the shards change hands while everybody sees the second
	w.give(0, 3)
	live := stop()
	if got := w.seen(players); got != second {
		t.Errorf("after the shards changed hands players see %s", got)
	}
	w.step(0, func(ctx context.Context, d *history.Desk) error { _, err := d.Back(ctx, why); return err })
	w.follow(history.ShownFirst)
	if got := w.seen(players); got != first {
		t.Errorf("back on the first players see %s", got)
	}
	eventually(t, "both histories at the end", func() bool {
		for _, p := range w.services[0].NextStatus().Copy {
			if p.Position != w.log.Head(p.Shard) {
				return false
			}
		}
		return len(w.services[0].NextStatus().Copy) == shards
	})
	w.equalsTheLog(bets + live)
}

// TestOfASharedHistoryTheFirstIsLetGo in both processes; one that begins then has the second alone.
func TestOfASharedHistoryTheFirstIsLetGo(t *testing.T) {
	t.Parallel()
	w := newSharedNext(t, 1, 40)
	w.give(1, 1)
	w.status("complete and equal", w.isEqual)
	w.step(0, func(ctx context.Context, d *history.Desk) error { _, err := d.Switch(ctx, why); return err })
	w.follow(history.ShownSecond)
	w.step(0, func(ctx context.Context, d *history.Desk) error { _, err := d.Drop(ctx, why, "first"); return err })
	w.status("let go", func(s history.NextStatus) bool {
		return s.Dropped == "first" && len(s.Looks) == 2 && s.Looks[0].Current && s.Looks[1].Current
	})
	had := w.count("bet")
	w.place(100, 110)
	if got := w.seen(1); got != "second " {
		t.Errorf("after the first was let go of players see %s", got)
	}
	w.give(1, 0)
	w.give(0, 2)
	w.place(110, 120)
	if got := w.seen(1); got != "second " {
		t.Errorf("after the shard changed hands players see %s", got)
	}
	if got := w.count("bet"); got != had {
		t.Errorf("the first has %d bets, %d when it was let go of", got, had)
	}
	left, err := w.config.InForce(t.Context())
	if err != nil || left.Dir != w.config.Next.Dir || left.Next.Dir != "" {
		t.Errorf("what is left is %+v, %v", left, err)
	}
	w.stop()
	w.start(1)
	w.give(0, 0)
	w.give(1, 3)
	w.place(120, 130)
	at := stream.Position{Seq: w.log.Head(0)}
	if _, err := w.services[1].List(t.Context(), history.Query{Player: "plr_0", Jurisdiction: nj, Limit: 1, At: &at}); err != nil {
		t.Errorf("a process that began later: %v", err)
	}
	w.equalsTheLog(70)
}

// TestWhoCannotReadTheChoiceAnswersNobody: so that a step is in force everywhere after a while that is known.
func TestWhoCannotReadTheChoiceAnswersNobody(t *testing.T) {
	t.Parallel()
	w := newSharedNext(t, 1, 10)
	w.give(1, 1)
	w.status("complete and equal", w.isEqual)
	c := w.config.Clusters[0]
	right := fmt.Sprintf("DELETE ON %s_desk.look %%s '%s'@'127.0.0.1'", c.Database, c.User)
	w.admin("REVOKE " + fmt.Sprintf(right, "FROM"))
	read := func(n int) error {
		_, err := w.services[n].List(t.Context(), history.Query{Player: oldPlayer(0), Jurisdiction: nj})
		return err
	}
	w.clocks[0].by.Store(int64(31 * time.Second)) // of this process alone
	if err := read(0); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("a process that has not read the choice for 31 s: %v, want that it is unavailable", err)
	}
	if err := read(1); err != nil {
		t.Errorf("a process that read it lately: %v", err)
	}
	w.admin("GRANT " + fmt.Sprintf(right, "TO"))
	eventually(t, "an answer", func() bool { return read(0) == nil })
}
