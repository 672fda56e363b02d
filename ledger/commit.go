package ledger

import (
	"context"
	"errors"
	"slices"
	"sync"

	"matchday/errs"
)

// ErrNotTaken is in the chain of an unavailable error when it is certain that this call committed
// nothing: the queue was full, the ledger was stopping, or the caller gave up while the transfer was
// still queued. Another call with the same key may still be on its way.
var ErrNotTaken = errors.New("the writer did not take it")

// Commit commits one transfer and answers when it is durable.
//
// Idempotency: see [Transfer]. If ctx ends first the answer is CodeUnavailable. Then the transfer is
// withdrawn if it was still waiting in the queue, and the error is [ErrNotTaken]; one that the writer
// has in hand may still commit, and asking again with the same key tells.
//
// Errors: those of doc.go; the error is also in Result.Err.
func (s *Service) Commit(ctx context.Context, lane Lane, t Transfer) (Result, error) {
	result, err := s.commitOnce(ctx, lane, t)
	if isElsewhere(err) {
		err = s.again(ctx, err, func() error {
			result, err = s.commitOnce(ctx, lane, t)
			return err
		})
	}
	result.Err = err
	return result, err
}

// commitOnce commits at the place that the player has now.
func (s *Service) commitOnce(ctx context.Context, lane Lane, t Transfer) (Result, error) {
	c := &single{t: t}
	e, err := prepare(&c.t)
	if err != nil {
		return Result{}, err
	}
	one, err := s.home(t.Player)
	if err != nil {
		return Result{}, err
	}
	e.out = &c.result
	c.entry[0] = e
	c.job.entries, c.job.bytes, c.job.done = c.entry[:], e.size, make(chan struct{})
	if err := one.submit(lane, &c.job); err != nil {
		if !s.isForOwner(err) {
			return Result{}, err
		}
		answer := make([]Result, 1)
		s.commitThere(ctx, one.number, lane, []Transfer{t}, []int{0}, answer)
		return answer[0], answer[0].Err
	}
	if err := wait(ctx, &c.job); err != nil {
		return Result{}, err
	}
	return c.result, c.result.Err
}

// single is a call of one transfer, in one piece of memory: there are many of them.
type single struct {
	t      Transfer
	entry  [1]entry
	result Result
	job    job
}

// wait returns when the first of the jobs is answered or ctx is done. Giving up takes back all of
// them that are still queued, the last first, so that none commits after one that was taken back.
func wait(ctx context.Context, jobs ...*job) error {
	first := jobs[0]
	select {
	case <-first.done:
		return first.err
	case <-ctx.Done():
	}
	for _, j := range slices.Backward(jobs) {
		j.withdraw()
	}
	if first.state.Load() == jobWithdrawn {
		return errs.Wrap(errors.Join(ctx.Err(), ErrNotTaken), errs.CodeUnavailable, "gave up waiting for the ledger; nothing was done")
	}
	select {
	case <-first.done: // both were ready: the answer is the better one
		return first.err
	default:
		return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "gave up waiting for the ledger; ask again with the same key")
	}
}

// Barrier returns when the outcome is known of every transfer that the shard had taken before: what
// [Service.Lookup] does not find then will not commit by those calls any more. It waits its turn in
// the interactive lane and writes nothing.
//
// Errors: invalid for a shard that does not exist; unavailable, and then nothing is known.
func (s *Service) Barrier(ctx context.Context, shard int) error {
	if _, err := s.shard(shard); err != nil {
		return err
	}
	return s.retryHere(ctx, func() error { return s.barrierOnce(ctx, shard) })
}

// barrierOnce asks the writer that the shard has now.
func (s *Service) barrierOnce(ctx context.Context, shard int) error {
	err := s.barrierHere(ctx, shard)
	if !s.isForOwner(err) {
		return err
	}
	var answer barrierAnswer
	return s.forward(ctx, shard, opBarrier, &barrierCall{Shard: shard}, &answer)
}

// barrierHere waits its turn at this process's writer.
func (s *Service) barrierHere(ctx context.Context, shard int) error {
	j := &job{done: make(chan struct{})}
	if err := s.shards[shard].submit(LaneInteractive, j); err != nil {
		return err
	}
	return wait(ctx, j)
}

// MaxBatch bounds one CommitBatch.
const MaxBatch = 10_000

// CommitBatch commits transfers of any mix of players and shards, each for itself: one that is
// refused does not hold up the others. The error is set only if the call as a whole is wrong; each
// transfer's answer is its Result's Err.
//
// Order: those transfers of one player that commit by this call do so in the order given. That is not
// all or nothing, nor always a beginning of the list: the transfers of a shard travel in jobs of 128,
// which may commit in different batches, and when one batch cannot be written its jobs are answered
// unavailable while the next batch goes on. So a transfer may commit although an earlier one of the
// same player did not, and the earlier one sent again commits after it. Who needs the earlier one
// first reads its answer before sending the later one. A full queue and a ctx that ends do leave a
// beginning: no job is taken after one of its shard that was turned away or withdrawn.
func (s *Service) CommitBatch(ctx context.Context, lane Lane, list []Transfer) ([]Result, error) {
	if len(list) > MaxBatch {
		return nil, errs.New(errs.CodeTooLarge, "%d transfers in one call, at most %d", len(list), MaxBatch)
	}
	results := make([]Result, len(list))
	s.inRounds(ctx, results, func(asked []int) error { return s.commitRound(ctx, lane, list, asked, results) })
	return results, nil
}

