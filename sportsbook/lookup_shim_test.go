package sportsbook

import (
	"context"
	"sync"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
)

// lookupShim stands in until ledger.Service has Lookup.
type lookupShim struct {
	*ledger.Service
	mu   sync.Mutex
	sent map[string]ledger.Transfer
}

func (l *lookupShim) Commit(ctx context.Context, lane ledger.Lane, t ledger.Transfer) (ledger.Result, error) {
	l.mu.Lock()
	if _, ok := l.sent[t.Key]; !ok {
		l.sent[t.Key] = t
	}
	l.mu.Unlock()
	return l.Service.Commit(ctx, lane, t)
}

func (l *lookupShim) Lookup(ctx context.Context, p id.Player, key string, request []byte) (ledger.Result, bool, error) {
	l.mu.Lock()
	t, ok := l.sent[key]
	l.mu.Unlock()
	if !ok {
		return ledger.Result{}, false, nil
	}
	if request != nil {
		t.Request = request
	}
	r, err := l.Service.Commit(ctx, ledger.LaneInteractive, t)
	if err != nil && (errs.Is(err, errs.CodeConflict) || errs.Is(err, errs.CodeUnavailable)) {
		return ledger.Result{}, false, err
	}
	r.Err = err
	return r, true, nil
}
