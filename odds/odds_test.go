package odds

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePrice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want, decimal string
		err                       error
	}{
		{"favourite", "-110", "-110", "1.909", nil},
		{"underdog", "+154", "+154", "2.540", nil},
		{"without sign", "154", "+154", "2.540", nil},
		{"even money", "+100", "+100", "2.000", nil},
		{"minus 100 is even money", "-100", "+100", "2.000", nil},
		{"long shot", "+100000", "+100000", "1001.000", nil},
		{"between", "-99", "", "", ErrPrice},
		{"zero", "0", "", "", ErrPrice},
		{"decimal odds", "1.91", "", "", ErrPrice},
		{"empty", "", "", "", ErrPrice},
		{"too long", "+100000001", "", "", ErrPrice},
		{"two to the 63", "9223372036854775808", "", "", ErrPrice},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePrice(tt.text)
			if !errors.Is(err, tt.err) || got.String() != tt.want || got.Decimal() != tt.decimal {
				t.Errorf("ParsePrice(%q) = %q (%s), %v; want %q (%s), %v", tt.text, got, got.Decimal(), err, tt.want, tt.decimal, tt.err)
			}
		})
	}
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, want string
		err        error
	}{
		{"-3.5", "-3.5", nil}, {"+3.5", "3.5", nil}, {"46", "46", nil}, {"0", "0", nil}, {"-0", "0", nil},
		{"46.25", "46.25", nil}, {"-7.0", "-7", nil}, {"0.5", "0.5", nil}, {"-0.5", "-0.5", nil}, {"9999", "9999", nil},
		{"", "", ErrLine}, {".5", "", ErrLine}, {"5.", "", ErrLine}, {"1/2", "", ErrLine}, {"1e2", "", ErrLine},
		{"3.125", "", ErrLine}, {"10000", "", ErrLine}, {"0x10", "", ErrLine}, {"--1", "", ErrLine}, {"1_0", "", ErrLine},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			got, err := ParseLine(tt.text)
			if !errors.Is(err, tt.err) || (err == nil && got.String() != tt.want) {
				t.Errorf("ParseLine(%q) = %s, %v; want %s, %v", tt.text, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestPayoutRoundsDownOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		stake  int64
		prices []string
		want   int64
	}{
		{"single at -110", 1000, []string{"-110"}, 1909},
		{"a stake that divides", 1100, []string{"-110"}, 2100},
		{"two legs, not rounded in between", 101, []string{"-118", "-110"}, 356},
		{"one cent on a heavy favourite", 1, []string{"-10000"}, 1},
		{"no legs left", 1000, nil, 1000},
		{"even money", 7, []string{"-100"}, 14},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Payout(tt.stake, parse(t, tt.prices))
			if err != nil || got != tt.want {
				t.Errorf("Payout(%d, %v) = %d, %v; want %d", tt.stake, tt.prices, got, err, tt.want)
			}
		})
	}
	if _, err := Payout(math.MaxInt64, parse(t, []string{"+100"})); !errors.Is(err, ErrRange) {
		t.Errorf("overflow: got %v, want ErrRange", err)
	}
	if _, err := Payout(-1, nil); !errors.Is(err, ErrRange) {
		t.Errorf("negative stake: got %v, want ErrRange", err)
	}
	if _, err := Payout(1, []Price{{}}); !errors.Is(err, ErrPrice) {
		t.Errorf("empty price: got %v, want ErrPrice", err)
	}
}

func TestPayoutIsTheFloorOfTheExactProduct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		stake := rapid.Int64Range(0, 1_000_000_00).Draw(t, "stake")
		var prices []Price
		exact := new(big.Rat).SetInt64(stake)
		for _, n := range rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(100, 5000), rapid.Int64Range(-5000, -100)), 0, 6).Draw(t, "prices") {
			p, err := American(n)
			if err != nil {
				t.Fatal(err)
			}
			prices = append(prices, p)
			num, den := p.Fraction()
			exact.Mul(exact, big.NewRat(num, den))
		}
		got, err := Payout(stake, prices)
		floor := new(big.Int).Quo(exact.Num(), exact.Denom())
		if errors.Is(err, ErrRange) && !floor.IsInt64() {
			return
		}
		if err != nil || floor.Cmp(big.NewInt(got)) != 0 {
			t.Fatalf("Payout(%d, %v) = %d, %v; want %s", stake, prices, got, err, floor)
		}
	})
}

func TestBetterComparesWhatIsPaid(t *testing.T) {
	t.Parallel()
	ascending := parse(t, []string{"-10000", "-200", "-110", "-101", "+100", "+101", "+154", "+100000"})
	for i, p := range ascending {
		for j, q := range ascending {
			if got, want := p.Better(q), i > j; got != want {
				t.Errorf("%s better than %s: got %v, want %v", p, q, got, want)
			}
		}
	}
}

func FuzzParsePrice(f *testing.F) {
	for _, seed := range []string{"-110", "+154", "100", "-100", "99", "1e3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePrice(text)
		if err != nil {
			return
		}
		if again, err := ParsePrice(p.String()); err != nil || again != p {
			t.Errorf("%q -> %v -> %v, %v", text, p, again, err)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	for _, seed := range []string{"-3.5", "46.5", "0", "1/3", "-0.25"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLine(text)
		if err != nil {
			return
		}
		if again, err := ParseLine(l.String()); err != nil || again != l {
			t.Errorf("%q -> %v -> %v, %v", text, l, again, err)
		}
	})
}

func parse(t *testing.T, texts []string) []Price {
	t.Helper()
	var prices []Price
	for _, text := range texts {
		p, err := ParsePrice(text)
		if err != nil {
			t.Fatal(err)
		}
		prices = append(prices, p)
	}
	return prices
}
