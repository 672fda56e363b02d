package api

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
)

// The states of an audit.
const (
	auditNever   = "never"
	auditRunning = "running"
	auditClean   = "clean"
	auditBroken  = "broken"
	auditStopped = "stopped" // it could not finish: shutdown, or the files could not be read
)

// AuditFunc proves the books and what was derived from them, telling now and then how far each
// shard is. It returns one line for each broken invariant; an error means that it could not finish.
type AuditFunc func(ctx context.Context, progress func(shard int, seq, head int64)) (findings []string, err error)

// auditor runs one audit at a time, in the goroutine of API.Run, and remembers the last.
type auditor struct {
	audit AuditFunc
	clock clock.Clock
	log   *slog.Logger
	begin chan struct{} // one audit waits at most

	mu   sync.Mutex
	last Audit
}

func newAuditor(d Deps) *auditor {
	return &auditor{audit: d.Audit, clock: d.Clock, log: d.Log, begin: make(chan struct{}, 1),
		last: Audit{Status: auditNever}}
}

// run does the audits that are asked for until ctx is done.
func (a *auditor) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.begin:
			findings, err := a.audit(ctx, a.progress)
			a.finish(ctx, findings, err)
		}
	}
}

// start begins an audit, or answers with the one that is running.
func (a *auditor) start(by string, now time.Time) (Audit, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last.Status == auditRunning {
		return a.copied(), nil
	}
	select {
	case a.begin <- struct{}{}:
	default:
		return Audit{}, errs.New(errs.CodeUnavailable, "an audit is already waiting")
	}
	a.last = Audit{Status: auditRunning, StartedBy: by, StartedAt: &now}
	return a.copied(), nil
}

// state returns the last audit.
func (a *auditor) state() Audit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.copied()
}

func (a *auditor) copied() Audit {
	out := a.last
	out.Progress, out.Findings = slices.Clone(out.Progress), slices.Clone(out.Findings)
	return out
}

// progress notes how far one shard is.
func (a *auditor) progress(shard int, seq, head int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, found := slices.BinarySearchFunc(a.last.Progress, shard, func(p AuditProgress, s int) int { return cmp.Compare(p.Shard, s) })
	if !found {
		a.last.Progress = slices.Insert(a.last.Progress, i, AuditProgress{Shard: shard})
	}
	a.last.Progress[i].Seq, a.last.Progress[i].Head = seq, head
}

// finish notes how the audit ended. A broken invariant is an error in the log whoever asked.
func (a *auditor) finish(ctx context.Context, findings []string, err error) {
	now := a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last.DoneAt = &now
	switch {
	case err != nil:
		a.last.Status = auditStopped
		a.log.WarnContext(ctx, "audit stopped", "error", err)
	case len(findings) == 0:
		a.last.Status = auditClean
	default:
		a.last.Status, a.last.Findings = auditBroken, findings
		a.log.ErrorContext(ctx, "audit found a broken invariant", "findings", findings)
	}
}
