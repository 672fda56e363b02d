package stream

import (
	"encoding/json"
	"reflect"
	"testing"
)

const (
	settledPayload = `{"bet_id":"bet_01jb2m7k3v9q8w5x4y6z7a0b1c","player_id":"plr_01jb2m7k3v9q8w5x4y6z7a0b1c","jurisdiction":"US-NJ","version":1,"outcome":"won","payout_minor":4772,"currency":"USD","leg_outcomes":["won",""]}`
	placedPayload  = `{"bet_id":"bet_1","player_id":"plr_1","jurisdiction":"US-NJ","product":"sportsbook","currency":"USD","stake_minor":2500,"potential_payout_minor":4772,"legs":[{"event_id":"e","line":null}]}`
)

// oddPayloads are what the short way must leave to the library or read like it.
var oddPayloads = []string{
	``, `{`, `{}`, `[]`, `null`, settledPayload + `x`, ` ` + settledPayload + ` `,
	`{"bet_id":null}`, `{"BET_ID":"x"}`, `{"bet_id":"\u00e9\ud800"}`, "{\"bet_id\":\"\xff\"}", `{"version":1.0}`, `{"version":1e2}`, `{"version":01}`,
	`{"version": - 1}`, `{"version":-1}`, `{"version":-0}`, `{"version":-}`, `{"version":9223372036854775807}`, `{"version":9223372036854775808}`,
	`{"later":[1,{"a":"}"}],"version":2}`, `{"outcome":"lucky"}`, `{"leg_outcomes":null}`, `{"leg_outcomes":[]}`, `{"leg_outcomes":["a",]}`,
	`{"version":1,"version":2}`, `{"legs":[}`, `{"legs":{"a":}}`, `{"legs":null}`, `{"stake_minor":12 ,"legs" : [ 1 ] }`, `{"bet_id":"a" "player_id":"b"}`,
}

// checkSettled compares ParseBetSettled with the library.
func checkSettled(t *testing.T, data []byte) {
	t.Helper()
	var want BetSettled
	wantErr := json.Unmarshal(data, &want)
	got, err := ParseBetSettled(data)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("ParseBetSettled(%q): %v, the library says %v", data, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("ParseBetSettled(%q) = %+v, the library says %+v", data, got, want)
	}
	if minor, err := ParsePayout(data); wantErr == nil && (err != nil || minor != want.PayoutMinor) {
		t.Fatalf("ParsePayout(%q) = %d, %v, the library says %d", data, minor, err, want.PayoutMinor)
	}
}

// checkPlaced compares ParseBetPlaced with the library.
func checkPlaced(t *testing.T, data []byte) {
	t.Helper()
	var want struct {
		BetPlaced
		Legs json.RawMessage `json:"legs"`
	}
	wantErr := json.Unmarshal(data, &want)
	got, legs, err := ParseBetPlaced(data)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("ParseBetPlaced(%q): %v, the library says %v", data, err, wantErr)
	}
	if err == nil && (!reflect.DeepEqual(got, want.BetPlaced) || string(legs) != string(want.Legs)) {
		t.Fatalf("ParseBetPlaced(%q) = %+v %s, the library says %+v %s", data, got, legs, want.BetPlaced, want.Legs)
	}
}

func TestPayloadsAreReadAsTheLibraryReadsThem(t *testing.T) {
	t.Parallel()
	for _, data := range append(oddPayloads, settledPayload, placedPayload) {
		checkSettled(t, []byte(data))
		checkPlaced(t, []byte(data))
	}
	p, err := ParseBetSettled([]byte(settledPayload))
	if err != nil || p.PayoutMinor != 4772 || p.Version != 1 || len(p.LegOutcomes) != 2 {
		t.Errorf("payload = %+v, %v", p, err)
	}
}

func FuzzParsePayloads(f *testing.F) {
	for _, seed := range append(oddPayloads, settledPayload, placedPayload) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkSettled(t, data)
		checkPlaced(t, data)
	})
}

// BenchmarkParseBetSettled compares the short way with the library's.
func BenchmarkParseBetSettled(b *testing.B) {
	b.Run("short", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseBetSettled([]byte(settledPayload)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		for b.Loop() {
			var p BetSettled
			if err := json.Unmarshal([]byte(settledPayload), &p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
