package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/telemetry/telemetrytest"
)

// post calls the handler without a connection: what is measured is the API and the rooms.
func (s *server) post(path, token, key string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	s.api.Handler().ServeHTTP(w, r)
	return w
}

// BenchmarkBatch is POST /v1/ledger/transfers/batch: 1,000 deposits a call with records of about 300
// bytes, for 10,000 players, durable, four calls at a time.
func BenchmarkBatch(b *testing.B) {
	s := newServer(b)
	ids := id.NewSource(time.Now)
	players := make([]string, 10_000)
	for i := range players {
		players[i] = string(ids.NewPlayer())
	}
	note := json.RawMessage(fmt.Sprintf(`{"note":%q}`, bytes.Repeat([]byte("x"), 280)))
	var calls atomic.Int64
	body := func() []byte {
		n := calls.Add(1)
		var batch BatchRequest
		for i := range maxBatch {
			in := depositOf(players[(int(n)*maxBatch+i)%len(players)], fmt.Sprintf("k%d-%d", n, i), "10.00")
			in.Record.Data = note
			batch.Transfers = append(batch.Transfers, in)
		}
		raw, err := json.Marshal(batch)
		if err != nil {
			b.Fatal(err)
		}
		return raw
	}
	bodies := make([][]byte, b.N)
	for i := range bodies {
		bodies[i] = body()
	}
	var next atomic.Int64
	b.SetParallelism(2)
	b.ResetTimer()
	used := telemetrytest.ProcessorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w := s.post("/v1/ledger/transfers/batch", testKey, "", bodies[next.Add(1)-1])
			if w.Code != http.StatusOK || !bytes.HasPrefix(w.Body.Bytes(), []byte(`{"committed":1000,`)) {
				b.Errorf("%d %.300s", w.Code, w.Body)
			}
		}
	})
	b.ReportMetric(float64(b.N*maxBatch)/b.Elapsed().Seconds(), "transfers/s")
	b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-used).Microseconds())/float64(b.N*maxBatch), "cpu_us/transfer")
}

// BenchmarkBatchEdge is the same body decoded and turned into transfers, without the ledger.
func BenchmarkBatchEdge(b *testing.B) {
	s := newServer(b)
	var batch BatchRequest
	for i := range maxBatch {
		batch.Transfers = append(batch.Transfers, depositOf(newPlayerID(), fmt.Sprintf("k-%d", i), "10.00"))
	}
	raw, err := json.Marshal(batch)
	if err != nil {
		b.Fatal(err)
	}
	c := &call{a: s.api, caller: caller{service: &s.api.keys[0]}}
	b.ReportAllocs()
	used := telemetrytest.ProcessorTime(b)
	for b.Loop() {
		var in BatchRequest
		if err := decode(raw, &in); err != nil {
			b.Fatal(err)
		}
		for i := range in.Transfers {
			if _, err := c.transferOf(&in.Transfers[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-used).Microseconds())/float64(b.N*maxBatch), "cpu_us/transfer")
}

// BenchmarkPlaceBet is POST /v1/bets: singles of 1.00 by 200 players, 64 at a time, with history on.
func BenchmarkPlaceBet(b *testing.B) {
	s := newServer(b)
	s.game("game")
	tokens := make([]string, 200)
	for i := range tokens {
		p, token := s.signUp(nj)
		tokens[i] = token
		s.do("POST", "/v1/ledger/transfers", testKey, depositOf(p.ID, fmt.Sprintf("fund-%d", i), "1000000.00")).want(http.StatusCreated)
	}
	ask := single("game", "USD")
	ask.Stake.Amount = "0.10"
	raw, err := json.Marshal(ask)
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	used := telemetrytest.ProcessorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			if w := s.post("/v1/bets", tokens[int(n)%len(tokens)], fmt.Sprintf("b%d", n), raw); w.Code != http.StatusCreated {
				b.Errorf("%d %.300s", w.Code, w.Body)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "bets/s")
	b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-used).Microseconds())/float64(b.N), "cpu_us/bet")
}

// BenchmarkBalance is GET /v1/me/balance.
func BenchmarkBalance(b *testing.B) {
	s := newServer(b)
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v1/me/balance", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			s.api.Handler().ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				b.Fatal(w.Body)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
