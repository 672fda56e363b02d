package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// curves are what a bet may cost along a copy, by how much of it is done.
var curves = map[string]func(x float64) float64{
	"always the same":     func(float64) float64 { return 1 },
	"rises to twice":      func(x float64) float64 { return 1 + x },
	"rises to three":      func(x float64) float64 { return 1 + 2*x },
	"as a logarithm":      func(x float64) float64 { return 1 + 2*math.Log(1+100*x)/math.Log(101) },
	"as a slow logarithm": func(x float64) float64 { return 1 + math.Log(1+20*x)/math.Log(21) },
	"as a root":           func(x float64) float64 { return 1 + 2*math.Sqrt(x) },
	"caches fill early":   func(x float64) float64 { return 1 + 1.5*(1-math.Exp(-20*x)) },
	"caches fill late":    func(x float64) float64 { return 1 + 2*(1-math.Exp(-3*x)) },
	"falls to half":       func(x float64) float64 { return 2 - x },
	"up and down":         func(x float64) float64 { return 1 + math.Mod(9*x, 1)/2 },
	"steps up at a tenth": func(x float64) float64 { return 1 + math.Floor(min(x+0.9, 1)) },
}

// one is what a bet costs where all are of one kind, and of is so many of them.
var one = kinds{kindPlaced: 1}

func of(bets int64) kinds { return kinds{kindPlaced: bets} }

// said are the ratios of the estimate to the time that it took, at parts of the way, along a curve with noise.
func said(cost func(x float64) float64, chunks int, noise float64, at []float64, seed uint64) []float64 {
	const chunk = 4096
	random := rand.New(rand.NewPCG(seed, 5))
	took := make([]time.Duration, chunks)
	for i := range took {
		took[i] = time.Duration(2e8 * cost((float64(i)+0.5)/float64(chunks)) * (1 + noise*(2*random.Float64()-1)))
	}
	now := time.UnixMicro(1_600_000_000_000_000)
	c := newCourse(now, one)
	var out []float64
	for i, d := range took {
		now = now.Add(d)
		c.add(now, of(chunk))
		if len(out) < len(at) && i+1 == int(at[len(out)]*float64(chunks)) {
			var rest time.Duration
			for _, d := range took[i+1:] {
				rest += d
			}
			out = append(out, float64(c.left(int64(chunks-i-1)*chunk, 0))/float64(rest))
		}
	}
	return out
}

var quarters = []float64{0.25, 0.5, 0.75}

func TestAnEstimateFollowsTheCourseOfACopy(t *testing.T) {
	t.Parallel()
	for name, curve := range curves {
		for _, chunks := range []int{40, 100, 610, 5_000} {
			at := quarters
			if chunks < 200 || name == "steps up at a tenth" { // a line is not believed yet, or takes the step for its slope
				at = quarters[1:]
			}
			for i, ratio := range said(curve, chunks, 0, at, 1) {
				if ratio < 0.8 || ratio > 1.2 {
					t.Errorf("%s, %d chunks: at %.2f of the way %.2f of what it then took", name, chunks, at[i], ratio)
				}
			}
		}
	}
}

// TestAnEstimateBearsNoise: each chunk takes up to 30 % more or less than the curve says, and the estimate is right within a
// fifth nevertheless, most times. At a quarter of 610 chunks a slope is hard to tell from noise.
func TestAnEstimateBearsNoise(t *testing.T) {
	t.Parallel()
	const runs = 40
	for name, curve := range curves {
		for chunks, most := range map[int][3]int{610: {28, 12, 2}, 2_440: {14, 6, 1}} {
			var wrong [3]int
			for seed := range uint64(runs) {
				for i, ratio := range said(curve, chunks, 0.3, quarters, seed) {
					if ratio < 0.8 || ratio > 1.2 {
						wrong[i]++
					}
				}
			}
			t.Logf("%s, %d chunks: %v wrong of %d", name, chunks, wrong, runs)
			if wrong[0] > most[0] && name != "steps up at a tenth" || wrong[1] > most[1] || wrong[2] > most[2] {
				t.Errorf("%s, %d chunks: %v of %d estimates are wrong, want at most %v", name, chunks, wrong, runs, most)
			}
		}
	}
}

// TestAnEstimateIsNeverAbsurd: whatever happened to clocks and chunks, it is neither negative nor far above what a bet has
// ever cost.
func TestAnEstimateIsNeverAbsurd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.UnixMicro(1_600_000_000_000_000)
		c := newCourse(now, one)
		most := time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(rt, "chunks") {
			d := time.Duration(rapid.Int64Range(-1e9, 4e12).Draw(rt, "took"))
			bets := rapid.Int64Range(1, 50_000).Draw(rt, "bets")
			now = now.Add(d)
			c.add(now, of(bets))
			most = max(most, min(d, maxTook)/time.Duration(bets))
		}
		bets := rapid.OneOf(rapid.Int64Range(0, 1_000_000), rapid.Int64Range(0, 1e12)).Draw(rt, "left")
		later := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1e12)).Draw(rt, "later")
		left := c.left(bets, later)
		if left < 0 || left > maxLeft || bets == 0 && left != 0 {
			rt.Fatalf("%s left for %d bets", left, bets)
		}
		if c.rate() < 0 {
			rt.Fatalf("%d bets a second", c.rate())
		}
		if float64(left) > 9*float64(bets)*float64(most+1) { // twice the dearest, and four times that where very many are placed
			rt.Fatalf("%s left for %d bets, of which none took more than %s", left, bets, most)
		}
	})
}

// TestACourseOfManyChunksStaysShort: and adds up to what it was told.
func TestACourseOfManyChunksStaysShort(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_600_000_000_000_000)
	c := newCourse(now, one)
	for n := int64(1); n <= 10_000; n++ {
		now = now.Add(time.Second)
		c.add(now, of(7))
		if got := c.total(); got.did != of(7*n) || got.took != time.Duration(n)*time.Second || len(c.pieces) > maxPieces {
			t.Fatalf("after %d chunks: %+v in %d pieces", n, got, len(c.pieces))
		}
	}
	if got := fmt.Sprint(c.rate(), c.left(700, 0).Round(time.Second)); got != "7 1m40s" {
		t.Errorf("rate and time for 700 more: %s", got)
	}
}
