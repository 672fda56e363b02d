package ledger

import (
	"context"

	"matchday/errs"
	"matchday/id"
)

// Bounds of a dry run. It may not cost those who commit more than other bulk work does.
const (
	// MaxDryRun bounds one DryRun.
	MaxDryRun = 1000
	// MaxDryRunOfPlayer bounds the transfers of one player in it: they are tried together, in one job.
	MaxDryRunOfPlayer = 128
)

// DryRun answers what CommitBatch would answer now, and stores nothing: no sequence is used and no key
// is taken. The transfers of a player are tried in the order given, each on top of the player's before
// it in the same call, and taken back. Players are tried apart: a key that two of them have in one call
// is a conflict only when it is committed.
//
// It waits in the bulk lane, in jobs of at most 128 transfers one after the other, so that bets never
// wait for it longer than for other bulk work.
//
// A result has the balances and the error of a commit, a position only if it is a replay. It promises
// nothing: another call may come first.
//
// Errors: too_large, also in the results of a player with more than MaxDryRunOfPlayer transfers; those of
// CommitBatch in the results.
func (s *Service) DryRun(ctx context.Context, list []Transfer) ([]Result, error) {
	if len(list) > MaxDryRun {
		return nil, errs.New(errs.CodeTooLarge, "%d transfers in one dry run, at most %d", len(list), MaxDryRun)
	}
	results := make([]Result, len(list))
	s.inRounds(ctx, results, func(asked []int) error { return s.tryRound(ctx, list, asked, results) })
	return results, nil
}

// tryRound tries those transfers of the list once, at the places they have now, and sets their results.
// It returns the first error that another place may answer, if there is one.
func (s *Service) tryRound(ctx context.Context, list []Transfer, asked []int, results []Result) error {
	parts := make([][]int, len(s.shards))
	for _, i := range asked {
		one, err := s.home(list[i].Player)
		results[i] = Result{Err: err}
		if err == nil {
			parts[one.number] = append(parts[one.number], i)
		}
	}
	for shard, indexes := range parts {
		for _, chunk := range tryChunks(list, indexes, results) {
			s.tryPart(ctx, shard, list, chunk, results)
		}
	}
	for _, i := range asked {
		if isElsewhere(results[i].Err) {
			return results[i].Err
		}
	}
	return nil
}

// tryChunks cuts the transfers of a shard into jobs. Those of a player stay together, because each is
// tried on top of those before it; a player with more than fit into one job is refused.
func tryChunks(list []Transfer, indexes []int, results []Result) (chunks [][]int) {
	byPlayer := map[id.Player][]int{}
	var players []id.Player
	for _, i := range indexes {
		p := list[i].Player
		if byPlayer[p] == nil {
			players = append(players, p)
		}
		byPlayer[p] = append(byPlayer[p], i)
	}
	var chunk []int
	for _, p := range players {
		own := byPlayer[p]
		if len(own) > MaxDryRunOfPlayer {
			fail(results, own, errs.New(errs.CodeTooLarge, "%d transfers of one player in a dry run, at most %d", len(own), MaxDryRunOfPlayer))
			continue
		}
		if len(chunk)+len(own) > MaxDryRunOfPlayer {
			chunks, chunk = append(chunks, chunk), nil
		}
		chunk = append(chunk, own...)
	}
	if len(chunk) > 0 {
		chunks = append(chunks, chunk)
	}
	return chunks
}

// tryPart tries the transfers of one job, in this process or another.
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
		fail(results, indexes, err)
		return
	}
	for n, i := range indexes {
		results[i] = tried[n]
	}
}

// tryHere tries transfers of one shard in one job, if it is written here.
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
	if err := s.shards[shard].submit(LaneBulk, j); err != nil {
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
	b.tried += len(j.entries)
	made := len(b.out.rows)
	first := len(b.answers)
	for i := range j.entries {
		if err := b.apply(ctx, &j.entries[i]); err != nil {
			return err
		}
	}
	b.fillTried(first, made)
	b.takeBack()
	return nil
}
