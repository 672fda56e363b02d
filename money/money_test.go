package money

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParseReadsDecimalsExactly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		currency   Currency
		want       int64
		err        error
	}{
		{"whole", "25", USD, 2500, nil},
		{"one digit", "25.5", USD, 2550, nil},
		{"two digits", "25.05", USD, 2505, nil},
		{"zero", "0", USD, 0, nil},
		{"below one", "0.07", CAD, 7, nil},
		{"negative", "-3.50", USD, -350, nil},
		{"no minor unit", "150", JPY, 150, nil},
		{"largest", "92233720368547758.07", USD, math.MaxInt64, nil},
		{"one more than largest", "92233720368547758.08", USD, 0, ErrOverflow},
		{"third digit", "1.005", USD, 0, ErrSyntax},
		{"digits where there is no minor unit", "1.5", JPY, 0, ErrSyntax},
		{"empty", "", USD, 0, ErrSyntax},
		{"only a sign", "-", USD, 0, ErrSyntax},
		{"only a point", ".", USD, 0, ErrSyntax},
		{"no whole part", ".5", USD, 0, ErrSyntax},
		{"point at the end", "5.", USD, 0, ErrSyntax},
		{"plus", "+5", USD, 0, ErrSyntax},
		{"exponent", "1e3", USD, 0, ErrSyntax},
		{"separator", "1,000.00", USD, 0, ErrSyntax},
		{"space", " 5", USD, 0, ErrSyntax},
		{"leading zero", "05", USD, 0, ErrSyntax},
		{"other digits", "٥", USD, 0, ErrSyntax},
		{"two signs", "--5", USD, 0, ErrSyntax},
		{"unknown currency", "5", "XXY", 0, ErrCurrency},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.text, tt.currency)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Parse(%q, %s): got error %v, want %v", tt.text, tt.currency, err, tt.err)
			}
			if got.Minor() != tt.want {
				t.Errorf("Parse(%q, %s) = %d, want %d", tt.text, tt.currency, got.Minor(), tt.want)
			}
		})
	}
}

func TestAmountAndParseAreInverse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Int64Min(math.MinInt64+1).Draw(t, "minor"), rapid.SampledFrom([]Currency{USD, CAD, JPY}).Draw(t, "currency"))
		got, err := Parse(m.Amount(), m.Currency())
		if err != nil || got != m {
			t.Fatalf("Parse(%q) = %v, %v; want %v", m.Amount(), got, err, m)
		}
	})
}

func TestAddRefusesWhatWouldWrap(t *testing.T) {
	t.Parallel()
	if _, err := New(math.MaxInt64, USD).Add(New(1, USD)); !errors.Is(err, ErrOverflow) {
		t.Errorf("MaxInt64 + 1: got %v, want ErrOverflow", err)
	}
	if _, err := New(math.MinInt64, USD).Add(New(-1, USD)); !errors.Is(err, ErrOverflow) {
		t.Errorf("MinInt64 - 1: got %v, want ErrOverflow", err)
	}
	if _, err := New(1, USD).Add(New(1, CAD)); !errors.Is(err, ErrCurrencyMismatch) {
		t.Errorf("USD + CAD: got %v, want ErrCurrencyMismatch", err)
	}
	got, err := New(-5, USD).Add(New(0, USD))
	if err != nil || got.Minor() != -5 {
		t.Errorf("-5 + 0 = %v, %v; want -5", got, err)
	}
}

func TestMoneyIsWrittenWithItsCurrency(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(New(2500, USD))
	if want := `{"amount":"25.00","currency":"USD"}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
	var m Money
	if err := json.Unmarshal([]byte(`{"amount":"25.001","currency":"USD"}`), &m); !errors.Is(err, ErrSyntax) {
		t.Errorf("three digits: got %v, want ErrSyntax", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0", "1.50", "-92233720368547758.08", "1e9", "٥", "00.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text, USD)
		if err != nil {
			return
		}
		again, err := Parse(m.Amount(), USD)
		if err != nil || again != m {
			t.Errorf("%q -> %v -> %q -> %v, %v", text, m, m.Amount(), again, err)
		}
	})
}
