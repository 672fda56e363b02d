package ledger

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// invalidTests change a good deposit of 100 for p1.
var invalidTests = []struct {
	name   string
	change func(*Transfer)
	field  string
}{
	{"no key", func(t *Transfer) { t.Key = "" }, "key"},
	{"a long key", func(t *Transfer) { t.Key = strings.Repeat("k", 201) }, "key"},
	{"a key that is not ASCII", func(t *Transfer) { t.Key = "clé" }, "key"},
	{"a key of the ledger's own", func(t *Transfer) { t.Key = "expire:x" }, "key"},
	{"no kind", func(t *Transfer) { t.Kind = 0 }, "kind"},
	{"an unknown kind", func(t *Transfer) { t.Kind = 200 }, "kind"},
	{"no player", func(t *Transfer) { t.Player = "" }, "player"},
	{"no jurisdiction", func(t *Transfer) { t.Jurisdiction = "" }, "jurisdiction"},
	{"an unknown currency", func(t *Transfer) { t.Currency = "ZZZ" }, "currency"},
	{"one posting", func(t *Transfer) { t.Postings = t.Postings[:1] }, "postings"},
	{"nine postings", func(t *Transfer) { t.Postings = make([]Posting, 9) }, "postings"},
	{"postings that do not balance", func(t *Transfer) { t.Postings[0].AmountMinor = -99 }, "postings"},
	{"an amount of zero", func(t *Transfer) { t.Postings[0].AmountMinor, t.Postings[1].AmountMinor = 0, 0 }, "postings[0].amount_minor"},
	{"a huge amount", func(t *Transfer) {
		t.Postings[0].AmountMinor, t.Postings[1].AmountMinor = -math.MaxInt64, math.MaxInt64
	}, "postings[0].amount_minor"},
	{"the least amount", func(t *Transfer) { t.Postings[0].AmountMinor = math.MinInt64 }, "postings[0].amount_minor"},
	{"a malformed address", func(t *Transfer) { t.Postings[0].Account = "psp/US-NJ" }, "postings[0].account"},
	{"an account twice", func(t *Transfer) { t.Postings[0] = Posting{PlayerCash("p1", nj), -100} }, "postings[1].account"},
	{"another player's account", func(t *Transfer) { t.Postings[1].Account = PlayerCash("p2", nj) }, "postings[1].account"},
	{"another jurisdiction's account", func(t *Transfer) { t.Postings[0].Account = PSP("sandbox", "US-PA") }, "postings[0].account"},
	{"a kind that may not debit", func(t *Transfer) { t.Kind = KindStake }, "postings[0].account"},
	{"a kind that may not credit", func(t *Transfer) { t.Postings[1].Account = PlayerWithdrawing("p1", nj) }, "postings[1].account"},
	{"hold terms without a hold", func(t *Transfer) { t.Hold = &HoldTerms{ExpiresAt: start} }, "hold"},
	{"a hold without terms", func(t *Transfer) { t.Kind = KindHold }, "hold"},
	{"a hold key without a post", func(t *Transfer) { t.HoldKey = "h" }, "hold_key"},
	{"a post with postings", func(t *Transfer) { t.Kind, t.HoldKey = KindPost, "h" }, "postings"},
	{"a post without hold key", func(t *Transfer) { t.Kind, t.Postings = KindPost, nil }, "hold_key"},
	{"a release with an amount", func(t *Transfer) {
		t.Kind, t.Postings, t.HoldKey, t.AmountMinor = KindRelease, nil, "h", 1
	}, "amount_minor"},
	{"a record without type", func(t *Transfer) { t.Record = &stream.Draft{Data: json.RawMessage(`{}`)} }, "record.type"},
	{"a record that is no object", func(t *Transfer) { t.Record = &stream.Draft{Type: "a", Data: json.RawMessage(`[]`)} }, "record.data"},
	{"a record with a name twice", func(t *Transfer) { t.Record = &stream.Draft{Type: "a", Data: json.RawMessage(`{"a":1,"a":2}`)} }, "record.data"},
	{"a record that is not UTF-8", func(t *Transfer) { t.Record = &stream.Draft{Type: "a", Data: json.RawMessage("{\"a\":\"\xff\"}")} }, "record.data"},
	{"a record type that is not UTF-8", func(t *Transfer) { t.Record = &stream.Draft{Type: "\xff", Data: json.RawMessage(`{}`)} }, "record.type"},
	{"a record that is not JSON", func(t *Transfer) { t.Record = &stream.Draft{Type: "a", Data: json.RawMessage(`{`)} }, "record.data"},
	{"a huge record", func(t *Transfer) {
		t.Record = &stream.Draft{Type: "a", Data: json.RawMessage(`{"a":"` + strings.Repeat("x", stream.MaxRecordBytes) + `"}`)}
	}, "record.data"},
	{"a long request digest", func(t *Transfer) { t.Request = make([]byte, 65) }, "request"},
}

