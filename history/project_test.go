package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

// newFile returns a service of one shard without a stream: the projection and its reads.
func newFile(t testing.TB, dir string) *Service {
	t.Helper()
	store, err := openSQLite(filepath.Join(dir, "history.db"), sqldb.Options{WithoutSync: true}, clock.System{}, projector{digests: newDigests(nil, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &Service{shards: []*shard{{store: store}}}
}

// newOnServer is newFile with the shard on the shared server, written by two.
func newOnServer(t testing.TB) *Service {
	t.Helper()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	server := mariadb.Shared(t)
	list := []ledger.Cluster{{Shards: "0", Config: mysqldb.Config{Nodes: []string{server.Addr()}, Database: server.Database(t),
		User: mariadb.User, PasswordEnv: "MATCHDAY_TEST_PASSWORD"}}}
	clusters, err := openFleet(context.Background(), list, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Rebuildable: true})
	if err != nil {
		t.Fatal(err)
	}
	store := openMySQL(clusters[0], clock.System{}, projector{digests: newDigests(nil, nil)}, 2)
	if err := store.prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := &Service{fleet: clusters, shards: []*shard{{store: store}}}
	t.Cleanup(func() { _ = s.Close() })
	if _, _, err := store.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// applyForTest applies batches without a position, in one DBTx of each writer.
func (s *Service) applyForTest(batches ...stream.Batch) error {
	ctx := context.Background()
	switch store := s.shards[0].store.(type) {
	case *sqliteStore:
		return store.inTx(ctx, func(tx *sqliteTx) error { return store.projector.apply(ctx, tx, batches) })
	case *mysqlStore:
		for _, p := range store.parts {
			err := store.on(ctx, func(conn *sql.Conn) error {
				return mysqldb.InDBTx(ctx, conn, func() error { return p.projector.apply(ctx, &mysqlTx{Conn: conn, part: p.number}, batches) })
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh makes one empty shard after the other on each engine.
var fresh = map[string]func(t *testing.T) func() *Service{
	"SQLite": func(t *testing.T) func() *Service {
		return func() *Service {
			s := newFile(t, t.TempDir())
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
	},
	"MariaDB": func(t *testing.T) func() *Service {
		s := newOnServer(t)
		store := s.shards[0].store.(*mysqlStore)
		return func() *Service {
			const empty = "DELETE FROM slip; DELETE FROM bet; DELETE FROM bet_change; DELETE FROM digest; DELETE FROM digested; DELETE FROM digest_zone; DELETE FROM outline; UPDATE sink_position SET seq = 0, at_us = 0"
			err := store.on(context.Background(), func(conn *sql.Conn) error {
				_, err := conn.ExecContext(context.Background(), empty)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	},
}

// model is the history as a map that is changed record by record.
type model map[betKey]Bet

func (m model) place(seq int64, at time.Time, k betKey, stake int64) stream.Record {
	legs := []stream.BetLeg{{EventID: fmt.Sprintf("game_%d", stake%3), Market: "total", Selection: "over", Price: "+120"}}
	m[k] = Bet{ID: k.bet, Player: k.player, Jurisdiction: "CA-ON", Product: "sportsbook", Status: StatusOpen, PlacedAt: at,
		Stake: money.New(stake, "CAD"), PotentialPayout: money.New(2*stake, "CAD"), Payout: money.New(0, "CAD"), Legs: []Leg{{BetLeg: legs[0]}}}
	return recordOf(seq, at, k, stream.TypeBetPlaced, stream.BetPlaced{BetID: k.bet, PlayerID: k.player, Jurisdiction: "CA-ON", Product: "sportsbook",
		Currency: "CAD", StakeMinor: stake, PotentialPayoutMinor: 2 * stake, Legs: legs})
}

func (m model) settle(seq int64, at time.Time, k betKey, version int, outcome string, payout int64) stream.Record {
	if b := m[k]; version > b.Version {
		b.Version, b.Status, b.SettledAt, b.Payout = version, Status(outcome), at, money.New(payout, "CAD")
		if outcome == "" {
			b.Status, b.SettledAt = StatusOpen, time.Time{}
		}
		b.Legs = []Leg{{BetLeg: b.Legs[0].BetLeg, Outcome: outcome}}
		m[k] = b
	}
	return recordOf(seq, at, k, stream.TypeBetSettled, stream.BetSettled{BetID: k.bet, PlayerID: k.player, Jurisdiction: "CA-ON", Version: version,
		Outcome: outcome, PayoutMinor: payout, Currency: "CAD", LegOutcomes: []string{outcome}})
}

func recordOf(seq int64, at time.Time, k betKey, kind string, payload any) stream.Record {
	data, _ := json.Marshal(payload)
	return stream.Record{Position: stream.Position{Seq: seq}, Type: kind, Subject: string(k.bet), Player: k.player, Jurisdiction: "CA-ON", Time: at, Data: data}
}

func TestProjectionEqualsAMap(t *testing.T) {
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) { projectionEqualsAMap(t, on(t)) })
	}
}

func projectionEqualsAMap(t *testing.T, fresh func() *Service) {
	rapid.Check(t, func(rt *rapid.T) {
		s := fresh()
		want := model{}
		var keys []betKey
		var waiting []stream.Batch
		var batch stream.Batch
		apply := func() {
			if len(waiting) == 0 {
				return
			}
			if err := s.applyForTest(waiting...); err != nil {
				rt.Fatalf("project: %v", err)
			}
			waiting = nil
		}
		for seq := range int64(rapid.IntRange(0, 150).Draw(rt, "records")) {
			at := time.UnixMicro(1_600_000_000_000_000 + seq).UTC()
			var r stream.Record
			if kind := rapid.IntRange(0, 9).Draw(rt, "kind"); kind < 4 || len(keys) == 0 {
				k := betKey{id.Player(fmt.Sprintf("plr_%d", rapid.IntRange(0, 4).Draw(rt, "player"))), id.Bet(fmt.Sprintf("bet_%04d", seq))}
				keys = append(keys, k)
				r = want.place(seq+1, at, k, seq+1)
			} else {
				outcome := rapid.SampledFrom([]string{"won", "lost", "push", "void", ""}).Draw(rt, "outcome")
				payout := seq
				if outcome == "" {
					payout = 0
				}
				r = want.settle(seq+1, at, rapid.SampledFrom(keys).Draw(rt, "bet"), rapid.IntRange(1, 4).Draw(rt, "version"), outcome, payout)
			}
			batch.Records = append(batch.Records, r)
			switch rapid.IntRange(0, 9).Draw(rt, "end") {
			case 0:
				waiting, batch = append(waiting, batch), stream.Batch{}
				apply()
			case 1:
				waiting, batch = append(waiting, batch), stream.Batch{}
			}
		}
		waiting = append(waiting, batch)
		apply()
		got := model{}
		err := s.ForEach(context.Background(), func(b Bet) error { got[betKey{b.Player, b.ID}] = b; return nil })
		if err != nil {
			rt.Fatalf("ForEach: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("history has %v\nmodel has %v", slices.Collect(maps.Values(got)), slices.Collect(maps.Values(want)))
		}
	})
}

func TestProjectionRefusesWhatALogCannotSay(t *testing.T) {
	t.Parallel()
	k, at := betKey{"plr_1", "bet_1"}, time.UnixMicro(1_600_000_000_000_000).UTC()
	place := func(change func(*stream.BetPlaced)) stream.Record {
		p := stream.BetPlaced{BetID: k.bet, PlayerID: k.player, Jurisdiction: "CA-ON", Product: "sportsbook", Currency: "CAD", StakeMinor: 5,
			Legs: []stream.BetLeg{{EventID: "e"}}}
		change(&p)
		return recordOf(1, at, k, stream.TypeBetPlaced, p)
	}
	settle := func(change func(*stream.BetSettled)) stream.Record {
		p := stream.BetSettled{BetID: k.bet, PlayerID: k.player, Jurisdiction: "CA-ON", Version: 1, Outcome: "won", PayoutMinor: 9, LegOutcomes: []string{"won"}}
		change(&p)
		return recordOf(2, at, k, stream.TypeBetSettled, p)
	}
	good := place(func(*stream.BetPlaced) {})
	garbage := good
	garbage.Data = json.RawMessage(`{"bet_id":`)
	tests := []struct {
		name    string
		records []stream.Record
	}{
		{"a settlement without a placement", []stream.Record{settle(func(*stream.BetSettled) {})}},
		{"a settlement before its placement", []stream.Record{settle(func(*stream.BetSettled) {}), good}},
		{"a bet placed twice", []stream.Record{good, good}},
		{"a placement of another player than the envelope's", []stream.Record{place(func(p *stream.BetPlaced) { p.PlayerID = "plr_2" })}},
		{"a placement of another jurisdiction than the envelope's", []stream.Record{place(func(p *stream.BetPlaced) { p.Jurisdiction = "US-NJ" })}},
		{"a placement in no currency", []stream.Record{place(func(p *stream.BetPlaced) { p.Currency = "" })}},
		{"a placement without a stake", []stream.Record{place(func(p *stream.BetPlaced) { p.StakeMinor = 0 })}},
		{"a payload that is no JSON", []stream.Record{garbage}},
		{"an unknown outcome", []stream.Record{good, settle(func(p *stream.BetSettled) { p.Outcome = "lucky" })}},
		{"an open outcome", []stream.Record{good, settle(func(p *stream.BetSettled) { p.Outcome = "open" })}},
		{"an unknown leg outcome", []stream.Record{good, settle(func(p *stream.BetSettled) { p.LegOutcomes = []string{"lucky"} })}},
		{"a payout of an open bet", []stream.Record{good, settle(func(p *stream.BetSettled) { p.Outcome = "" })}},
		{"a negative payout", []stream.Record{good, settle(func(p *stream.BetSettled) { p.PayoutMinor = -1 })}},
		{"a settlement without a version", []stream.Record{good, settle(func(p *stream.BetSettled) { p.Version = 0 })}},
		{"a settlement of another player", []stream.Record{good, settle(func(p *stream.BetSettled) { p.PlayerID = "plr_2" })}},
	}
	for engine, on := range fresh {
		t.Run(engine, func(t *testing.T) {
			fresh := on(t)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) { refuses(t, fresh(), tt.records) })
			}
		})
	}
}

func refuses(t *testing.T, s *Service, records []stream.Record) {
	if err := s.applyForTest(stream.Batch{Records: records}); err == nil {
		t.Error("project = nil, want an error")
	}
	err := s.ForEach(context.Background(), func(b Bet) error { return errs.New(errs.CodeInternal, "bet %s", b.ID) })
	if err != nil {
		t.Errorf("after a refusal the history has %v, want nothing", err)
	}
}

func TestSettlementOfAnotherJurisdictionFindsNoBet(t *testing.T) {
	for engine, on := range fresh {
		t.Run(engine, func(t *testing.T) { otherJurisdiction(t, on(t)()) })
	}
}

func otherJurisdiction(t *testing.T, s *Service) {
	m, at := model{}, time.UnixMicro(1_600_000_000_000_000).UTC()
	k := betKey{"plr_1", "bet_1"}
	if err := s.applyForTest(stream.Batch{Records: []stream.Record{m.place(1, at, k, 5)}}); err != nil {
		t.Fatal(err)
	}
	r := recordOf(2, at, k, stream.TypeBetSettled, stream.BetSettled{BetID: k.bet, PlayerID: k.player, Jurisdiction: "US-NJ", Version: 1, Outcome: "won"})
	r.Jurisdiction = "US-NJ"
	if err := s.applyForTest(stream.Batch{Records: []stream.Record{r}}); err == nil {
		t.Error("project = nil, want an error")
	}
}
