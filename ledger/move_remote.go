package ledger

import (
	"context"
	"sync"
	"time"

	"matchday/errs"
	"matchday/money"
)

// A move runs in the process that writes its source: what it does there ends with that process's time
// as the shard's writer, so of two processes that believe a move theirs only one can change the source.
// What the destination has to do, its owner does, which may be another process.

// moveAction is what the owner of a move's destination does for the mover.
type moveAction uint8

const (
	askLook    moveAction = iota + 1 // say what the shard has of the buckets
	askReceive                       // be ready for their rows
	askCopy                          // append rows of the source's log
	askShares                        // say what a bucket's rows add up to
	askArrive                        // serve a bucket
)

// opMove is the operation for other processes.
const opMove = "move"

// moveCall asks for one action. Asked again after an answer that was lost, each does no harm.
type moveCall struct {
	Do      moveAction
	Move    string
	From    int        // the source
	Buckets []movePart // with askCopy, After is where the bucket's rows are missing from
	Lane    Lane       // of askCopy

	After, UpTo int64 // askCopy: the part of the source's log
	Limit       int   // askCopy: rows

	Seq  int64 // askArrive: where the bucket left its source
	AtUS int64 // askArrive: the source's time
}

// movePart is one bucket of a call.
type movePart struct {
	Bucket int
	After  int64
}

// moveAnswer is what an action found.
type moveAnswer struct {
	Rows   []moveRow // askLook
	UpTo   int64     // askCopy: the source's log was looked at up to here
	Copied int       // askCopy: rows
	Shares []moveShare
	Seq    int64 // askArrive: where the bucket came
}

// moveRow and moveShare are a bucketRow and a share that can travel.
type (
	moveRow struct {
		Bucket int
		State  uint8
		Peer   int
		Move   string
		Seq    int64
	}
	moveShare struct {
		Address  Address
		Currency money.Currency
		Amount   int64
	}
)

func moveForPeer(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error) {
	var call moveCall
	if err := decode(&call); err != nil {
		return nil, err
	}
	if err := call.check(len(s.shards)); err != nil {
		return nil, err
	}
	return s.moveHere(ctx, shard, &call)
}

// check refuses what no mover asks for.
func (c *moveCall) check(shards int) error {
	if c.From < 0 || c.From >= shards || len(c.Buckets) == 0 || len(c.Buckets) > buckets || c.Limit < 0 || c.Limit > hurriedRows {
		return errs.New(errs.CodeInvalid, "the step of move %.40q is not one", c.Move)
	}
	for _, b := range c.Buckets {
		if b.Bucket < 0 || b.Bucket >= buckets {
			return errs.New(errs.CodeInvalid, "there is no bucket %d", b.Bucket)
		}
	}
	return nil
}

// moveOn has the owner of a shard do its part of a move, wherever that is, and while the shard changes
// hands whoever gets it.
func (s *Service) moveOn(ctx context.Context, shard int, call *moveCall) (*moveAnswer, error) {
	var out *moveAnswer
	err := s.retryHere(ctx, func() (err error) {
		out, err = s.moveHere(ctx, shard, call)
		if s.isForOwner(err) {
			out = new(moveAnswer)
			err = s.forward(ctx, shard, opMove, call, out)
		}
		return err
	})
	return out, err
}

// moveHere does it, if the shard is written here.
func (s *Service) moveHere(ctx context.Context, shard int, call *moveCall) (*moveAnswer, error) {
	one := s.shards[shard]
	if one.isElsewhere() {
		return nil, errHandedOver
	}
	out := &moveAnswer{}
	switch call.Do {
	case askLook:
		l := &look{rows: map[int]bucketRow{}}
		for _, b := range call.Buckets {
			l.buckets = append(l.buckets, b.Bucket)
		}
		if err := one.do(ctx, LaneInteractive, 0, l); err != nil {
			return nil, err
		}
		for _, r := range l.rows {
			out.Rows = append(out.Rows, moveRow{r.bucket, uint8(r.state), r.peer, r.move, r.seq})
		}
		return out, nil
	case askReceive:
		st := &receive{move: call.Move, from: call.From}
		for _, b := range call.Buckets {
			st.buckets = append(st.buckets, copyStart{b.Bucket, b.After})
		}
		return out, one.do(ctx, LaneInteractive, 0, st)
	case askCopy:
		return s.copyHere(ctx, one, call)
	case askShares:
		st := &readShares{bucket: call.Buckets[0].Bucket}
		if err := one.do(ctx, LaneInteractive, 0, st); err != nil {
			return nil, err // the writer may have it still
		}
		for _, p := range st.shares {
			out.Shares = append(out.Shares, moveShare{p.address, p.currency, p.amount})
		}
		return out, nil
	case askArrive:
		in := &moveIn{move: call.Move, from: call.From, bucket: call.Buckets[0].Bucket, fromSeq: call.Seq, atUS: call.AtUS}
		if err := one.do(ctx, LaneInteractive, 0, in); err != nil {
			return nil, err
		}
		s.came(shard, in.bucket, in.seq)
		out.Seq = in.seq
		return out, nil
	}
	return nil, errs.New(errs.CodeInvalid, "move %.40q asks for something unknown", call.Move)
}