func TestInvalidTransfersNameTheField(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, tt := range invalidTests {
		t.Run(tt.name, func(t *testing.T) {
			transfer := deposit("d", "p1", 100)
			tt.change(&transfer)
			_, err := w.Commit(context.Background(), LaneInteractive, transfer)
			var e *errs.Error
			if e, _ = err.(*errs.Error); e == nil || e.Code != errs.CodeInvalid {
				t.Fatalf("got %v, want invalid", err)
			}
			for _, f := range e.Fields {
				if f.Location == tt.field {
					return
				}
			}
			t.Errorf("got fields %v, want %s", e.Fields, tt.field)
		})
	}
	for shard := range w.Shards() {
		if w.Head(shard) != 0 {
			t.Error("an invalid transfer reached the log")
		}
	}
}

func TestConflictsNameTheFirstDifference(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		first  func() Transfer
		change func(*Transfer)
		want   string
	}{
		{"kind", plain, func(t *Transfer) { *t = deposit("k", "p1", 10) }, "kind differs"},
		{"jurisdiction", plain, func(t *Transfer) {
			t.Jurisdiction = "US-PA"
			t.Postings = []Posting{{PlayerCash("p1", "US-PA"), -10}, {Bets("US-PA", "sportsbook"), 10}}
		}, "jurisdiction differs"},
		{"account", plain, func(t *Transfer) { t.Postings[1].Account = Bets(nj, "casino") }, "postings[1].account differs"},
		{"amount", plain, func(t *Transfer) { t.Postings[0].AmountMinor, t.Postings[1].AmountMinor = -11, 11 }, "postings[0].amount_minor differs"},
		{"record subject", plain, func(t *Transfer) { t.Record.Subject = "other" }, "record.subject differs"},
		{"record data", plain, func(t *Transfer) { t.Record.Data = json.RawMessage(`{}`) }, "record.data differs"},
		{"record type", plain, func(t *Transfer) { t.Record.Type = "other" }, "record.type differs"},
		{"no record", plain, func(t *Transfer) { t.Record = nil }, "record differs"},
		{"request", digested, func(t *Transfer) { t.Request = []byte("b") }, "request differs"},
		{"request left out", digested, func(t *Transfer) { t.Request = nil }, "request differs"},
		{"hold amount", held, func(t *Transfer) { t.Postings[0].AmountMinor, t.Postings[1].AmountMinor = -11, 11 }, "postings[0].amount_minor differs"},
		{"hold expiry", held, func(t *Transfer) { t.Hold = &HoldTerms{ExpiresAt: start.Add(2 * time.Hour)} }, "hold.expires_at differs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.must(deposit("d", "p1", 1000))
			w.must(tt.first())
			second := tt.first()
			tt.change(&second)
			_, stored := w.Commit(context.Background(), LaneInteractive, second)
			inBatch, third := tt.first(), second
			inBatch.Key, third.Key = "k2", "k2"
			if inBatch.Record != nil && third.Record != nil && third.Record.Subject == "k" {
				third.Record.Subject = inBatch.Record.Subject
			}
			results, err := w.CommitBatch(context.Background(), LaneInteractive, []Transfer{inBatch, third})
			if err != nil || results[0].Err != nil {
				t.Fatalf("got %v, %v", results, err)
			}
			for _, got := range []error{stored, results[1].Err} {
				if !errs.Is(got, errs.CodeConflict) || !strings.Contains(got.Error(), tt.want) {
					t.Errorf("got %v, want conflict: %s", got, tt.want)
				}
			}
		})
	}
}

func plain() Transfer { return stake("k", "p1", 10) }

func digested() Transfer {
	t := stake("k", "p1", 10)
	t.Request = []byte("a")
	return t
}

func held() Transfer { return hold("k", "p1", 10, start.Add(time.Hour)) }

func TestRequestDecidesInsteadOfGeneratedIDs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.must(deposit("d", "p1", 1000))
	first := digested()
	w.must(first)
	second := digested()
	second.Record = &stream.Draft{Type: stream.TypeBetPlaced, Subject: "bet-2", Data: json.RawMessage(`{"bet_id":"bet-2"}`)}
	got := w.must(second)
	if !got.Replayed || string(got.Data) != string(first.Record.Data) {
		t.Errorf("got %+v with data %s, want the first answer", got, got.Data)
	}
}

func TestAnAccountKeepsItsCurrency(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.must(deposit("d", "p1", 1000))
	other := deposit("d2", "p1", 1000)
	other.Currency = money.CAD
	w.wantCode(other, errs.CodeInvalid)
}

