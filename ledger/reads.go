package ledger

import (
	"context"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// Balance returns the balance of an account as last committed. An account nobody has used yet has
// zero and no currency. The balance of a house account is the sum over the shards, each as last
// committed, and has no position: a house has one account per shard.
func (s *Service) Balance(ctx context.Context, a Address) (Balance, error) {
	return atHome(ctx, s, a.Player(), func() (Balance, error) {
		return s.reads.balance(a, func(_ int, r readerStore) (balanceRow, error) { return r.balance(ctx, a) })
	})
}

// BalanceFrom returns the balance of an account from a replica of its shard that shows at least the
// position, or from the writer's side if none does within a few milliseconds. With the zero position
// any replica may answer, which is at most Config.MaxReplicaLag behind; so the answer of a second
// call may be older than that of the first. A shard without replicas is read as [Service.Balance]
// reads it.
func (s *Service) BalanceFrom(ctx context.Context, a Address, at stream.Position) (Balance, error) {
	if err := s.knowHome(ctx, a.Player(), at); err != nil {
		return Balance{}, err
	}
	return s.reads.balance(a, func(n int, _ readerStore) (row balanceRow, err error) {
		one := s.shards[n]
		need, err := s.needOf(ctx, one, at)
		if err != nil {
			return row, err
		}
		err = one.readFrom(ctx, need, func(r readerStore) (int64, error) {
			row, err = r.balance(ctx, a)
			return row.seq, err
		})
		return row, err
	})
}

// BalanceAt returns the balance as it was after the last commit at or before the time.
func (s *Service) BalanceAt(ctx context.Context, a Address, at time.Time) (Balance, error) {
	return atHome(ctx, s, a.Player(), func() (Balance, error) {
		return s.reads.balance(a, func(_ int, r readerStore) (balanceRow, error) { return r.balanceAt(ctx, a, at) })
	})
}

// shardReaders is the reading side of all shards.
type shardReaders struct {
	place  *placed
	stores []readerStore
}

// balance reads an account on its shard, or sums a house account over all of them.
func (r shardReaders) balance(a Address, read func(shard int, r readerStore) (balanceRow, error)) (Balance, error) {
	parts, ok := parseAddress(string(a))
	if !ok {
		return Balance{}, errs.New(errs.CodeInvalid, "%.40q is not an account address", string(a))
	}
	out := Balance{Account: a}
	first, stores := 0, r.stores
	if parts.player != "" {
		if first = r.place.shardOf(parts.player); first >= len(stores) {
			return Balance{}, errs.New(errs.CodeUnavailable, "shard %d is not known here", first)
		}
		stores = stores[first : first+1]
	}
	for i, store := range stores {
		row, err := read(first+i, store)
		if err != nil {
			return Balance{}, err
		}
		if row.currency != "" {
			out.Currency = row.currency
		}
		sum, ok := money.AddMinor(out.PostedMinor, row.posted)
		if !ok {
			return Balance{}, errs.New(errs.CodeInternal, "the sum of %s over the shards is out of range", a)
		}
		out.PostedMinor = sum
		out.HeldMinor += row.held
		if parts.player != "" {
			out.Position = stream.Position{Shard: first, Seq: row.seq}
		}
	}
	out.AvailableMinor = out.PostedMinor - out.HeldMinor
	return out, nil
}

// maxWait bounds WaitFor, whatever deadline its context has.
const maxWait = 5 * time.Second

// WaitFor returns when the position is committed here: at once for a position of this process's own
// answers. It is CodeUnavailable if that takes longer than ctx or five seconds.
func (s *Service) WaitFor(ctx context.Context, p stream.Position) error {
	one, err := s.shard(p.Shard)
	if err != nil {
		return err
	}
	return one.waitFor(ctx, p.Seq)
}

// waitFor is WaitFor on one shard.
func (s *shard) waitFor(ctx context.Context, seq int64) error {
	if s.head.Load() >= seq {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for {
		changed := s.ring.wait() // before the look, so that no commit falls between
		if s.head.Load() >= seq {
			return nil
		}
		look, err := s.lookAhead(ctx)
		if err != nil {
			return err
		}
		if s.head.Load() >= seq {
			return nil
		}
		select {
		case <-changed:
		case <-look:
		case <-ctx.Done():
			return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "position %d-%d is not here yet", s.number, seq)
		}
	}
}

func (s *Service) shard(n int) (*shard, error) {
	if n < 0 || n >= len(s.shards) {
		return nil, errs.New(errs.CodeInvalid, "there is no shard %d", n)
	}
	return s.shards[n], nil
}

// ShardStatus is the state of one shard's writer.
type ShardStatus struct {
	Shard             int
	Position          int64
	Epoch             int64
	QueuedInteractive int // transfers waiting
	QueuedBulk        int
	Committed         uint64    // transfers since Open, refusals included
	LastMinute        int64     // transfers committed within it by this process
	LastCommit        time.Time // zero while there is none
	Quarantine        string    // why nobody writes the shard: its database lacks commits that were answered; "" if it is not so
	Relayed           int64     // how far the stream shows the log, -1 if this process does not publish it
	IsHere            bool      // this process writes it
	Owner             string    // of several processes the one that writes it
	Trouble           string    // why it cannot be written now, "" if it can as far as is known here
}

// Status returns the state of every shard.
func (s *Service) Status() []ShardStatus {
	out := make([]ShardStatus, len(s.shards))
	for i, one := range s.shards {
		out[i] = ShardStatus{
			Shard: i, Position: one.head.Load(), Epoch: one.epoch.Load(),
			QueuedInteractive: int(one.interactive.queued.Load()), QueuedBulk: int(one.bulk.queued.Load()),
			Committed:  one.transfers.Load(),
			LastMinute: one.steps.window.read(i, s.clock.Now()).Rows, Relayed: one.relayed.Load(),
		}
		if us := one.lastUS.Load(); us > 0 {
			out[i].LastCommit = fromMicros(us)
		}
		if problem := one.problem.Load(); problem != nil {
			out[i].Quarantine = *problem
		}
		s.state(one, &out[i])
	}
	return out
}

// Shards implements [stream.Log].
func (s *Service) Shards() int { return len(s.shards) }

// Head implements [stream.Log]. That of a shard which another process writes may be a poll old.
func (s *Service) Head(shard int) int64 {
	one, err := s.shard(shard)
	if err != nil {
		return 0
	}
	one.watched.Store(one.shared)
	return one.head.Load()
}

// HeadAge implements [stream.SharedLog]. The end of a log that another process writes is read at each poll
// after it was first asked for. That of a log of one's own is from now for as long as nobody can have taken it over: a
// process that slept does not know yet whether it was replaced.
func (s *Service) HeadAge(shard int) (seq int64, age time.Duration, known bool) {
	one, err := s.shard(shard)
	if err != nil {
		return 0, 0, false
	}
	if !one.isElsewhere() {
		return one.head.Load(), s.unseen(), true
	}
	one.watched.Store(true)
	looked := one.looked.Load()
	if looked == 0 {
		return one.head.Load(), 0, false
	}
	return one.head.Load(), max(s.clock.Now().Sub(time.UnixMicro(looked)), time.Microsecond), true
}

// unseen returns how long this process has not shown that it lives, 0 while others must know that it does: they count
// three polls, the first of which may come early.
func (s *Service) unseen() time.Duration {
	if s.keeper == nil {
		return 0
	}
	if since := s.clock.Now().Sub(s.keeper.lastBeat()); since > 2*s.config.poll() {
		return since
	}
	return 0
}

// ReadLog implements [stream.Log]. Recent batches come from memory, older ones from the file. The
// records are shared: do not change them.
func (s *Service) ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	one, err := s.shard(shard)
	if err != nil {
		return nil, err
	}
	if !one.isElsewhere() {
		if batches, ok := one.ring.read(after, maxRecords); ok {
			return batches, nil
		}
	}
	return one.store.log(ctx, shard, after, maxRecords)
}

