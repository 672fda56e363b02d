package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"matchday/errs"
)

func TestDecodeRefusesWhatIsNotExactlyTheSchema(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, location string }{
		{"empty", ``, ""},
		{"white space only", " \n", ""},
		{"null", `null`, ""},
		{"a list", `[]`, ""},
		{"a number", `1`, ""},
		{"unknown field", `{"stake":{"amount":"1","currency":"USD"},"nonsense":1}`, "nonsense"},
		{"unknown field inside", `{"stake":{"amount":"1","currency":"USD","more":1}}`, "stake.more"},
		{"unknown field in a list", `{"legs":[{"selection_id":"x"},{"selektion":"y"}]}`, "legs[1].selektion"},
		{"name in another case", `{"Stake":{}}`, "Stake"},
		{"repeated field", `{"price_change":"none","price_change":"any"}`, "price_change"},
		{"repeated field by escape", `{"price_change":"none","price\u005fchange":"any"}`, "price_change"},
		{"repeated field inside", `{"stake":{"amount":"1","amount":"2"}}`, "stake.amount"},
		{"number for a string", `{"stake":{"amount":25,"currency":"USD"}}`, "stake.amount"},
		{"string for an object", `{"stake":"25 USD"}`, "stake"},
		{"object for a list", `{"legs":{}}`, "legs"},
		{"trailing value", `{} {}`, "body"},
		{"trailing letters", `{}x`, "body"},
		{"ends too early", `{"stake":{"amount":"1"`, "stake"},
		{"invalid UTF-8", "{\"price_change\":\"\xff\"}", "price_change"},
		{"lone surrogate", `{"price_change":"\ud800"}`, "price_change"},
		{"comment", `{/* */}`, "body"},
		{"trailing comma", `{"price_change":"none",}`, "body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var in BetRequest
			err := decode([]byte(tt.body), &in)
			if !errs.Is(err, errs.CodeInvalid) {
				t.Fatalf("decode(%s) = %v, want code invalid", tt.body, err)
			}
			p, _ := problemOf(err)
			if tt.location != "" && (len(p.Errors) != 1 || p.Errors[0].Location != tt.location) {
				t.Errorf("decode(%s) names %v, want %s", tt.body, p.Errors, tt.location)
			}
		})
	}
}

func TestDecodeBoundsWhatItRepeats(t *testing.T) {
	t.Parallel()
	var in BetRequest
	err := decode([]byte(`{"`+strings.Repeat("x", 100_000)+`":1}`), &in)
	p, _ := problemOf(err)
	if len(p.Errors) != 1 || len(p.Errors[0].Location) > 100 {
		t.Errorf("a name of 100,000 letters is repeated in %d", len(p.Errors[0].Location))
	}
}

// FuzzDecode: what is accepted is JSON that the standard library reads too, and reads the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"stake":{"amount":"25.00","currency":"USD"},"legs":[{"selection_id":"a","price":"-110","line":"-3.5"}],"price_change":"any"}`,
		`{"legs":[{"line":null}]}`, `{"a":1,"a":2}`, "\xff", `{"stake":{"amount":"1`, `{} `, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got BetRequest
		err := decode(body, &got)
		if err != nil {
			if !errs.Is(err, errs.CodeInvalid) {
				t.Fatalf("decode(%q) = %v, want code invalid", body, err)
			}
			return
		}
		var want BetRequest
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("decode accepts %q, encoding/json does not: %v", body, err)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if normal := bytes.ReplaceAll(a, []byte(`"legs":[]`), []byte(`"legs":null`)); !bytes.Equal(normal, bytes.ReplaceAll(b, []byte(`"legs":[]`), []byte(`"legs":null`))) {
			t.Fatalf("decode(%q) = %s, encoding/json says %s", body, a, b)
		}
	})
}
