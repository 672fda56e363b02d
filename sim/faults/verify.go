package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/sim/serial"
)

// checkLimit bounds the order search of one player.
const checkLimit = 5 * time.Minute

// proof is what the checks after a fault found.
type proof struct {
	Acknowledged int            `json:"acknowledged"` // transfers that a client was told are done
	Refused      int            `json:"refused"`      // transfers that a client was told are refused
	Lost         int            `json:"lost"`         // told, and gone
	Doubled      int            `json:"doubled"`      // in the log more than once
	Changed      int            `json:"changed"`      // answered differently when asked again
	Unknown      int            `json:"unknown"`      // in the log although nobody asked for it
	History      serial.Verdict `json:"history"`
	Audit        []string       `json:"audit"` // findings
}

// problem returns what is wrong, or "".
func (p *proof) problem() string {
	switch {
	case p.Acknowledged == 0:
		return "no transfer was acknowledged"
	case p.Lost > 0:
		return fmt.Sprintf("%d acknowledged operations are lost", p.Lost)
	case p.Doubled > 0:
		return fmt.Sprintf("%d operations are in the log twice", p.Doubled)
	case p.Changed > 0:
		return fmt.Sprintf("%d operations were answered differently when asked again", p.Changed)
	case p.Unknown > 0:
		return fmt.Sprintf("%d operations in the log were never asked for", p.Unknown)
	case !p.History.Sound():
		return "the history is not strictly serialisable: " + p.History.Violation
	case len(p.Audit) > 0:
		return "audit: " + p.Audit[0]
	}
	return ""
}

// prove opens the books after every writer has ended and compares them with what clients were told.
func prove(ctx context.Context, c ledger.Config, history *serial.Recorder, players int) (p proof, err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	service, err := ledger.Open(ctx, c, ledger.Deps{Clock: clock.System{}, Log: log, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return p, fmt.Errorf("open the books after the fault: %w", err)
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(run) }()
	err = p.askAgain(ctx, books{service}, history, players)
	if err == nil {
		err = p.count(ctx, service, history.History())
	}
	stop()
	if err := errors.Join(err, <-ended, service.Close()); err != nil {
		return p, err
	}
	if err := p.audit(ctx, c); err != nil {
		return p, err
	}
	p.History, err = serial.Check(ctx, history.History(), checkLimit)
	return p, err
}

// askAgain sends every answered key once more, reads every balance, and adds both to the history.
func (p *proof) askAgain(ctx context.Context, b books, history *serial.Recorder, players int) error {
	told := map[string]serial.Op{}
	for _, o := range history.History() {
		if first, ok := told[o.Key]; isTransfer(&o) && !o.Answer.Unknown && o.Answer.Position.Seq > 0 && (!ok || first.Answer.Replayed) {
			told[o.Key] = o
		}
	}
	ask := func(o serial.Op) (serial.Op, error) {
		o.Client, o.Return = 0, 0
		for limit := time.Now().Add(resolveLimit); ; pause(ctx, pauseRetry) { // shards of the dead are taken over first
			o.Call = history.Now()
			answer, notTaken := b.do(ctx, &o)
			o.Answer = answer
			if !notTaken {
				history.Add(o)
			}
			if !answer.Unknown {
				return o, nil
			}
			if ctx.Err() != nil || time.Now().After(limit) {
				return o, fmt.Errorf("%s %s is not answered when nothing is wrong any more", o.Action, o.Key)
			}
		}
	}
	for _, first := range told {
		again, err := ask(first)
		if err != nil {
			return err
		}
		if first.Answer.Code == "" {
			p.Acknowledged++
		} else {
			p.Refused++
		}
		a, was := &again.Answer, &first.Answer
		switch {
		case !a.Replayed:
			p.Lost++
		case a.Code != was.Code || a.Posted != was.Posted || (a.Position != was.Position && a.Position.Shard == was.Position.Shard):
			p.Changed++
		}
	}
	for n := range players {
		if _, err := ask(serial.Op{Player: playerID(n), Action: serial.Read}); err != nil {
			return err
		}
	}
	return nil
}

func isTransfer(o *serial.Op) bool { return o.Action != serial.Read && o.Action != serial.Lookup }

// count looks every key of the log up in the history.
func (p *proof) count(ctx context.Context, service *ledger.Service, history []serial.Op) error {
	asked := map[string]bool{}
	for i := range history {
		asked[history[i].Key] = asked[history[i].Key] || isTransfer(&history[i])
	}
	seen := map[string]int{}
	return service.ExportTransfers(ctx, func(t ledger.ExportedTransfer) error {
		if t.Origin.Seq > 0 || t.Kind == ledger.KindMoveOut || t.Kind == ledger.KindMoveIn {
			return nil // the copy of a row that is counted where it came from, or how a bucket changed sides
		}
		seen[t.Key]++
		if seen[t.Key] == 2 {
			p.Doubled++
		}
		if !asked[t.Key] {
			p.Unknown++
		}
		return nil
	})
}

func (p *proof) audit(ctx context.Context, c ledger.Config) error {
	report, err := ledger.Audit(ctx, ledger.AuditOptions{Dir: c.Dir, Clusters: c.Clusters})
	if err != nil {
		return fmt.Errorf("audit after the fault: %w", err)
	}
	p.Audit = []string{}
	for _, f := range report.Findings {
		p.Audit = append(p.Audit, f.String())
	}
	return nil
}
