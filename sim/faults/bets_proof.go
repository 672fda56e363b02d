package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/stream"
)

// betsProof is what the comparison of the history with the log, and of both with what players were told, found.
type betsProof struct {
	Bets        int    `json:"bets"`        // in the log
	Settlements int    `json:"settlements"` // in the log
	Reads       int    `json:"reads"`       // of watchers
	Lost        int    `json:"lost"`        // bets or settlements that the history lacks, or that were told and are gone
	Doubled     int    `json:"doubled"`     // bets that the history has twice, or that nobody placed
	Backwards   int    `json:"backwards"`   // reads that showed less than one before, or less than asked for
	Differ      int    `json:"differ"`      // bets that show something else than the log says
	Audit       string `json:"audit"`       // its finding, or ""
}

// problem returns what is wrong, or "".
func (p *betsProof) problem() string {
	switch {
	case p.Bets == 0 || p.Settlements == 0 || p.Reads == 0:
		return "too little was tried"
	case p.Lost > 0:
		return fmt.Sprintf("%d bets or settlements are lost", p.Lost)
	case p.Doubled > 0:
		return fmt.Sprintf("%d bets are doubled", p.Doubled)
	case p.Backwards > 0:
		return fmt.Sprintf("%d reads went backwards", p.Backwards)
	case p.Differ > 0:
		return fmt.Sprintf("%d bets show something else than the log says", p.Differ)
	case p.Audit != "":
		return "audit: " + p.Audit
	}
	return ""
}

// readAll reads every bet of the history from the process.
func (c *betsClient) readAll(ctx context.Context) (map[id.Bet][]betFacts, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr()+dumpPath, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	out := map[id.Bet][]betFacts{}
	for lines := json.NewDecoder(bufio.NewReader(response.Body)); ; {
		var b shownBet
		if err := lines.Decode(&b); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read the history: %w", err)
		}
		if b.Bet == "" {
			return out, nil
		}
		out[b.Bet] = append(out[b.Bet], b.betFacts)
	}
}

// prove compares after the process has ended: every bet of the log with each history, and what players were
// told with the log.
func (p *betsProof) prove(ctx context.Context, c ledger.Config, histories []history.Config, l *betLoad, shown map[id.Bet][]betFacts) (err error) {
	log := slog.New(slog.DiscardHandler)
	var service *ledger.Service
	for limit := time.Now().Add(resolveLimit); ; pause(ctx, pauseRetry) { // a process that was killed is to be forgotten first
		service, err = ledger.Open(ctx, c, ledger.Deps{Clock: clock.System{}, Log: log, Metrics: prometheus.NewRegistry()})
		if err == nil {
			break
		}
		if !errs.Is(err, errs.CodeConflict) || ctx.Err() != nil || time.Now().After(limit) {
			return fmt.Errorf("open the books after the fault: %w", err)
		}
	}
	defer func() { err = errors.Join(err, service.Close()) }()
	want, err := p.readLog(ctx, service)
	if err != nil {
		return err
	}
	p.compare(want, shown)
	for bet, b := range l.bets {
		if w, ok := want[bet]; !ok || w.Version < b.version {
			p.Lost++
		}
		if w, ok := want[bet]; ok && w != factsOf(b.player, w.Version) {
			p.Differ++
		}
	}
	p.Reads, p.Backwards = l.reads, l.backwards
	for _, h := range histories {
		if _, err := history.Audit(ctx, history.AuditOptions{Dir: h.Dir, Clusters: h.Clusters, Log: service}); err != nil {
			p.Audit = err.Error()
		}
	}
	return nil
}

// readLog returns how each bet stands by the records of the log.
func (p *betsProof) readLog(ctx context.Context, log stream.Log) (map[id.Bet]betFacts, error) {
	out := map[id.Bet]betFacts{}
	for n := range log.Shards() {
		for at := int64(0); at < log.Head(n); {
			batches, err := log.ReadLog(ctx, n, at, 5_000)
			if err != nil {
				return nil, err
			}
			if len(batches) == 0 {
				return nil, fmt.Errorf("the log of shard %d ends at %d, before its head", n, at)
			}
			at = batches[len(batches)-1].Last
			for i := range batches {
				for j := range batches[i].Records {
					if err := p.record(out, &batches[i].Records[j]); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	return out, nil
}

// record takes a record of the log into account.
func (p *betsProof) record(out map[id.Bet]betFacts, r *stream.Record) error {
	switch r.Type {
	case stream.TypeBetPlaced:
		var b stream.BetPlaced
		if err := json.Unmarshal(r.Data, &b); err != nil {
			return err
		}
		p.Bets++
		out[b.BetID] = betFacts{Player: b.PlayerID, Stake: b.StakeMinor, Status: string(history.StatusOpen)}
	case stream.TypeBetSettled:
		var b stream.BetSettled
		if err := json.Unmarshal(r.Data, &b); err != nil {
			return err
		}
		p.Settlements++
		if f := out[b.BetID]; b.Version > f.Version {
			f.Version, f.Status, f.Payout = b.Version, b.Outcome, b.PayoutMinor
			out[b.BetID] = f
		}
	}
	return nil
}

// compare compares the history with the log.
func (p *betsProof) compare(want map[id.Bet]betFacts, shown map[id.Bet][]betFacts) {
	for bet, w := range want {
		list := shown[bet]
		switch {
		case len(list) == 0 || list[0].Version < w.Version:
			p.Lost++
		case list[0] != w:
			p.Differ++
		}
	}
	for bet, list := range shown {
		if _, ok := want[bet]; !ok || len(list) > 1 {
			p.Doubled++
		}
	}
}
