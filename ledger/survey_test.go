package ledger

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"matchday/internal/clock"
)

// syncBuffer is a log that a test reads while others write.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) count(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), part)
}

// TestTroubleIsToldOnceAndItsEnd: a shard whose database fails each second says so twice, not each second.
func TestTroubleIsToldOnceAndItsEnd(t *testing.T) {
	t.Parallel()
	var out syncBuffer
	now := clock.NewManual(start)
	s := &shard{number: 3, clock: now, log: slog.New(slog.NewTextHandler(&out, nil)), troubles: newTroubles()}
	s.troubles.writes.worked(t.Context(), s)
	for range 40 {
		s.troubles.writes.failed(t.Context(), s, errors.New("gone"))
		now.Advance(time.Second)
	}
	if err := s.trouble(); err == nil || err.Error() != "gone" {
		t.Errorf("while writes fail: %v", err)
	}
	now.Advance(freshFailure)
	if err := s.trouble(); err != nil {
		t.Errorf("nobody has tried since: %v", err)
	}
	s.troubles.holds.failed(t.Context(), s, errors.New("no primary"))
	now.Advance(time.Hour)
	if s.trouble() == nil {
		t.Error("what is tried each second is true however long it lasts")
	}
	s.troubles.holds.worked(t.Context(), s)
	s.troubles.writes.worked(t.Context(), s)
	s.troubles.writes.worked(t.Context(), s)
	if begins, ends := out.count(`"ledger batch not written" shard=3`), out.count("failures=40"); begins != 1 || ends != 1 {
		t.Errorf("told %d and %d times:\n%s", begins, ends, out.text.String())
	}
	if out.count("level=ERROR") != 2 || out.count("level=INFO") != 2 {
		t.Errorf("want a line for each begin and end:\n%s", out.text.String())
	}
}

// TestShardsSayWhoWritesThemAndHowFarTheyAre reads the list beside two processes that share the shards.
func TestShardsSayWhoWritesThemAndHowFarTheyAre(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, InternalListen: "127.0.0.1:0"}
	a, b := startMember(t, c), startMember(t, c)
	wantSpread(t, 2, a, b)
	for i, p := range playersOn(t, a.Service, 2) {
		if r, err := a.Commit(context.Background(), LaneInteractive, deposit("d", p, 5)); err != nil || r.Position.Shard != i {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	owner := a
	if len(b.owned()) > 0 && b.owned()[0] == 0 {
		owner = b
	}
	owner.NoteRelayed(0, 1)
	list, err := ListShards(context.Background(), c, clock.System{})
	if err != nil || len(list) != 2 {
		t.Fatalf("got %+v, %v", list, err)
	}
	if one := list[0]; one.Owner != owner.keeper.self.name || one.Stream == nil || *one.Stream != 1 || one.LastMinute != 1 || one.Error != "" {
		t.Errorf("got %+v, want the owner, one transfer, shown by its stream", one)
	}
	if one := list[1]; one.Stream != nil || one.Error != "" || one.Owner == list[0].Owner {
		t.Errorf("got %+v, want the other owner, and no word of a stream that nobody publishes", one)
	}
	for _, m := range []*member{a, b} {
		eventually(t, "each shard has an owner and no trouble, one is here", func() bool {
			now := m.Status()
			for _, s := range now {
				if s.Trouble != "" || s.Owner == "" {
					return false
				}
			}
			return now[0].IsHere != now[1].IsHere
		})
	}
	if places := a.Places(context.Background()); places[0].Bytes == 0 || places[0].Buckets != 512 || places[1].Engine != EngineSQLite {
		t.Errorf("got %+v", places)
	}
}
