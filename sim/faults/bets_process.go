package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/ledger/capture"
	"matchday/stream"
)

// BetsConfig makes a writer process one with the bet history: books, streams, relays and projection.
type BetsConfig struct {
	Streams stream.Config  `yaml:"streams"`
	History history.Config `yaml:"history"`
}

// betOp is what a bets process is asked for.
type betOp struct {
	Do      string // one of the constants below
	Player  id.Player
	Bet     id.Bet
	Version int              // of the settlement
	At      *stream.Position // of a read
	N       int
	Seconds int
}

const (
	doFund      = "fund"
	doPlace     = "place"
	doSettle    = "settle"
	doFind      = "find"
	doStatus    = "status"
	doRelaysOff = "relays off"
	doRelaysOn  = "relays on"
	doClock     = "clock" // step it by Seconds
	doBurst     = "burst" // place and settle N bets as fast as it goes
	doSources   = "sources"
)

// betReply is its answer.
type betReply struct {
	Unknown  bool
	Problem  string // the process is broken
	Position stream.Position
	Found    bool
	Version  int
	Heads    []int64  // of the log, by shard
	Shown    []int64  // by the history
	Held     []bool   // this process applies the log to it
	Sources  []string // the place in a binlog at which each shard's stream ends; "" is none
	Missing  int64    // transfers that the history showed and the streams lacked when the process started
}

// betStake is what each bet costs, and what a settlement gives back or takes again.
const betStake = 100

// steppingClock is the machine's clock and a step.
type steppingClock struct{ ns atomic.Int64 }

// Now implements clock.Clock.
func (c *steppingClock) Now() time.Time {
	return clock.System{}.Now().Add(time.Duration(c.ns.Load()))
}

// betsProcess is the parts of a bets process.
type betsProcess struct {
	clock   steppingClock
	log     *slog.Logger
	books   *ledger.Service
	source  *capture.Capture // the books as relays read them: shards of clusters from their binlogs
	streams stream.Streams
	history *history.Service

	turn    chan relayTurn
	missing int64
	broken  atomic.Pointer[string]
}

// relayTurn asks for the relays to run or not.
type relayTurn struct {
	on   bool
	done chan struct{} // closed when the ones before have ended
}

