package sportsbook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
)

// makePass settles the bets of one decision on this shard.
func (w *shardSettler) makePass(ctx context.Context, p *pass) error {
	if err := w.begin(ctx, p); err != nil {
		return err
	}
	w.stored = w.t.clock.Now()
	for _, marketID := range w.passMarkets(p) {
		if err := w.settleMarket(ctx, p, marketID); err != nil {
			return fmt.Errorf("market %s: %w", marketID, err)
		}
	}
	if err := w.await(ctx, 0, maxRedrives); err != nil {
		return err
	}
	w.settleStrays(ctx)
	return w.t.finish(ctx, p)
}

// settleMarket settles the bets of one market, player by player within what is read at once. A player's
// bets lie side by side in the ledger's postings and in the history: settled one after the other they are a
// few pages to write, in the order they were placed each is a page of its own.
func (w *shardSettler) settleMarket(ctx context.Context, p *pass, marketID string) error {
	var after int64
	for {
		var err error
		if w.chunk, err = w.bets.inMarket(ctx, marketID, after, w.t.cfg.ReadBets, w.chunk[:0]); err != nil {
			return err
		}
		n := len(w.chunk)
		if n > 0 {
			after = w.chunk[n-1].seq
		}
		slices.SortFunc(w.chunk, func(a, b bet) int {
			return cmp.Or(strings.Compare(string(a.player), string(b.player)), cmp.Compare(a.seq, b.seq))
		})
		for bets := range slices.Chunk(w.chunk, w.t.cfg.ChunkBets) {
			if err := w.settleChunk(ctx, p, bets); err != nil {
				return err
			}
			if err := w.storeProgress(ctx, p); err != nil {
				return err
			}
		}
		if n < w.t.cfg.ReadBets {
			return nil
		}
	}
}

// storeProgress stores a running pass now and then.
func (w *shardSettler) storeProgress(ctx context.Context, p *pass) error {
	now := w.t.clock.Now()
	if now.Sub(w.stored) < storeEvery {
		return nil
	}
	w.stored = now
	return w.t.storePass(ctx, p, 0)
}

// begin waits until the projection shows every bet that was in the log when the decision was known.
// The market was closed before, so what comes later is late, and found by the projection itself.
func (w *shardSettler) begin(ctx context.Context, p *pass) error {
	head := w.t.ledger.Head(w.shard)
	w.t.mu.Lock()
	p.head, p.bets, p.settled, p.paid, p.doneUS = head, 0, 0, 0, 0
	p.startedUS = w.t.clock.Now().UnixMicro()
	w.t.mu.Unlock()
	if err := w.t.storePass(ctx, p, 0); err != nil {
		return err
	}
	if err := w.sink.WaitFor(ctx, head); err != nil {
		return fmt.Errorf("wait for open bets at %d: %w", head, err)
	}
	return nil
}

// passMarkets returns the markets that a decision decides.
func (w *shardSettler) passMarkets(p *pass) []string {
	if p.Kind == DecisionVoid {
		return []string{p.MarketID}
	}
	facts := w.t.offer.eventMarkets(p.EventID)
	markets := make([]string, len(facts))
	for i, f := range facts {
		markets[i] = f.MarketID
	}
	return markets
}

// settleChunk grades bets and sends what is to do, within the window of flights.
func (w *shardSettler) settleChunk(ctx context.Context, p *pass, bets []bet) error {
	flights := make([]*flight, 0, len(bets))
	var settled, paid int64
	for i := range bets {
		b := &bets[i]
		command, needed, err := w.judgeBet(ctx, b)
		switch {
		case err != nil: // reported; the audit names it until it is repaired
		case needed:
			flights = append(flights, &flight{bet: *b, command: command, pass: p})
		case !b.isOpen():
			settled++
			if b.payoutMinor > 0 {
				paid++
			}
		}
	}
	w.t.mu.Lock()
	p.bets += int64(len(bets))
	p.settled += settled
	p.paid += paid
	w.t.mu.Unlock()
	if err := w.send(ctx, flights); err != nil {
		return err
	}
	w.settleStrays(ctx)
	return w.await(ctx, max(w.t.cfg.WindowBets-w.t.cfg.ChunkBets, 0), maxRedrives)
}