// inRounds has all results answered by round, and again those that another place may answer, as long
// as [Service.again] goes on. What the writer of one round had in hand may be committed, whatever a
// later round says: then the answer must not be [ErrNotTaken].
func (s *Service) inRounds(ctx context.Context, results []Result, round func(asked []int) error) {
	asked, open := make([]int, len(results)), make([]bool, len(results))
	for i := range asked {
		asked[i] = i
	}
	ask := func() error {
		err := round(asked)
		for _, i := range asked {
			open[i] = open[i] || errors.Is(results[i].Err, errOpenEnded)
		}
		return err
	}
	err := ask()
	if !isElsewhere(err) {
		return
	}
	err = s.again(ctx, err, func() error {
		asked = slices.DeleteFunc(asked, func(i int) bool { return !isElsewhere(results[i].Err) })
		return ask()
	})
	for i := range results {
		r := &results[i]
		if isElsewhere(r.Err) {
			r.Err = err
		}
		if open[i] && errors.Is(r.Err, ErrNotTaken) {
			r.Err = changedHands()
		}
	}
}

// commitRound commits those transfers of the list once, at the places they have now, and sets their
// results. It returns the first error that another place may answer, if there is one.
func (s *Service) commitRound(ctx context.Context, lane Lane, list []Transfer, asked []int, results []Result) error {
	// Results move to the caller only after their job is answered: a writer may still fill those of
	// a job that the caller gave up on.
	written := make([]Result, len(list))
	perShard := make([][]entry, len(s.shards))
	origin := make([][]int, len(s.shards))
	queued := make([]shardJobs, 0, len(s.shards))
	for _, i := range asked {
		results[i] = Result{}
		e, err := prepare(&list[i])
		if err != nil {
			results[i].Err = err
			continue
		}
		e.out = &written[i]
		one, err := s.home(list[i].Player)
		if err != nil {
			results[i].Err = err
			continue
		}
		n := one.number
		if perShard[n] == nil {
			expected := min(len(asked), len(asked)/len(s.shards)*5/4+8)
			perShard[n], origin[n] = make([]entry, 0, expected), make([]int, 0, expected)
		}
		perShard[n] = append(perShard[n], e)
		origin[n] = append(origin[n], i)
	}
	var elsewhere sync.WaitGroup
	for n, entries := range perShard {
		jobs, refused := s.shards[n].submitAll(lane, entries)
		if len(jobs) == 0 && s.isForOwner(refused) {
			elsewhere.Go(func() { s.commitThere(ctx, n, lane, list, origin[n], results) })
			continue
		}
		taken := transfersOf(jobs)
		fail(results, origin[n][taken:], refused)
		queued = append(queued, shardJobs{jobs, origin[n][:taken]})
	}
	for _, q := range queued {
		q.collect(ctx, written, results)
	}
	elsewhere.Wait()
	for _, i := range asked {
		if isElsewhere(results[i].Err) {
			return results[i].Err
		}
	}
	return nil
}

// shardJobs are the jobs of one call on one shard, with the indexes of their transfers in the call.
type shardJobs struct {
	jobs   []*job
	origin []int
}

// collect waits for the jobs and moves their answers from written to results.
func (q *shardJobs) collect(ctx context.Context, written, results []Result) {
	origin := q.origin
	for k, j := range q.jobs {
		part := origin[:len(j.entries)]
		origin = origin[len(j.entries):]
		if err := wait(ctx, q.jobs[k:]...); err != nil {
			fail(results, part, err)
			continue
		}
		for _, i := range part {
			results[i] = written[i]
		}
	}
}

// transfersOf counts the transfers of the jobs.
func transfersOf(jobs []*job) (n int) {
	for _, j := range jobs {
		n += len(j.entries)
	}
	return n
}

// submitAll queues the entries, some in each job. It stops at the first that is turned away, with
// the reason: none after it may be taken either, so order is kept.
func (s *shard) submitAll(lane Lane, entries []entry) ([]*job, error) {
	var jobs []*job
	grain := jobRows
	if lane == LaneBulk {
		grain = chunkRows
	}
	for chunk := range slices.Chunk(entries, grain) {
		j := &job{entries: chunk, done: make(chan struct{})}
		for i := range chunk {
			j.bytes += chunk[i].size
		}
		if err := s.submit(lane, j); err != nil {
			return jobs, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// fail answers the results at the indexes with err.
func fail(results []Result, indexes []int, err error) {
	for _, i := range indexes {
		results[i].Err = err
	}
}
