package history

import (
	"testing"
	"time"
)

// TestWhoIsFarBehindSaysForHowLong looks at a shard each second, as a process does.
func TestWhoIsFarBehindSaysForHowLong(t *testing.T) {
	t.Parallel()
	const behind = time.Hour
	now := time.UnixMicro(1_600_000_000_000_000)
	var c catchUp
	at, head := int64(0), int64(100_000)
	look := func(seconds int, shown, added int64, lag time.Duration) CatchUp {
		for range seconds {
			now, at, head = now.Add(time.Second), at+shown, head+added
			c.look(now, at, head, lag)
		}
		return c.outlook(now)
	}
	want := func(what string, got, want CatchUp) {
		t.Helper()
		if difference := got.Left - want.Left; got.Remaining != want.Remaining || got.Rate != want.Rate || got.Added != want.Added ||
			difference.Abs() > want.Left/50 {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	want("never looked at", c.outlook(now), CatchUp{})
	want("nearly level", look(1, 1000, 0, farBehind-1), CatchUp{})
	want("just begun", look(1, 1000, 0, behind), CatchUp{Remaining: 98_000})
	want("nothing is added", look(18, 1000, 0, behind), CatchUp{Remaining: 80_000, Rate: 1000, Left: 80 * time.Second})
	head, c = head+20_000, catchUp{}
	look(1, 1000, 500, behind)
	want("half of it is added again", look(20, 1000, 500, behind), CatchUp{Remaining: 89_500, Rate: 1000, Added: 500, Left: 179 * time.Second})
	want("it stands still", look(100, 0, 0, behind), CatchUp{Remaining: 89_500, Rate: 1000, Added: 83, Left: 97 * time.Second})
	want("and for long", look(30, 0, 0, behind), CatchUp{Remaining: 89_500})
	c = catchUp{}
	look(1, 100, 100, behind)
	want("as much is added", look(60, 100, 100, behind), CatchUp{Remaining: 89_500, Rate: 100, Added: 100})
	at -= 50_000
	want("what was applied is lost", look(1, 0, 0, behind), CatchUp{Remaining: 139_500})
	want("it keeps up", look(1, 139_500, 0, 0), CatchUp{})
}

func TestARateOfFillingIsBounded(t *testing.T) {
	t.Parallel()
	for rate, ok := range map[int]bool{-1: false, 0: true, 1: true, maxRate: true, maxRate + 1: false} {
		if err := (Config{Dir: "history", FillRate: rate}).Validate(); (err == nil) != ok {
			t.Errorf("%d: %v", rate, err)
		}
	}
}