// runBets is RunWriter of a process with the bet history.
func runBets(ctx context.Context, c WriterConfig, log *slog.Logger, out io.Writer) (err error) {
	p := &betsProcess{log: log, turn: make(chan relayTurn)}
	p.books, err = ledger.Open(ctx, c.Ledger, ledger.Deps{Clock: &p.clock, Log: log, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return fmt.Errorf("bets process: %w", err)
	}
	defer func() { err = errors.Join(err, p.books.Close()) }()
	if p.source, err = p.newCapture(); err != nil {
		return fmt.Errorf("bets process: %w", err)
	}
	if p.streams, err = stream.Open(ctx, c.Bets.Streams, log); err != nil {
		return fmt.Errorf("bets process: %w", err)
	}
	defer func() { err = errors.Join(err, p.streams.Close()) }()
	d := history.Deps{Clock: &p.clock, Log: log, Metrics: prometheus.NewRegistry(),
		Transport: p.streams.Transport(), Source: p.books, ShardOf: p.books.ShardOf, Since: p.books.Since}
	if c.Ledger.InternalListen != "" { // other processes have the same books and history
		d.Hold = p.books.WhileOwned
	}
	p.history, err = history.Open(ctx, c.Bets.History, d)
	if err != nil {
		return fmt.Errorf("bets process: %w", err)
	}
	defer func() { err = errors.Join(err, p.history.Close()) }()
	for _, l := range p.history.Lag() {
		tail, err := p.streams.Transport().Tail(ctx, l.Shard)
		if err != nil {
			return fmt.Errorf("bets process: %w", err)
		}
		p.missing += max(0, l.Position-tail.Last)
	}
	g, run := errgroup.WithContext(ctx)
	g.Go(func() error { return p.books.Run(run) })
	g.Go(func() error { return p.source.Run(run) })
	g.Go(func() error { return p.history.Run(run) })
	g.Go(func() error { return p.runRelays(run) })
	ended := make(chan error, 1)
	go func() {
		err := g.Wait()
		if err != nil {
			text := err.Error()
			p.broken.Store(&text)
		}
		ended <- err
	}()
	if err = serve(ctx, c.Listen, p.handler(), ended, out); err == nil {
		err = <-ended
	}
	return err
}

// newCapture returns the log as the product's relays read it.
func (p *betsProcess) newCapture() (*capture.Capture, error) {
	var sources []capture.Source
	for _, c := range p.books.Clusters() {
		sources = append(sources, capture.Source{Name: c.Name, Cluster: c.Cluster, Shards: c.Shards})
	}
	return capture.New(capture.Config{}, sources,
		capture.Deps{Clock: &p.clock, Log: p.log, Metrics: prometheus.NewRegistry(), Books: p.books})
}

// runRelays runs a relay for each shard, until it is told otherwise, and so on.
func (p *betsProcess) runRelays(ctx context.Context) error {
	for on := true; ; {
		now, stop := context.WithCancel(ctx)
		g, now := errgroup.WithContext(now)
		for n := range p.books.Shards() {
			if !on {
				break
			}
			g.Go(func() error { return p.books.WhileOwned(now, n, p.relay(n)) })
		}
		var next relayTurn
		select {
		case next = <-p.turn:
		case <-ctx.Done():
		}
		stop()
		if err := g.Wait(); err != nil || ctx.Err() != nil {
			return err
		}
		on = next.on
		close(next.done)
	}
}

// relay returns what publishes a shard's log while this process writes the shard.
func (p *betsProcess) relay(shard int) func(ctx context.Context, epoch int64) error {
	return func(ctx context.Context, _ int64) error {
		relay, err := stream.NewRelay(p.source, shard, p.streams.Transport(),
			stream.Deps{Clock: &p.clock, Log: p.log, Metrics: prometheus.NewRegistry()})
		if err != nil {
			return err
		}
		return relay.Run(ctx)
	}
}

// turnRelays tells the relays to run or not.
func (p *betsProcess) turnRelays(ctx context.Context, on bool) error {
	t := relayTurn{on, make(chan struct{})}
	select {
	case p.turn <- t:
		<-t.done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	betsPath = "/bets"
	dumpPath = "/bets/all"
)

func (p *betsProcess) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+betsPath, func(w http.ResponseWriter, r *http.Request) {
		var o betOp
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOpBytes)).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := p.do(r.Context(), &o)
		if text := p.broken.Load(); text != nil {
			answer.Problem = *text
		} else if err != nil {
			answer.Problem = fmt.Sprintf("%s: %v", o.Do, err)
		}
		_ = json.NewEncoder(w).Encode(&answer) // a client that is gone asks again
	})
	mux.HandleFunc("GET "+dumpPath, func(w http.ResponseWriter, r *http.Request) {
		lines := json.NewEncoder(w)
		err := p.history.ForEach(r.Context(), func(b history.Bet) error {
			return lines.Encode(shownBet{Bet: b.ID, betFacts: betFacts{b.Player, b.Stake.Minor(), b.Version, string(b.Status), b.Payout.Minor()}})
		})
		if err == nil {
			_ = lines.Encode(shownBet{}) // the end: without it, it was cut short
		}
	})
	return mux
}

// do does what is asked. An error is a reason to give up; what may be asked again is Unknown.
func (p *betsProcess) do(ctx context.Context, o *betOp) (betReply, error) {
	switch o.Do {
	case doFind:
		return p.find(ctx, o)
	case doStatus:
		a := betReply{Missing: p.missing}
		for _, l := range p.history.Lag() {
			a.Heads, a.Shown = append(a.Heads, p.books.Head(l.Shard)), append(a.Shown, l.Position)
			a.Held = append(a.Held, l.Held)
		}
		return a, nil
	case doRelaysOff:
		return betReply{}, p.turnRelays(ctx, false)
	case doRelaysOn:
		return betReply{}, p.turnRelays(ctx, true)
	case doClock:
		p.clock.ns.Add(int64(o.Seconds) * int64(time.Second))
		return betReply{}, nil
	case doBurst:
		return betReply{}, burst(ctx, p.books, o.N)
	case doSources:
		return p.sources(ctx)
	}
	t, err := transferOfBet(o)
	if err != nil {
		return betReply{}, err
	}
	result, err := p.books.Commit(ctx, ledger.LaneInteractive, t)
	if errs.Is(err, errs.CodeUnavailable) {
		return betReply{Unknown: true}, nil
	}
	return betReply{Position: result.Position}, err
}

