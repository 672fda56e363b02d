package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/mariadb"
)

// keep copies a database of a ledger that has stopped, and returns what puts it back.
func (w *world) keep(name string) (restore func()) {
	w.t.Helper()
	kept := filepath.Join(w.t.TempDir(), "kept.db")
	move := func(from, to string) {
		w.t.Helper()
		for _, part := range []string{"", "-wal", "-shm"} {
			content, err := os.ReadFile(from + part)
			if errors.Is(err, os.ErrNotExist) {
				err = os.RemoveAll(to + part)
			} else if err == nil {
				err = os.WriteFile(to+part, content, 0o600)
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}
	}
	move(name, kept)
	return func() { w.t.Helper(); move(kept, name) }
}

// halt stops the ledger.
func (w *world) halt() {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
}

// entry is what the tools say of a shard.
func (w *world) entry(n int) ShardEntry {
	w.t.Helper()
	list, err := ListShards(context.Background(), w.config, w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	return list[n]
}

// wantQuarantined checks that nobody writes the shard of the player, and that everybody is told.
func (w *world) wantQuarantined(p id.Player, epoch int64) {
	w.t.Helper()
	n := w.ShardOf(p)
	_, err := w.Commit(w.t.Context(), LaneInteractive, deposit("while quarantined", p, 1))
	if !errs.Is(err, errs.CodeUnavailable) || !errors.Is(err, ErrNotTaken) {
		w.t.Errorf("a commit on a quarantined shard: %v, want unavailable and not taken", err)
	}
	if text := w.Status()[n].Quarantine; !strings.Contains(text, errDiverged.Error()) {
		w.t.Errorf("the status says %q", text)
	}
	var gauge dto.Metric
	if err := w.figures.quarantined.Write(&gauge); err != nil || gauge.Gauge.GetValue() != 1 {
		w.t.Errorf("%v shards are counted, %v; want 1", gauge.Gauge.GetValue(), err)
	}
	got := w.entry(n)
	if !strings.Contains(got.Quarantine, errDiverged.Error()) || got.Since.IsZero() || got.Epoch != epoch {
		w.t.Errorf("the list says %+v, want a quarantine and the log as it was, of epoch %d", got, epoch)
	}
}

// written waits until the shard takes work, and commits.
func (w *world) written(key string, p id.Player) Result {
	w.t.Helper()
	eventually(w.t, "the shard is written again", func() bool { return w.shards[w.ShardOf(p)].isOpen() })
	return w.must(deposit(key, p, 5))
}

// TestAShardThatWentBackIsNotWritten exchanges the file of a shard for one that lacks what was answered.
func TestAShardThatWentBackIsNotWritten(t *testing.T) {
	t.Parallel()
	commit := func(keys ...string) func(*world, id.Player) {
		return func(w *world, p id.Player) {
			for _, key := range keys {
				w.must(deposit(key, p, 5))
			}
		}
	}
	tests := map[string]struct {
		answered, found func(*world, id.Player) // after the first commit
		seq             int64                   // where the log ends that is found
	}{
		"it ends earlier":                   {commit("d2"), commit(), 1},
		"it has another commit there":       {commit("d2"), commit("other"), 2},
		"it has others there and beyond":    {commit("d2"), commit("o1", "o2"), 3},
		"it knows nothing of the last turn": {commit(), nil, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && tt.seq != 2 {
				t.Skip("opens the books many times; one case is enough in short mode")
			}
			w := setup(t)
			file, players := shardFile(w.config.Dir, 0), playersOn(t, w.Service, 2)
			p := players[0]
			w.must(deposit("d1", p, 5))
			w.halt()
			before, noted := w.keep(file), w.keep(directoryFile(w.config.Dir))
			found, epoch := before, int64(1)
			if tt.found != nil {
				w.open()
				tt.found(w, p)
				w.halt()
				found, epoch = w.keep(file), 2
				before()
				noted()
			}
			w.open()
			tt.answered(w, p)
			w.halt()
			whole := w.keep(file)

			found()
			w.open()
			w.wantQuarantined(p, epoch)
			w.must(deposit("on another shard", players[1], 5))
			w.halt()
			whole()
			w.open()
			if r := w.written("d1", p); !r.Replayed {
				t.Errorf("after the whole log came back: %+v", r)
			}
			tt.answered(w, p)
			w.halt()

			found()
			w.open()
			w.wantQuarantined(p, epoch)
			w.goesOnAfterLoss(p, tt.seq)
			w.halt()
			wantSound(t, w.config.Dir)
			w.open() // and nothing is asked for any more that was given up
			w.must(deposit("later", p, 5))
		})
	}
}

// goesOnAfterLoss accepts the loss of shard 0, where the player lives, and checks what follows.
func (w *world) goesOnAfterLoss(p id.Player, seq int64) {
	w.t.Helper()
	relayed := make(chan bool, 1)
	go func() { // as a relay, which must not read the log before it is known to be right
		_ = w.WhileOwned(context.Background(), 0, func(context.Context, int64) error {
			relayed <- w.Status()[0].Quarantine == ""
			return errEnough
		})
	}()
	w.acceptLoss(p, seq)
	if !<-relayed {
		w.t.Error("a relay ran on a quarantined shard")
	}
	if r := w.written("after", p); r.Position.Seq != seq+1 || r.Replayed {
		w.t.Errorf("the log goes on with %+v, want sequence %d", r, seq+1)
	}
	if got := w.entry(0); got.Quarantine != "" || got.Epoch <= 3 || len(got.Losses) != 1 {
		w.t.Errorf("after the loss was accepted: %+v", got)
	}
}

// acceptLoss accepts that the log of the player's shard ends at the sequence, after wrong ones.
func (w *world) acceptLoss(p id.Player, seq int64) {
	w.t.Helper()
	n := w.ShardOf(p)
	for _, wrong := range []struct {
		request LossRequest
		want    errs.Code
	}{
		{LossRequest{n, seq + 1, "me", "it burnt"}, errs.CodeConflict},
		{LossRequest{1 - n, seq, "me", "it burnt"}, errs.CodeConflict},
		{LossRequest{n, seq, "me", " "}, errs.CodeInvalid},
		{LossRequest{99, seq, "me", "it burnt"}, errs.CodeInvalid},
	} {
		if wrong.request.Shard == 1 && w.config.Shards == 1 {
			continue
		}
		if _, err := AcceptLoss(w.t.Context(), w.config, w.clock, wrong.request); !errs.Is(err, wrong.want) {
			w.t.Errorf("%+v: %v, want %s", wrong.request, err, wrong.want)
		}
	}
	l, err := AcceptLoss(w.t.Context(), w.config, w.clock, LossRequest{n, seq, "me", "it burnt"})
	if err != nil || l.KeptSeq != seq || l.By != "me" || l.Reason != "it burnt" {
		w.t.Fatalf("accept the loss: %+v, %v", l, err)
	}
}

// flipFlop are two servers of which the second follows the first, until it was promoted and has more.
type flipFlop struct {
	t    *testing.T
	a, b *mariadb.Server
}

func newFlipFlop(t *testing.T) *flipFlop {
	t.Helper()
	if testing.Short() {
		t.Skip("starts two database servers")
	}
	f := &flipFlop{t, ownServer(t, mariadb.Options{}), ownServer(t, mariadb.Options{})}
	f.must(f.b.Replicate(t.Context(), f.a, false))
	return f
}

func (f *flipFlop) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// has waits until the server has so many transfers.
func (f *flipFlop) has(s *mariadb.Server, want int) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("the node has %d transfers", want), func() bool {
		var n int
		err := s.Admin().QueryRowContext(f.t.Context(), "SELECT COUNT(*) FROM ledger_0.transfer").Scan(&n)
		return err == nil && n == want
	})
}