// copyHere reads rows of the source's log and appends them to a shard of this process.
func (s *Service) copyHere(ctx context.Context, one *shard, call *moveCall) (*moveAnswer, error) {
	wanted := make(map[int]int64, len(call.Buckets))
	for _, b := range call.Buckets {
		wanted[b.Bucket] = b.After
	}
	rows, upTo, err := s.shards[call.From].store.copyRows(ctx, call.From, call.After, call.UpTo, call.Limit, wanted)
	if err != nil {
		return nil, err
	}
	if err := s.ownKeys(ctx, rows); err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		st := &copyIn{move: call.Move, from: call.From, upTo: upTo, rows: rows}
		if err := one.do(ctx, call.Lane, len(rows), st); err != nil {
			return nil, err
		}
		s.figures.copiedRows(len(rows))
	}
	return &moveAnswer{UpTo: upTo, Copied: len(rows)}, nil
}

// ownKeys gives rows their own keys back that have second ones on the source, because another player had
// theirs there. By its own key a row is known on shards where it is already; there it may be free, too.
func (s *Service) ownKeys(ctx context.Context, rows []copiedRow) error {
	own := func(key *string, at origin) error {
		if *key != originKey(at) {
			return nil
		}
		from, err := s.shard(at.shard)
		if err != nil {
			return err
		}
		row, err := from.store.rowAt(ctx, at.shard, at.seq)
		if err == nil && row.key != "" {
			*key = row.key
		}
		return err
	}
	for i := range rows {
		c := &rows[i]
		if err := own(&c.key, c.origin); err != nil {
			return err
		}
		if err := own(&c.holdKey, c.holdOrigin); err != nil {
			return err
		}
	}
	return nil
}

// came notes where a bucket came: replicas that have not got so far do not have its rows.
func (s *Service) came(shard, bucket int, seq int64) {
	s.shards[shard].cameBy(seq)
	s.since[bucket].Store(seq)
}

// do has the shard's writer take a step, and waits until it is durable.
func (s *shard) do(ctx context.Context, lane Lane, rows int, st step) error {
	j := &job{step: st, weight: rows, done: make(chan struct{})}
	if err := s.submit(lane, j); err != nil {
		return err
	}
	return wait(ctx, j)
}

// led is a step on a move's source, by a mover that began in the given tenure of the shard's writer: once
// another process has written the shard, what it goes by may be out of date.
type led struct {
	step
	tenure int64
}

func (l led) apply(ctx context.Context, b *builder) error {
	if b.tenure != l.tenure {
		return asRefusal(errs.New(errs.CodeUnavailable, "shard %d has had another writer since the mover began", b.shard))
	}
	return l.step.apply(ctx, b)
}

// opPlaced tells a process that buckets have another home.
const opPlaced = "placed"

// announceFor bounds how long a mover waits for processes to learn where a bucket is. One that does not
// answer learns it at its next look at the directory.
const announceFor = 200 * time.Millisecond

func placedForPeer(ctx context.Context, s *Service, _ int, _ func(any) error) (any, error) {
	return &barrierAnswer{Done: true}, s.refreshPlacement(ctx)
}

// announce has every other process read the placement now.
func (v *mover) announce(ctx context.Context) {
	seen := v.owners.Load()
	if v.peers == nil || seen == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceFor)
	defer cancel()
	var told sync.WaitGroup
	for _, p := range seen.processes {
		if p.address == v.keeper.self.address {
			continue
		}
		told.Go(func() {
			if err := v.peers.call(ctx, p.address, v.To, opPlaced, &barrierCall{Shard: v.To}, &barrierAnswer{}); err != nil {
				v.log.DebugContext(ctx, "process not told of a bucket's new home", "process", p.name, "error", err)
			}
		})
	}
	told.Wait()
}
