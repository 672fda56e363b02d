package ledger

import (
	"context"

	"matchday/errs"
	"matchday/stream"
)

// DryRun answers what CommitBatch would answer now, and stores nothing: no sequence is used and no key
// is taken. The transfers of a shard are tried in the order given by its writer, each on top of those
// before it in the same call, and taken back.
//
// A result has the balances and the error of a commit, a position only if it is a replay. It promises
// nothing: another call may come first.
//
// Errors: too_large; those of CommitBatch in the results.
func (s *Service) DryRun(ctx context.Context, list []Transfer) ([]Result, error) {
	if len(list) > MaxBatch {
		return nil, errs.New(errs.CodeTooLarge, "%d transfers in one call, at most %d", len(list), MaxBatch)
	}
	results := make([]Result, len(list))
	parts := map[int][]int{}
	for i := range list {
		one, err := s.home(list[i].Player)
		if err != nil {
			results[i].Err = err
			continue
		}
		parts[one.number] = append(parts[one.number], i)
	}
	for shard, indexes := range parts {
		s.tryPart(ctx, shard, list, indexes, results)
	}
	return results, nil
}

// tryPart tries the transfers of one shard, in this process or another.
func (s *Service) tryPart(ctx context.Context, shard int, list []Transfer, indexes []int, results []Result) {
	part := make([]Transfer, len(indexes))
	for n, i := range indexes {
		part[n] = list[i]
	}
	tried, err := s.tryHere(ctx, shard, part)
	if s.isForOwner(err) {
		var answer commitAnswer
		err = s.forward(ctx, shard, opDryRun, &commitCall{Transfers: part}, &answer)
		if err == nil && len(answer.Results) != len(part) {
			err = errs.New(errs.CodeInternal, "the owner of shard %d answered %d transfers, not %d", shard, len(answer.Results), len(part))
		}
		tried = make([]Result, len(answer.Results))
		for n := range answer.Results {
			tried[n] = answer.Results[n].result()
		}
	}
	if err != nil {
		fail(results, indexes, hide(err))
		return
	}
	for n, i := range indexes {
		results[i] = tried[n]
	}
}

// tryHere tries transfers of one shard, if it is written here.
func (s *Service) tryHere(ctx context.Context, shard int, list []Transfer) ([]Result, error) {
	results := make([]Result, len(list))
	tried := make([]Result, len(list))
	j := &job{dry: true, done: make(chan struct{})}
	var origin []int
	for i := range list {
		e, err := prepare(&list[i])
		if err != nil {
			results[i].Err = err
			continue
		}
		e.out = &tried[i]
		j.entries, j.bytes = append(j.entries, e), j.bytes+e.size
		origin = append(origin, i)
	}
	if err := s.shards[shard].submit(LaneInteractive, j); err != nil {
		return nil, err
	}
	if err := wait(ctx, j); err != nil {
		return nil, err
	}
	for _, i := range origin {
		results[i] = tried[i]
	}
	return results, nil
}

// try applies the transfers of a dry run and takes them back.
func (b *builder) try(ctx context.Context, j *job) error {
	b.mayUndo()
	made := len(b.out.rows)
	first := len(b.answers)
	for i := range j.entries {
		if err := b.apply(ctx, &j.entries[i]); err != nil {
			return err
		}
	}
	for i := range b.answers[first:] {
		a := &b.answers[first+i]
		b.fill(a)
		if a.row >= made {
			a.result.Position = stream.Position{}
		}
	}
	b.takeBack()
	return nil
}