// promoteB kills the first node and makes the second the primary.
func (f *flipFlop) promoteB() {
	f.t.Helper()
	f.must(f.a.Kill())
	f.must(f.b.Promote(f.t.Context()))
}

// backToA kills the second node and starts the first again, which takes writes.
func (f *flipFlop) backToA() {
	f.t.Helper()
	f.must(f.b.Kill())
	f.must(f.a.Restart(f.t.Context(), "--read-only=OFF"))
}

// wantA checks that nobody has written to the first node.
func (f *flipFlop) wantA(epoch, seq int64) {
	f.t.Helper()
	var gotEpoch, gotSeq int64
	err := f.a.Admin().QueryRowContext(f.t.Context(), "SELECT epoch, seq FROM ledger_0.shard").Scan(&gotEpoch, &gotSeq)
	if err != nil || gotEpoch != epoch || gotSeq != seq {
		f.t.Errorf("the node that came back has epoch %d and sequence %d, %v; want %d and %d", gotEpoch, gotSeq, err, epoch, seq)
	}
}

// wantNoted waits until the directory says how far was answered.
func wantNoted(t *testing.T, s *Service, shard int, seq int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("sequence %d is noted", seq), func() bool {
		got, err := s.directory.tenancy(t.Context(), shard)
		return err == nil && got.noted.seq == seq
	})
}