// Changed implements [stream.Log]. The channel of a shard that does not exist is never closed.
func (s *Service) Changed(shard int) <-chan struct{} {
	one, err := s.shard(shard)
	if err != nil {
		return nil
	}
	return one.ring.wait()
}

// States of an exported transfer.
const (
	stateCommitted = "committed"
	stateRefused   = "refused"
)

// ExportedTransfer is one transfer as transfers.csv has it.
type ExportedTransfer struct {
	Shard        int
	Seq          int64
	Key          string
	Kind         Kind
	At           time.Time
	Jurisdiction id.Jurisdiction
	Currency     money.Currency
	State        string    // "committed" or "refused"
	Code         errs.Code // why refused
	Postings     []Posting // what was asked for, if refused

	// Origin is where the transfer was committed first, if this is the copy that came with its
	// player's bucket; the zero position otherwise. At is the time it was committed there.
	Origin stream.Position
}

// ExportTransfers hands every transfer of every shard to fn, in the order of each log. It stops at
// fn's first error.
func (s *Service) ExportTransfers(ctx context.Context, fn func(ExportedTransfer) error) error {
	for _, one := range s.shards {
		if err := one.store.export(ctx, one.number, fn); err != nil {
			return err
		}
	}
	return nil
}

var _ stream.Log = (*Service)(nil)
