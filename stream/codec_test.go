package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"matchday/id"
)

// drawBatches draws consecutive batches of one shard.
func drawBatches(t *rapid.T) []Batch {
	shard := rapid.IntRange(0, 3).Draw(t, "shard")
	seq := rapid.Int64Range(0, 1<<40).Draw(t, "after")
	texts := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z_0-9]{0,30}`))
	datas := rapid.SampledFrom([]string{`{}`, `{"a":[1,2,{"b":null}],"c":"]}\""}`, `[]`, `null`, `-1.5e3`, `"x\\"`, `{"big":"` + strings.Repeat("é,", 9000) + `"}`})
	var out []Batch
	for range rapid.IntRange(1, 12).Draw(t, "batches") {
		at := time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")).UTC()
		b := Batch{Shard: shard, First: seq + 1, At: at}
		for range rapid.IntRange(0, 8).Draw(t, "records") {
			seq += rapid.Int64Range(1, 3).Draw(t, "step")
			b.Records = append(b.Records, Record{Position: Position{shard, seq}, Type: texts.Draw(t, "type"), Subject: texts.Draw(t, "subject"),
				Player: id.Player(texts.Draw(t, "player")), Jurisdiction: id.Jurisdiction(texts.Draw(t, "jurisdiction")), Time: at,
				Data: json.RawMessage(datas.Draw(t, "data"))})
		}
		seq += rapid.Int64Range(0, 2).Draw(t, "bare")
		if len(b.Records) == 0 {
			seq++
		}
		b.Last = max(seq, b.First)
		seq = b.Last
		b.Source = rapid.SampledFrom([]string{"", fmt.Sprintf("0-1-%d", b.Last)}).Draw(t, "source")
		out = append(out, b)
	}
	return out
}

// lastSource is the newest place among the batches that a message's end covers.
func lastSource(batches []Batch, last int64) string {
	source := ""
	for _, b := range batches {
		if b.Last <= last && b.Source != "" {
			source = b.Source
		}
	}
	return source
}

func sameRecord(a, b Record) bool {
	return a.Position == b.Position && a.Type == b.Type && a.Subject == b.Subject && a.Player == b.Player &&
		a.Jurisdiction == b.Jurisdiction && a.Time.Equal(b.Time) && bytes.Equal(a.Data, b.Data)
}

func TestPiecesAreTheBatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		batches, most := drawBatches(t), rapid.IntRange(1, 8).Draw(t, "most")
		var want, got []Record
		for _, b := range batches {
			want = append(want, b.Records...)
		}
		next := batches[0].First
		for part := range pieces(batches, most) {
			records := 0
			for _, b := range part {
				if b.First != next || b.Last < b.First {
					t.Fatalf("part %d..%d follows %d", b.First, b.Last, next-1)
				}
				next = b.Last + 1
				records += len(b.Records)
				got = append(got, b.Records...)
				if want := lastSource(batches, b.Last); b.Source != "" && b.Source != want {
					t.Fatalf("part to %d goes on at %q, want %q", b.Last, b.Source, want)
				}
			}
			if records > most || len(part) == 0 {
				t.Fatalf("a part of %d batches with %d records, want at most %d", len(part), records, most)
			}
		}
		if next != batches[len(batches)-1].Last+1 || !slices.EqualFunc(got, want, sameRecord) {
			t.Fatalf("parts have %d records to %d, want %d", len(got), next-1, len(want))
		}
	})
}

func TestMessagesCarryExactlyTheBatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		batches := drawBatches(t)
		var want, got []Record
		for _, b := range batches {
			want = append(want, b.Records...)
		}
		next := batches[0].First
		for m := range pack(batches) {
			if m.First != next || m.Last < m.First {
				t.Fatalf("message %d..%d follows %d", m.First, m.Last, next-1)
			}
			if want := lastSource(batches, m.Last); m.Source != want {
				t.Fatalf("message to %d goes on at %q, want %q", m.Last, m.Source, want)
			}
			if len(m.Body) > messageBytes+2*MaxRecordBytes {
				t.Fatalf("message of %d bytes", len(m.Body))
			}
			next = m.Last + 1
			b, err := Decode(m)
			if err != nil {
				t.Fatalf("Decode: %v", err)
			}
			got = append(got, b.Records...)
		}
		if next != batches[len(batches)-1].Last+1 {
			t.Fatalf("messages end at %d, batches at %d", next-1, batches[len(batches)-1].Last)
		}
		if len(got) != len(want) {
			t.Fatalf("got %d records, want %d", len(got), len(want))
		}
		for i := range got {
			if !sameRecord(got[i], want[i]) {
				t.Fatalf("record %d = %+v, want %+v", i, got[i], want[i])
			}
		}
	})
}

func TestEncodingIsValidCloudEvents(t *testing.T) {
	t.Parallel()
	b := Batch{Shard: 1, First: 7, Last: 8, At: time.UnixMicro(1_600_000_000_123_456).UTC(), Records: []Record{{
		Position: Position{1, 7}, Type: TypeBetPlaced, Subject: "bet_1", Player: "plr_1", Jurisdiction: "US-NJ",
		Time: time.UnixMicro(1_600_000_000_123_456), Data: json.RawMessage(`{"n":1}`)}}}
	const want = `[{"specversion":"1.0","id":"1-7","source":"/matchday/ledger/1","type":"matchday.bet.placed",` +
		`"subject":"bet_1","time":"2020-09-13T12:26:40.123456Z","datacontenttype":"application/json",` +
		`"player":"plr_1","jurisdiction":"US-NJ","data":{"n":1}}]`
	if got := string(Encode(b)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(Encode(Batch{First: 1, Last: 5})); got != "[]" {
		t.Errorf("batch without records = %s, want []", got)
	}
}

func TestDecodeAcceptsWhatOthersMayWrite(t *testing.T) {
	t.Parallel()
	m := Message{First: 1, Last: 9, Body: []byte(" [ {\n \"data\" : {\"a\" : [ 1 , \"}\" ] } , \"time\":\"2020-09-13T14:26:40+02:00\", \"later\" : -1.5 ,\"more\":true," +
		`"type":"t\u0041","id":"0-3","specversion":"1.0","source":"x"} ] `)}
	b, err := Decode(m)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	r := b.Records[0]
	if r.Type != "tA" || r.Position.Seq != 3 || string(r.Data) != `{"a" : [ 1 , "}" ] }` || r.Time.Hour() != 12 {
		t.Errorf("record = %+v", r)
	}
}

// event returns one event with a part replaced.
func event(old, replacement string) string {
	const plain = `{"specversion":"1.0","id":"0-1","source":"s","type":"t","time":"2020-09-13T12:26:40Z","data":{}}`
	return strings.Replace(plain, old, replacement, 1)
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body string }{
		{"nothing", ``},
		{"no array", event("", "")},
		{"an open array", `[`},
		{"an open event", `[` + strings.TrimSuffix(event("", ""), "}")},
		{"something after the array", `[]x`},
		{"a comma too many", `[` + event("", "") + `,]`},
		{"a word", `[null]`},
		{"another version of the specification", `[` + event("1.0", "0.3") + `]`},
		{"no payload", `[` + event(`,"data":{}`, "") + `]`},
		{"an open payload", `[` + event(`{}`, "{") + `]`},
		{"an empty payload", `[` + event(`{}`, "") + `]`},
		{"a payload nested beyond reason", `[` + event(`{}`, strings.Repeat("[", 100)+strings.Repeat("]", 100)) + `]`},
		{"an attribute twice", `[` + event(`"type":"t"`, `"type":"t","type":"t"`) + `]`},
		{"no time", `[` + event("2020-09-13T12:26:40Z", "yesterday") + `]`},
		{"no position", `[` + event("0-1", "1") + `]`},
		{"a position of another shard", `[` + event("0-1", "1-1") + `]`},
		{"a position after the batch", `[` + event("0-1", "0-10") + `]`},
		{"a position before the batch", `[` + event("0-1", "0-0") + `]`},
		{"a position twice", `[` + event("", "") + `,` + event("", "") + `]`},
		{"a control character in a string", "[" + event(`"t"`, "\"\n\"") + "]"},
		{"a broken escape", `[` + event(`"t"`, `"\q"`) + `]`},
		{"a type that is no string", `[` + event(`"t"`, `1`) + `]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if b, err := Decode(Message{First: 1, Last: 9, Body: []byte(tt.body)}); err == nil {
				t.Errorf("Decode(%s) = %+v, want an error", tt.body, b)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[` + event("", "") + `]`))
	f.Add([]byte(`[` + event(`{}`, `{"a":["\\\"",{}],"b":1e9}`) + `,` + event("0-1", "0-2") + `]`))
	f.Add([]byte(`[` + event(`"t"`, `"\u00e9\ud800"`) + `]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := Decode(Message{First: 1, Last: 1 << 40, Body: body})
		if err != nil {
			return
		}
		again, err := Decode(Message{First: 1, Last: 1 << 40, Body: Encode(b)})
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if len(again.Records) != len(b.Records) {
			t.Fatalf("%d records became %d", len(b.Records), len(again.Records))
		}
		for i := range b.Records {
			if !sameRecord(b.Records[i], again.Records[i]) {
				t.Fatalf("record %d = %+v, then %+v", i, b.Records[i], again.Records[i])
			}
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	for _, seed := range []string{"0-0", "1-42", "65535-9223372036854775807", "-", "1", "1-", "-1-1", "1--1", "+1-1", "1-9223372036854775808"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePosition(text)
		if err != nil {
			return
		}
		if p.Shard < 0 || p.Seq < 0 {
			t.Fatalf("ParsePosition(%q) = %+v", text, p)
		}
		if again, err := ParsePosition(p.String()); err != nil || again != p {
			t.Fatalf("%q became %+v, %v", text, again, err)
		}
	})
}

func TestBatchAfter(t *testing.T) {
	t.Parallel()
	b := Batch{First: 5, Last: 9, Records: []Record{{Position: Position{0, 5}}, {Position: Position{0, 7}}, {Position: Position{0, 9}}}}
	tests := []struct {
		name    string
		seq     int64
		first   int64
		records int
	}{
		{"a batch that starts later is whole", 3, 5, 3},
		{"a batch that follows is whole", 4, 5, 3},
		{"a record at the sequence goes", 5, 6, 2},
		{"a record after the sequence stays", 6, 7, 2},
		{"the last record stays", 8, 9, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := b.After(tt.seq); got.First != tt.first || len(got.Records) != tt.records || got.Last != 9 {
				t.Errorf("After(%d) = %d..%d with %d records, want from %d with %d", tt.seq, got.First, got.Last, len(got.Records), tt.first, tt.records)
			}
		})
	}
}

// benchMessage is a message of a thousand records of a placed single.
func benchMessage() (Batch, Message) {
	b := Batch{Shard: 0, First: 1, Last: 1000, At: time.UnixMicro(1_600_000_000_123_456).UTC()}
	data := json.RawMessage(`{"bet_id":"bet_01jb2m7k3v9q8w5x4y6z7a0b1c","player_id":"plr_01jb2m7k3v9q8w5x4y6z7a0b1c","jurisdiction":"US-NJ","product":"sportsbook","currency":"USD","stake_minor":2500,"potential_payout_minor":4772,"legs":[{"event_id":"2019_05_BUF_TEN","event_name":"Buffalo at Tennessee","starts_at_ms":1570381200000,"market_id":"mkt_1","market":"moneyline","selection_id":"mkt_1:home","selection":"home","selection_name":"Tennessee","line":null,"price":"-110"}]}`)
	for n := range int64(1000) {
		b.Records = append(b.Records, Record{Position: Position{0, n + 1}, Type: TypeBetPlaced, Subject: "bet_01jb2m7k3v9q8w5x4y6z7a0b1c",
			Player: "plr_01jb2m7k3v9q8w5x4y6z7a0b1c", Jurisdiction: "US-NJ", Time: b.At, Data: data})
	}
	return b, Message{First: 1, Last: 1000, At: b.At, Body: Encode(b)}
}

// BenchmarkCodec encodes and decodes a thousand records of about 750 bytes.
func BenchmarkCodec(b *testing.B) {
	batch, m := benchMessage()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Encode(batch)
		}
		b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(m); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "records/s")
	})
}
