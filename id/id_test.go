package id

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestIdsIncreaseEvenWhenTheClockStepsBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := NewSource(func() time.Time { return now })
	last := ""
	for i := range 1000 {
		if i == 500 {
			now = now.Add(-time.Hour)
		}
		next := s.New(KindBet)
		if next <= last {
			t.Fatalf("id %d: %s after %s", i, next, last)
		}
		if err := Check(KindBet, next); err != nil {
			t.Fatal(err)
		}
		last = next
	}
}

func TestIdsAreUniqueAcrossGoroutinesAndSources(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.UnixMilli(1_800_000_000_000) }
	shared, own := NewSource(now), NewSource(now)
	var mu sync.Mutex
	seen := map[string]bool{}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 500 {
				a, b := shared.New(KindBet), own.New(KindBet)
				mu.Lock()
				if seen[a] || seen[b] {
					t.Errorf("%s or %s came twice", a, b)
				}
				seen[a], seen[b] = true, true
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

func TestCheckRefusesWhatIsNoId(t *testing.T) {
	t.Parallel()
	good := NewSource(time.Now).New(KindPlayer)
	for _, text := range []string{"", "plr", good[:len(good)-1], good + "0", "bet" + good[3:], "plr-" + good[4:], good[:10] + "U" + good[11:], good[:10] + "\xff" + good[11:]} {
		if err := Check(KindPlayer, text); err == nil {
			t.Errorf("Check(%q) accepted it", text)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("bet_01jb2m7k3v9q8w5x4y6z7a0b1c")
	f.Add("bet_")
	f.Fuzz(func(t *testing.T, text string) {
		if Check(KindBet, text) == nil && len(text) != 30 {
			t.Errorf("accepted %q", text)
		}
	})
}

// TestAfter: an id of another source is a floor; what is no id is none.
func TestAfter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ahead, behind := NewSource(func() time.Time { return at.AddDate(0, 0, 1) }), NewSource(func() time.Time { return at })
	for _, text := range []string{"", "mov", "mov_", "mov_short", "mov_" + strings.Repeat("u", 26)} {
		behind.After(text)
	}
	before, floor := behind.New("mov"), ahead.New("mov")
	if before >= floor {
		t.Errorf("%s is not before %s: something that is no id was a floor", before, floor)
	}
	behind.After(floor)
	behind.After(before) // one that is older changes nothing
	if next := behind.New("mov"); next <= floor {
		t.Errorf("%s does not come after %s", next, floor)
	}
}

func TestIdsSortByTheMonthTheyWereMadeIn(t *testing.T) {
	t.Parallel()
	border := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	least := Least(KindBet, border)
	if err := Check(KindBet, least); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		at   time.Time
		old  bool
	}{
		{"long before", border.AddDate(-5, 0, 0), true},
		{"a millisecond before", border.Add(-time.Millisecond), true},
		{"at the border", border, false},
		{"after it", border.Add(time.Millisecond), false},
	}
	for _, tt := range tests {
		made := NewSource(func() time.Time { return tt.at }).New(KindBet)
		if old := made < least; old != tt.old {
			t.Errorf("%s: %s < %s is %v", tt.name, made, least, old)
		}
		if at, ok := MadeAt(made); !ok || !at.Equal(tt.at) {
			t.Errorf("%s: MadeAt(%s) = %s, %v, want %s", tt.name, made, at, ok, tt.at)
		}
	}
	if _, ok := MadeAt("bet_1"); ok {
		t.Error("MadeAt reads what is no id")
	}
}