// TestAnOldPrimaryThatComesBackAloneIsNotWritten fails over from one node to the other and back to the
// first, which lacks what the second has answered: while the process runs, and while it does not, also with
// a directory that has gone back too.
func TestAnOldPrimaryThatComesBackAloneIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, directory := range map[string]string{"seen by the writer": "", "seen at the start": "", "with its directory": "test"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := name == "seen by the writer"
			f := newFlipFlop(t)
			w := onMySQL(t, onServer(f.a, "ledger", "0", f.b), func(c *Config) { c.Directory.Cluster = directory })
			w.must(deposit("d1", "p1", 5))
			f.has(f.b, 1)
			f.promoteB()
			w.must(deposit("d2", "p1", 5))
			w.must(deposit("d3", "p1", 5))
			if runs {
				f.backToA()
				w.wantCode(deposit("d4", "p1", 5), errs.CodeUnavailable)
				if err := w.stop(); !errors.Is(err, errDiverged) {
					t.Fatalf("the writer ended with %v", err)
				}
			} else {
				w.halt()
				f.backToA()
			}
			w.open()
			w.wantQuarantined("p1", 1)
			f.wantA(1, 1)

			// The second node comes back, and the first is made its replica as it should be.
			f.must(f.a.Kill())
			f.must(f.b.Restart(t.Context()))
			if r := w.written("d3", "p1"); !r.Replayed || r.Position.Seq != 3 {
				t.Errorf("a commit that had been answered: %+v", r)
			}
			w.must(deposit("d4", "p1", 5))
			w.halt()

			// It is lost for good.
			f.backToA()
			w.open()
			w.wantQuarantined("p1", 1)
			w.acceptLoss("p1", 1)
			if r := w.written("d5", "p1"); r.Position.Seq != 2 {
				t.Errorf("after the loss was accepted: %+v", r)
			}
			if r := w.must(deposit("d3", "p1", 5)); r.Replayed {
				t.Errorf("what was given up was answered again: %+v", r)
			}
			w.wantSoundClusters()
		})
	}
}

// TestNoProcessTakesAShardThatWentBack does the same with two processes.
func TestNoProcessTakesAShardThatWentBack(t *testing.T) {
	t.Parallel()
	f := newFlipFlop(t)
	c := Config{
		Dir: t.TempDir(), Shards: 1, SweepEvery: time.Hour, Lease: 900 * time.Millisecond, FailoverWait: time.Minute,
		InternalListen: "127.0.0.1:0",
		Clusters:       onServer(f.a, "ledger", "0", f.b),
	}
	first, second := startMember(t, c), startMember(t, c)
	wantSpread(t, 1, first)
	ctx := t.Context()
	commit := func(key string) (Result, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		return second.Commit(ctx, LaneInteractive, deposit(key, "p1", 5))
	}
	must := func(key string) {
		t.Helper()
		if _, err := commit(key); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	must("d1")
	f.has(f.b, 1)
	f.promoteB()
	must("d2")
	must("d3")
	wantNoted(t, first.Service, 0, 3)
	f.backToA()
	if _, err := commit("d4"); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("a commit on the node that came back: %v", err)
	}
	quarantined := func() bool {
		return first.Status()[0].Quarantine != "" && second.Status()[0].Quarantine != ""
	}
	eventually(t, "both processes see the quarantine", quarantined)
	at, err := first.directory.owners(ctx)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "twenty polls", func() bool {
		now, err := first.directory.owners(ctx)
		return err == nil && now.processes[first.keeper.self.name].beat >= at.processes[first.keeper.self.name].beat+20
	})
	if !quarantined() || len(first.owned())+len(second.owned()) > 0 {
		t.Error("a process writes the shard")
	}
	f.wantA(1, 1)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	third := startMember(t, c)
	eventually(t, "a new process sees the quarantine", func() bool { return third.Status()[0].Quarantine != "" })
	if _, err := AcceptLoss(ctx, c, third.clock, LossRequest{0, 1, "me", "it burnt"}); err != nil {
		t.Fatal(err)
	}
	must("d5")
	var seq int64
	if err := f.a.Admin().QueryRowContext(ctx, "SELECT seq FROM ledger_0.shard").Scan(&seq); err != nil || seq != 2 {
		t.Errorf("the log ends at %d, %v; want 2", seq, err)
	}
}
