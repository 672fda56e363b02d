package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
)

// LossRequest says which loss an operator accepts.
type LossRequest struct {
	Shard  int
	Seq    int64  // where the log ends that is gone on with
	By     string // who accepts it, up to 200 bytes
	Reason string // why, up to 500 bytes
}

// Loss is a loss of answered commits that an operator has accepted: what was answered up to LostSeq
// and is not in the log up to KeptSeq is given up.
type Loss struct {
	Shard     int       `json:"shard"`
	At        time.Time `json:"at"`
	By        string    `json:"by"`
	Reason    string    `json:"reason"`
	KeptEpoch int64     `json:"kept_epoch"`
	KeptSeq   int64     `json:"kept_seq"`
	KeptSeal  string    `json:"kept_seal"` // hexadecimal, as exports have it
	LostEpoch int64     `json:"lost_epoch"`
	LostSeq   int64     `json:"lost_seq"`
	LostSeal  string    `json:"lost_seal"`

	kept, lost mark
}

// show fills in what others see of the marks.
func (l *Loss) show() {
	l.KeptEpoch, l.KeptSeq, l.KeptSeal = l.kept.epoch, l.kept.seq, hex.EncodeToString(l.kept.seal[:])
	l.LostEpoch, l.LostSeq, l.LostSeal = l.lost.epoch, l.lost.seq, hex.EncodeToString(l.lost.seal[:])
}

func (r LossRequest) validate(shards int) error {
	var check errs.Check
	if r.Shard < 0 || r.Shard >= shards {
		check.Add("shard", "must be 0 to %d", shards-1)
	}
	if r.Seq < 0 {
		check.Add("seq", "must not be negative")
	}
	if n := len(strings.TrimSpace(r.By)); n == 0 || n > 200 {
		check.Add("by", "must be 1 to 200 bytes")
	}
	if n := len(strings.TrimSpace(r.Reason)); n == 0 || n > 500 {
		check.Add("reason", "must be 1 to 500 bytes")
	}
	return check.Err()
}

// AcceptLoss ends the quarantine of a shard by giving up what its database lacks: the shard goes on where
// the log ends now, which must be the sequence of the request. The loss is recorded for good. A process
// that writes the books takes the shard within seconds.
//
// Streams and projections may show what was lost; the runbook primary-lost says what to do with them.
//
// Errors: invalid; conflict if the shard is not quarantined, or its log ends elsewhere.
func AcceptLoss(ctx context.Context, c Config, clk clock.Clock, r LossRequest) (l Loss, err error) {
	if err := c.Validate(); err != nil {
		return Loss{}, err
	}
	if err := r.validate(c.shards()); err != nil {
		return Loss{}, err
	}
	f, err := openFleet(ctx, c.Clusters, mysqldb.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Loss{}, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	d, err := openDirectoryAsIs(ctx, c, f, clk)
	if err != nil {
		return Loss{}, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	seen, err := d.tenancy(ctx, r.Shard)
	if err != nil {
		return Loss{}, err
	}
	if seen.problem == "" {
		return Loss{}, errs.New(errs.CodeConflict, "shard %d is not quarantined: there is no loss to accept", r.Shard)
	}
	now, err := stateOf(ctx, c, f, r.Shard)
	if err != nil {
		return Loss{}, err
	}
	if now.seq != r.Seq {
		return Loss{}, errs.New(errs.CodeConflict, "the log of shard %d ends at %d now, not at %d: nothing was accepted", r.Shard, now.seq, r.Seq)
	}
	l = Loss{Shard: r.Shard, At: clk.Now().UTC(), By: strings.TrimSpace(r.By), Reason: strings.TrimSpace(r.Reason), kept: now.mark(), lost: seen.lost}
	if seen.noted.isAfter(l.lost) {
		l.lost = seen.noted
	}
	l.show()
	return l, d.acceptLoss(ctx, &l, seen)
}

// stateOf reads where the log of a shard stands, beside whoever writes it.
func stateOf(ctx context.Context, c Config, f *fleet, shard int) (shardState, error) {
	one := bookShard{}
	if cluster := f.byShard[shard]; cluster != nil {
		one.on = newInDatabase(cluster.Reads(), cluster.Config().DatabaseOf(shard))
	} else if err := one.open(shardFile(c.Dir, shard), 1); err != nil {
		return shardState{}, err
	} else {
		defer func() { _ = one.file.Close() }()
	}
	now, err := lookups{on: one.on}.state(ctx)
	if errs.Is(err, errs.CodeNotFound) { // nobody has written it
		err = nil
	}
	return now, err
}
