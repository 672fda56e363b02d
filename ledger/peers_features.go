package ledger

import (
	"context"

	"matchday/errs"
)

// More operations that the owner of a shard does for other processes.
const (
	opLimits   = "limits"
	opMetadata = "metadata"
	opDryRun   = "dryrun"
	opGroup    = "group"
)

func limitsForPeer(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error) {
	var c LimitsChange
	if err := decode(&c); err != nil {
		return nil, err
	}
	e, err := c.prepare()
	if err != nil {
		return nil, err
	}
	return &barrierAnswer{Done: true}, s.changeHere(ctx, shard, e)
}

func metadataForPeer(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error) {
	var c MetadataChange
	if err := decode(&c); err != nil {
		return nil, err
	}
	e, err := c.prepare()
	if err != nil {
		return nil, err
	}
	return &barrierAnswer{Done: true}, s.changeHere(ctx, shard, e)
}

func dryRunForPeer(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error) {
	var call commitCall
	if err := decode(&call); err != nil {
		return nil, err
	}
	if len(call.Transfers) > MaxDryRunOfPlayer {
		return nil, errs.New(errs.CodeTooLarge, "%d transfers in one part of a dry run, at most %d", len(call.Transfers), MaxDryRunOfPlayer)
	}
	results, err := s.tryHere(ctx, shard, call.Transfers)
	return answerOf(results), err
}

func groupForPeer(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error) {
	var call groupCall
	if err := decode(&call); err != nil {
		return nil, err
	}
	return s.groupCalled(ctx, shard, &call, false)
}

func answerOf(results []Result) *commitAnswer {
	out := &commitAnswer{Results: make([]wireResult, len(results))}
	for i := range results {
		out.Results[i] = toWire(&results[i])
	}
	return out
}

// change commits a change of an account at the shard that its player has now, wherever that is written.
func (s *Service) change(ctx context.Context, e entry, op string, asked any) error {
	return s.retryHere(ctx, func() error {
		one, err := s.home(e.t.Player)
		if err != nil {
			return err
		}
		err = s.changeHere(ctx, one.number, e)
		if s.isForOwner(err) {
			return s.forward(ctx, one.number, op, asked, &barrierAnswer{})
		}
		return err
	})
}

// changeHere commits a change of an account, if the shard is written here.
func (s *Service) changeHere(ctx context.Context, shard int, e entry) error {
	var result Result
	e.out = &result
	j := &job{entries: []entry{e}, bytes: e.size, done: make(chan struct{})}
	if err := s.shards[shard].submit(LaneInteractive, j); err != nil {
		return err
	}
	if err := wait(ctx, j); err != nil {
		return err
	}
	return result.Err
}

// groupCall asks the owner of a shard for one step of a group.
type groupCall struct {
	Lane    Lane
	Do      groupAction
	Alone   bool
	Group   Group
	Indexes []int
	Refusal *wireRefusal
}

// groupAnswer is what the step found, with the results of the shard's transfers.
type groupAnswer struct {
	Begun, Decided, Ended, Again bool
	Refusal                      *wireRefusal
	Results                      []wireResult
}

// wireRefusal is a groupRefusal that can travel.
type wireRefusal struct {
	Failed int
	Code   errs.Code
	Detail string
}

func refusalToWire(r *groupRefusal) *wireRefusal {
	if r == nil {
		return nil
	}
	return &wireRefusal{r.failed, r.code, r.detail}
}

func (w *wireRefusal) refusal() *groupRefusal {
	if w == nil {
		return nil
	}
	return &groupRefusal{w.Failed, w.Code, w.Detail}
}

// groupCalled does a step that another process asks for, if the shard is written here.
func (s *Service) groupCalled(ctx context.Context, shard int, call *groupCall, dry bool) (*groupAnswer, error) {
	p, err := planGroup(call.Group)
	if err != nil {
		return nil, err
	}
	if err := call.validStep(p); err != nil {
		return nil, err
	}
	step := groupStep{do: call.Do, alone: call.Alone, dry: dry, refusal: call.Refusal.refusal()}
	reply, err := s.groupStepHere(ctx, call.Lane, p, step, groupPart{shard, call.Indexes})
	if err != nil {
		return nil, err
	}
	out := &groupAnswer{Begun: reply.begun, Decided: reply.decided, Ended: reply.ended, Again: reply.again, Refusal: refusalToWire(reply.refusal)}
	for _, i := range call.Indexes {
		out.Results = append(out.Results, toWire(&p.results[i]))
	}
	return out, nil
}

// groupStepThere asks the owner of the part's shard for the step.
func (s *Service) groupStepThere(ctx context.Context, lane Lane, p *groupPlan, step groupStep, part groupPart) (groupReply, error) {
	call := groupCall{
		Lane: lane, Do: step.do, Alone: step.alone, Group: Group{p.key, p.list}, Indexes: part.indexes,
		Refusal: refusalToWire(step.refusal),
	}
	var answer groupAnswer
	op := opGroup
	if step.dry {
		op = opGroupTry
	}
	if err := s.forward(ctx, part.shard, op, &call, &answer); err != nil {
		return groupReply{}, err
	}
	if len(answer.Results) != len(part.indexes) {
		return groupReply{}, errs.New(errs.CodeInternal, "the owner of shard %d answered %d transfers, not %d", part.shard, len(answer.Results), len(part.indexes))
	}
	if step.answers() {
		for n, i := range part.indexes {
			p.results[i] = answer.Results[n].result()
		}
	}
	return groupReply{begun: answer.Begun, decided: answer.Decided, ended: answer.Ended, again: answer.Again, refusal: answer.Refusal.refusal()}, nil
}