// sources returns where in a binlog each shard's stream ends.
func (p *betsProcess) sources(ctx context.Context) (a betReply, err error) {
	for n := range p.books.Shards() {
		tail, err := p.streams.Transport().Tail(ctx, n)
		if err != nil { // it is asked again
			return betReply{Unknown: true}, nil
		}
		a.Sources = append(a.Sources, tail.Source)
	}
	return a, nil
}

// find reads a bet as its player would.
func (p *betsProcess) find(ctx context.Context, o *betOp) (betReply, error) {
	b, err := p.history.Find(ctx, o.Player, jurisdiction, o.Bet, o.At)
	switch {
	case errs.Is(err, errs.CodeNotFound):
		return betReply{}, nil
	case err != nil: // its database may be away: that is the fault
		return betReply{Unknown: true}, nil
	}
	return betReply{Found: true, Version: b.Version}, nil
}

// transferOfBet is the transfer with the record of a bet: odd settlements give the stake back, even ones take
// it again.
func transferOfBet(o *betOp) (ledger.Transfer, error) {
	t := ledger.Transfer{Player: o.Player, Jurisdiction: jurisdiction, Currency: currency}
	cash, bets, house := ledger.PlayerCash(o.Player, jurisdiction), ledger.Bets(jurisdiction, product), ledger.Revenue(jurisdiction, product)
	move := func(kind ledger.Kind, from, to ledger.Address, minor int64) {
		t.Kind = kind
		t.Postings = []ledger.Posting{{Account: from, AmountMinor: -minor}, {Account: to, AmountMinor: minor}}
	}
	record := func(kind string, payload any) error {
		data, err := json.Marshal(payload)
		t.Record = &stream.Draft{Type: kind, Subject: string(o.Bet), Data: data}
		return err
	}
	t.Key = fmt.Sprintf("%s-%d", o.Bet, o.Version)
	switch o.Do {
	case doFund:
		t.Key = "fund-" + string(o.Player)
		move(ledger.KindDeposit, ledger.PSP("sandbox", jurisdiction), cash, 1_000_000*betStake)
		return t, nil
	case doPlace:
		move(ledger.KindStake, cash, bets, betStake)
		return t, record(stream.TypeBetPlaced, stream.BetPlaced{BetID: o.Bet, PlayerID: o.Player, Jurisdiction: jurisdiction,
			Product: product, Currency: string(currency), StakeMinor: betStake, PotentialPayoutMinor: 2 * betStake,
			Legs: []stream.BetLeg{{EventID: "game", Market: "moneyline", Selection: "home", Price: "+100"}}})
	case doSettle:
		f := factsOf(o.Player, o.Version)
		switch {
		case o.Version == 1:
			move(ledger.KindSettlement, bets, cash, betStake)
		case f.Payout == 0:
			move(ledger.KindResettlement, cash, house, betStake)
		default:
			move(ledger.KindResettlement, house, cash, betStake)
		}
		return t, record(stream.TypeBetSettled, stream.BetSettled{BetID: o.Bet, PlayerID: o.Player, Jurisdiction: jurisdiction,
			Version: o.Version, Outcome: f.Status, PayoutMinor: f.Payout, Currency: string(currency), LegOutcomes: []string{f.Status}})
	}
	return t, errs.New(errs.CodeInvalid, "a bets process cannot %q", o.Do)
}

// factsOf is how a bet of the load stands at a version.
func factsOf(player id.Player, version int) betFacts {
	f := betFacts{Player: player, Stake: betStake, Version: version, Status: string(history.StatusOpen)}
	switch {
	case version == 0:
	case version%2 == 0:
		f.Status = stream.OutcomeLost
	default:
		f.Status, f.Payout = stream.OutcomePush, betStake
	}
	return f
}