func TestBalancesCannotOverflow(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	w.must(deposit("d", "p1", 1000))
	a := &account{posted: math.MaxInt64 - 5, parts: addressParts{kind: typeCash}}
	if got := bounds(a, 6, &kinds[KindDeposit]); got == nil || got.Code != errs.CodeLimitReached {
		t.Errorf("got %v, want limit_reached", got)
	}
	if got := bounds(a, 5, &kinds[KindDeposit]); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestKindsTableIsComplete(t *testing.T) {
	t.Parallel()
	for k := KindDeposit; k <= KindOwedRecovery; k++ {
		got, err := ParseKind(k.String())
		if err != nil || got != k {
			t.Errorf("ParseKind(%q) = %d, %v, want %d", k.String(), got, err, k)
		}
		if row := kinds[k]; row.resolves == (row.debits != 0) {
			t.Errorf("kind %s must either move money or end a hold", k)
		}
	}
	if _, err := ParseKind("unknown"); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestConstructedAddressesParse(t *testing.T) {
	t.Parallel()
	for _, a := range []Address{
		PlayerCash("p1", nj), PlayerWithdrawing("p1", nj), PlayerOwed("p1", nj), Bets(nj, "sportsbook"),
		Revenue(nj, "sportsbook"), PSP("sandbox", nj), Adjustments(nj), elsewhere(typeCash, nj, money.USD), Transit(nj),
	} {
		if got, err := ParseAddress(string(a)); err != nil || got != a || a.Jurisdiction() != nj {
			t.Errorf("ParseAddress(%q) = %q, %v", a, got, err)
		}
		parts, _ := parseAddress(string(a))
		if parts.kind.ofPlayer() != (a.Player() != "") {
			t.Errorf("%s: the type %s is a player's: %t", a, parts.kind, parts.kind.ofPlayer())
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"player/p1/US-NJ/cash", "bets/US-NJ/sportsbook", "psp/x/GB", "adjustments/US-NJ", "player//US-NJ/cash", "bets/US-NJ/", "adjustments/US-NJ/x", "player/p/US-NJ/cash/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		parts, _ := parseAddress(text)
		var again Address
		switch parts.kind {
		case typeCash:
			again = PlayerCash(parts.player, parts.jurisdiction)
		case typeWithdrawing:
			again = PlayerWithdrawing(parts.player, parts.jurisdiction)
		case typeOwed:
			again = PlayerOwed(parts.player, parts.jurisdiction)
		case typeAdjustments:
			again = Adjustments(parts.jurisdiction)
		default:
			return
		}
		if again != a {
			t.Errorf("%q parses to the parts of %q", a, again)
		}
	})
}

func FuzzParseKind(f *testing.F) {
	f.Add("deposit")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKind(text); err == nil && k.String() != text {
			t.Errorf("%q parses to %s", text, k)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add(appendLines(nil, []line{{1, -100, 0, 0}, {1 << 40, 100, math.MaxInt64, 7}}))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		lines, err := decodeLines(nil, encoded)
		if err != nil {
			return
		}
		again, err := decodeLines(nil, appendLines(nil, lines))
		if err != nil || len(again) != len(lines) {
			t.Fatalf("%x decodes to %v, which decodes to %v (%v)", encoded, lines, again, err)
		}
		for i := range lines {
			if lines[i] != again[i] {
				t.Errorf("line %d: got %v, want %v", i, again[i], lines[i])
			}
		}
	})
}

// FuzzSealText checks that neighbouring texts cannot run together under a seal.
func FuzzSealText(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		x, y := appendText(appendText(nil, a), b), appendText(appendText(nil, c), d)
		if (string(x) == string(y)) != (a == c && b == d) {
			t.Errorf("%q+%q and %q+%q are %x and %x", a, b, c, d, x, y)
		}
	})
}

func TestPlacementSpreadsPlayers(t *testing.T) {
	t.Parallel()
	p := newPlacement(4)
	var count [4]int
	for i := range 10_000 {
		count[p.shardOf(id.Player("plr_"+strings.Repeat("0", i%7)+string(rune('a'+i%26))+strings.Repeat("z", i/26)))]++
	}
	for shard, n := range count {
		if n < 2000 || n > 3000 {
			t.Errorf("shard %d has %d of 10,000 players, want about 2,500", shard, n)
		}
	}
	if got := bucketOf("plr_01jb2m7k3v9q8w5x4y6z7a0b1c"); got != bucketOf("plr_01jb2m7k3v9q8w5x4y6z7a0b1c") || got >= buckets {
		t.Errorf("bucket %d", got)
	}
}