// settleLate settles bets that reached the log after their market was decided, and bets that were
// settled to something else than was asked.
func (w *shardSettler) settleLate(ctx context.Context) error {
	w.settleStrays(ctx)
	now := w.t.clock.Now()
	if now.Before(w.lateAfter) {
		return nil
	}
	w.mu.Lock()
	w.retryStuck(now)
	late, lost := w.late, w.lateLost
	w.late, w.lateLost = nil, false
	w.mu.Unlock()
	if len(late) == 0 && !lost {
		return nil
	}
	if err := w.settleLateBets(ctx, late, lost); err != nil {
		w.mu.Lock()
		for _, seq := range late {
			w.noteLate(seq)
		}
		w.lateLost = w.lateLost || lost
		w.mu.Unlock()
		w.dropFlights()
		w.lateFails++
		w.lateAfter = w.t.clock.Now().Add(min(retryFirst<<min(w.lateFails, 10), retryLongest))
		return err
	}
	w.lateFails = 0
	return nil
}

// settleLateBets waits until the projection shows the whole log: a bet that is read again after its
// database was lost is in the log with its settlement. Then it grades the late bets, or all that are
// open or newly settled if there were too many to remember.
func (w *shardSettler) settleLateBets(ctx context.Context, seqs []int64, all bool) error {
	if err := w.sink.WaitFor(ctx, w.t.ledger.Head(w.shard)); err != nil {
		return err
	}
	if !all {
		bets, err := w.bets.bySeq(ctx, seqs)
		if err != nil {
			return err
		}
		return w.settleThese(ctx, bets)
	}
	var after int64
	for {
		var err error
		if w.chunk, err = w.bets.openOrSettledSince(ctx, w.since, after, w.t.cfg.ChunkBets, w.chunk[:0]); err != nil {
			return err
		}
		if err := w.settleThese(ctx, w.chunk); err != nil {
			return err
		}
		if len(w.chunk) < w.t.cfg.ChunkBets {
			return nil
		}
		after = w.chunk[len(w.chunk)-1].seq
	}
}

// settleThese settles bets outside any pass. It does not wait long for them, because passes wait
// meanwhile: what the log does not show then is tried again between passes.
func (w *shardSettler) settleThese(ctx context.Context, bets []bet) error {
	flights := make([]*flight, 0, len(bets))
	for i := range bets {
		command, needed, err := w.judgeBet(ctx, &bets[i])
		switch {
		case err != nil: // reported
		case needed:
			w.t.metrics.late.Inc()
			flights = append(flights, &flight{bet: bets[i], command: command})
		default:
			w.unstick(bets[i].id)
		}
	}
	if err := w.send(ctx, flights); err != nil {
		return err
	}
	return w.await(ctx, 0, 0)
}

// settleStrays looks at bets that changed without being in flight, by commands that were sent before
// a restart or that the payer had kept waiting. It moves their exposure, and judges them: a decision
// since may have found the bet right as it was, and then no pass is left that would grade it.
func (w *shardSettler) settleStrays(ctx context.Context) {
	w.mu.Lock()
	strays := w.strays
	w.strays = nil
	w.mu.Unlock()
	if len(strays) == 0 {
		return
	}
	ids := make([]id.Bet, len(strays))
	changes := make(map[id.Bet][]betChange, len(strays))
	for i, c := range strays {
		ids[i] = c.id
		changes[c.id] = append(changes[c.id], c)
	}
	bets, err := w.bets.byID(ctx, ids)
	if err != nil {
		if !errs.Is(err, errs.CodeUnavailable) {
			w.t.log.ErrorContext(ctx, "bets settled by old commands wait", "shard", w.shard, "bets", len(ids), "error", err)
		}
		w.mu.Lock()
		w.strays = append(strays, w.strays...)
		w.mu.Unlock()
		return
	}
	w.mu.Lock()
	for i := range bets {
		for _, c := range changes[bets[i].id] {
			w.moveExposure(c, &bets[i])
		}
	}
	w.mu.Unlock()
	for i := range bets {
		w.recheck(ctx, &bets[i])
	}
}

// Retention.
const (
	retireEvery = time.Hour
	retireChunk = 500
)

// retire deletes settled bets that no correction reaches any more, a few at a time.
func (w *shardSettler) retire(ctx context.Context) error {
	ticker := time.NewTicker(retireEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		before := w.t.clock.Now().Add(-w.t.cfg.Retention)
		if n, err := w.bets.retire(ctx, before, retireChunk); err != nil && ctx.Err() == nil {
			w.t.log.ErrorContext(ctx, "old bets are not deleted", "shard", w.shard, "error", err)
		} else if n > 0 {
			w.t.log.InfoContext(ctx, "old bets deleted", "shard", w.shard, "bets", n)
		}
	}
}
