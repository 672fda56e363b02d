package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// journal notes what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) part(name string, needs ...string) Part {
	return Part{
		Name: name, Needs: needs,
		Open: func(context.Context) error { j.note("open " + name); return nil },
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			j.note("stop " + name)
			return ctx.Err()
		},
		Close: func() error { j.note("close " + name); return nil },
	}
}

func TestPartsStartInOrderOfNeedAndStopInReverse(t *testing.T) {
	t.Parallel()
	var j journal
	ctx, cancel := context.WithCancel(context.Background())
	parts := []Part{j.part("http", "bets", "ledger"), j.part("bets", "ledger"), j.part("ledger")}
	if err := Run(ctx, slog.New(slog.DiscardHandler), parts, cancel); err != nil {
		t.Fatal(err)
	}
	want := []string{"open ledger", "open bets", "open http", "stop http", "close http", "stop bets", "close bets", "stop ledger", "close ledger"}
	if !slices.Equal(j.lines, want) {
		t.Errorf("got %v, want %v", j.lines, want)
	}
}

func TestAFailingPartStopsTheOthers(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	tests := []struct {
		name string
		part Part
		want string
	}{
		{"that cannot open", Part{Name: "x", Needs: []string{"base"}, Open: func(context.Context) error { return broken }}, "open x: broken"},
		{"that fails while running", Part{Name: "x", Needs: []string{"base"}, Run: func(context.Context) error { return broken }}, "run x: broken"},
		{"that ends by itself", Part{Name: "x", Needs: []string{"base"}, Run: func(context.Context) error { return nil }}, "run x: ended without being asked to"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var j journal
			err := Run(context.Background(), slog.New(slog.DiscardHandler), []Part{j.part("base"), tt.part}, func() {})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if !slices.Contains(j.lines, "close base") {
				t.Errorf("base was not closed: %v", j.lines)
			}
		})
	}
}

func TestOrderRefusesWhatCannotStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		parts []Part
		want  string
	}{
		{"an unknown need", []Part{{Name: "a", Needs: []string{"b"}}}, "a needs b"},
		{"a cycle", []Part{{Name: "a", Needs: []string{"b"}}, {Name: "b", Needs: []string{"a"}}}, "a -> b -> a"},
		{"the same name twice", []Part{{Name: "a"}, {Name: "a"}}, "listed twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Order(tt.parts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
