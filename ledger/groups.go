package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// Bounds of a group.
const (
	// MaxGroup is how many transfers a group may have.
	MaxGroup = 1000
	// MaxGroupKeyBytes bounds a group's key.
	MaxGroupKeyBytes = 160

	maxGroupBytes  = 4 << 20
	maxSpreadBytes = 1 << 20 // of a group over several shards, which one row keeps until it has ended
)

// Group is a list of transfers of which all commit or none, of players on any shards.
//
// If it has several players, its transfers are of the kinds that may cross shards (kind.go says which),
// touch no owed account and take from at most one player account each. Transfers of kind
// player_transfer leave money in [Transit] or take it out; over the group that sums to zero. What one
// transfer brings to an account may not be there for another to take, unless the group has one player.
type Group struct {
	Key       string // 1 to MaxGroupKeyBytes; kept for ever like a transfer's
	Transfers []Transfer
}

// CommitGroup commits all transfers of a group or none, and answers when that is decided and done.
//
// Results are in the order of the transfers. If the group is refused, one transfer has its own reason and
// the others have linked_failed; the error is that reason. All of it is final under the group's Key and
// under each transfer's own.
//
// Within one shard the group is part of one commit. Over several shards the shard of the first transfer
// decides: the others reserve what they need, then it commits its own transfers with the decision, then
// the others follow. A reader may see one shard follow before another; nobody else can use what is
// reserved. Once begun, the group comes to its end whatever happens to its caller or to this process.
//
// Idempotency: the same Key with the same transfers answers as the first time; with others it is a
// conflict, as is a transfer whose key was used outside the group.
//
// Errors: those of Commit; too_large. Unavailable without [ErrNotTaken]: ask again with the same key.
func (s *Service) CommitGroup(ctx context.Context, lane Lane, g Group) ([]Result, error) {
	p, err := planGroup(g)
	if err != nil {
		return p.results, err
	}
	defer s.groups.take(p.key)()
	err = s.retryHere(ctx, func() error { return s.commitGroup(ctx, lane, p) })
	return p.results, p.finalError(err)
}

// commitGroup commits a group at the places that its players have now.
func (s *Service) commitGroup(ctx context.Context, lane Lane, p *groupPlan) error {
	parts, err := s.spread(p)
	if err != nil {
		return err
	}
	if len(parts) == 1 {
		reply, err := s.groupStep(ctx, lane, p, groupStep{do: groupDecide, alone: true}, parts[0])
		if err != nil || !reply.begun {
			return err
		}
	}
	return s.drive(ctx, lane, p, parts)
}

// groupPlan is a group that was checked.
type groupPlan struct {
	key     string
	list    []Transfer
	entries []entry
	results []Result
	print   fingerprint
	bytes   int
	several bool // players
}

// planGroup checks everything about a group that needs no state. If a transfer is invalid, the results
// say which.
func planGroup(g Group) (*groupPlan, error) {
	p := &groupPlan{key: g.Key, list: g.Transfers}
	var check errs.Check
	checkCallersKey(&check, "key", g.Key)
	if len(g.Key) > MaxGroupKeyBytes {
		check.Add("key", "must be at most %d bytes", MaxGroupKeyBytes)
	}
	if len(g.Transfers) == 0 {
		check.Add("transfers", "must not be empty")
	}
	if err := check.Err(); err != nil {
		return p, err
	}
	if len(g.Transfers) > MaxGroup {
		return p, errs.New(errs.CodeTooLarge, "%d transfers in one group, at most %d", len(g.Transfers), MaxGroup)
	}
	p.results = make([]Result, len(g.Transfers))
	p.entries = make([]entry, len(g.Transfers))
	seen := make(map[string]struct{}, len(g.Transfers))
	h := sha256.New()
	for i := range g.Transfers {
		t := &g.Transfers[i]
		p.several = p.several || t.Player != g.Transfers[0].Player
		e, err := prepareMember(t, g.Key)
		if _, twice := seen[t.Key]; twice && err == nil {
			err = errs.New(errs.CodeInvalid, "two transfers of the group have the key %s", t.Key)
		}
		if err != nil {
			return p, p.refuseAll(i, err)
		}
		seen[t.Key] = struct{}{}
		p.entries[i] = e
		p.bytes += e.size
		_, _ = h.Write(append(appendText(nil, t.Key), e.print[:]...)) // a hash never fails
	}
	p.print[0] = tagPostings
	copy(p.print[1:], h.Sum(nil))
	return p, p.check()
}

// check checks what the transfers must keep together.
func (p *groupPlan) check() error {
	if p.bytes > maxGroupBytes {
		return errs.New(errs.CodeTooLarge, "the group has %d bytes, at most %d", p.bytes, maxGroupBytes)
	}
	type books struct {
		jurisdiction id.Jurisdiction
		currency     money.Currency
	}
	transit := map[books]int64{}
	for i := range p.entries {
		e := &p.entries[i]
		for n := range e.t.Postings {
			if e.types[n] == typeTransit {
				transit[books{e.t.Jurisdiction, e.t.Currency}] += e.t.Postings[n].AmountMinor
			}
		}
		if p.several {
			if err := e.mayCross(); err != nil {
				return p.refuseAll(i, err)
			}
		}
	}
	for in, sum := range transit {
		if sum != 0 {
			return errs.New(errs.CodeInvalid, "the group leaves %d in transit in %s: it must sum to zero", sum, in.jurisdiction)
		}
	}
	return nil
}

// mayCross says whether a transfer can be part of a group of several players: what was reserved for it
// must be enough to complete it, whatever happens in between.
func (e *entry) mayCross() error {
	if !kinds[e.t.Kind].crosses {
		return errs.New(errs.CodeInvalid, "kind %s may not be in a group of several players", e.t.Kind)
	}
	debits := 0
	for n := range e.t.Postings {
		if e.types[n] == typeOwed {
			return errs.New(errs.CodeInvalid, "an owed account may not be in a group of several players")
		}
		if e.types[n].ofPlayer() && e.t.Postings[n].AmountMinor < 0 {
			debits++
		}
	}
	if debits > 1 {
		return errs.New(errs.CodeInvalid, "a transfer in a group of several players may take from one player account only")
	}
	return nil
}

// refuseAll answers every transfer: the failed one with its reason, the others because they are linked
// to it. It returns the reason.
func (p *groupPlan) refuseAll(failed int, reason error) error {
	for i := range p.results {
		p.results[i] = Result{Err: linkedTo(failed)}
	}
	p.results[failed].Err = reason
	return reason
}

func linkedTo(failed int) *errs.Error {
	return errs.New(errs.CodeLinkedFailed, "transfer %d of the group was refused", failed)
}

// finalError returns the error of the call: err, or why the group was refused. After an error of the
// call no result says anything.
func (p *groupPlan) finalError(err error) error {
	if err != nil {
		for i := range p.results {
			if p.results[i].Err == nil || !errs.Is(err, errs.CodeConflict) {
				p.results[i] = Result{Err: err}
			}
		}
		return err
	}
	var linked error
	for i := range p.results {
		switch err := p.results[i].Err; {
		case err == nil:
		case errs.Is(err, errs.CodeLinkedFailed):
			linked = err
		default:
			return err
		}
	}
	return linked
}

// groupPart is the transfers of a group on one shard, by their places in the group.
type groupPart struct {
	shard   int
	indexes []int
}

// spread returns the parts of a group. The first is that of the first transfer, which decides.
func (s *Service) spread(p *groupPlan) ([]groupPart, error) {
	var parts []groupPart
	at := map[int]int{}
	for i := range p.list {
		one, err := s.home(p.list[i].Player)
		if err != nil {
			return nil, err
		}
		shard := one.number
		n, ok := at[shard]
		if !ok {
			n = len(parts)
			at[shard] = n
			parts = append(parts, groupPart{shard: shard})
		}
		parts[n].indexes = append(parts[n].indexes, i)
	}
	return parts, nil
}

// groupAction is what a shard is asked to do for a group.
type groupAction uint8

const (
	groupBegin   groupAction = iota + 1 // keep the group as asked, so that it ends whatever happens
	groupPrepare                        // reserve what the shard's transfers need
	groupDecide                         // commit the deciding shard's transfers and the outcome, or the refusal
	groupFinish                         // the outcome on a shard that prepared
	groupEnd                            // note that every shard has the outcome
)

// groupStep is one step of a group on one shard, with its reply. The steps of a group may be repeated,
// by several callers at once: each does its work once and answers the same ever after.
type groupStep struct {
	do      groupAction
	plan    *groupPlan
	indexes []int
	alone   bool          // with groupDecide: unless the group began over several shards
	dry     bool          // try the step and take it back: decide, prepare and finish
	refusal *groupRefusal // with groupDecide and groupFinish: why the group is refused; nil: commit
	head    entry         // the group's own row of this step

	reply groupReply
}

// groupReply is what a step found.
type groupReply struct {
	begun   bool          // groupDecide on one shard: the group began over several; groupBegin: always
	decided bool          // groupBegin: the outcome is there already
	ended   bool          // groupBegin: every shard has it
	again   bool          // groupDecide: it was decided before
	refusal *groupRefusal // groupPrepare, groupDecide: the group is refused
	err     error         // the call is wrong: the group's key stands for another one
}

// groupRefusal says which transfer is why a group is refused.
type groupRefusal struct {
	failed int
	code   errs.Code
	detail string
}

// of returns what the refusal says to the i-th transfer of the group.
func (r *groupRefusal) of(i int) *errs.Error {
	if i == r.failed {
		return errs.New(r.code, "%s", r.detail)
	}
	return linkedTo(r.failed)
}

// The keys of a group's own rows. What follows the second colon is the group's key, to the end.
func outcomeKey(group string) string { return groupPrefix + "outcome:" + group }
func beginKey(group string) string   { return groupPrefix + "begin:" + group }
func endKey(group string) string     { return groupPrefix + "end:" + group }
func reservationKey(group string, i int) string {
	return groupPrefix + strconv.Itoa(i) + ":" + group
}
func releaseKey(group string, i int) string {
	return groupPrefix + "release" + strconv.Itoa(i) + ":" + group
}
func completionKey(group string, i int) string {
	return groupPrefix + "complete" + strconv.Itoa(i) + ":" + group
}

// groupStep has a shard's writer do one step and waits for it, in this process or another. Results of
// the part's transfers go to the plan.
func (s *Service) groupStep(ctx context.Context, lane Lane, p *groupPlan, step groupStep, part groupPart) (groupReply, error) {
	reply, err := s.groupStepHere(ctx, lane, p, step, part)
	if s.isForOwner(err) {
		return s.groupStepThere(ctx, lane, p, step, part)
	}
	return reply, err
}

// groupStepHere does a step if the shard is written here.
func (s *Service) groupStepHere(ctx context.Context, lane Lane, p *groupPlan, step groupStep, part groupPart) (groupReply, error) {
	step.plan, step.indexes = p, part.indexes
	step.head = p.head(step.do)
	answers := make([]Result, len(part.indexes))
	j := &job{group: &step, done: make(chan struct{})}
	if step.do != groupBegin && step.do != groupEnd {
		j.entries = make([]entry, len(part.indexes))
		for n, i := range part.indexes {
			j.entries[n] = p.entries[i]
			j.entries[n].out = &answers[n]
			j.bytes += p.entries[i].size
		}
	}
	if err := s.shards[part.shard].submit(lane, j); err != nil {
		return groupReply{}, err
	}
	if step.do == groupEnd {
		return groupReply{}, nil // nobody needs to wait: if it fails, the sweeper comes back to it
	}
	if err := wait(ctx, j); err != nil {
		return groupReply{}, err
	}
	if step.answers() {
		for n, i := range part.indexes {
			p.results[i] = answers[n]
		}
	}
	return step.reply, step.reply.err
}

// head returns the group's own row of a step.
func (p *groupPlan) head(do groupAction) entry {
	first := &p.list[0]
	t := &Transfer{Player: first.Player, Jurisdiction: first.Jurisdiction, Currency: first.Currency}
	x := extra{Group: p.key}
	switch do {
	case groupBegin:
		t.Key, t.Kind = beginKey(p.key), KindGroupBegin
		x.Members = make([]groupTransfer, len(p.list))
		for i := range p.list {
			x.Members[i] = groupTransferOf(&p.list[i])
		}
	case groupEnd:
		t.Key, t.Kind = endKey(p.key), KindGroupEnd
	default:
		t.Key, t.Kind = outcomeKey(p.key), KindGroup
	}
	return entry{t: t, print: p.print, extra: encodeExtra(x), size: 256}
}

// drive brings a group over several shards to its end, from wherever it stands.
func (s *Service) drive(ctx context.Context, lane Lane, p *groupPlan, parts []groupPart) error {
	home, others := parts[0], parts[1:]
	if err := s.mayBegin(ctx, p, parts); err != nil {
		return err
	}
	state, err := s.groupStep(ctx, lane, p, groupStep{do: groupBegin}, home)
	if err != nil {
		return err
	}
	var refusal *groupRefusal
	for _, part := range others {
		if state.decided || !refusal.isLinked() {
			break
		}
		reply, err := s.groupStep(ctx, lane, p, groupStep{do: groupPrepare}, part)
		if err != nil {
			return openGroupError(err, p.key)
		}
		if reply.refusal != nil { // linked to another: players of one part have moved apart
			refusal = reply.refusal
		}
	}
	reply, err := s.groupStep(ctx, lane, p, groupStep{do: groupDecide, refusal: refusal}, home)
	if err != nil {
		return openGroupError(err, p.key)
	}
	for _, part := range others {
		if _, err := s.groupStep(ctx, lane, p, groupStep{do: groupFinish, refusal: reply.refusal}, part); err != nil {
			return openGroupError(err, p.key)
		}
	}
	for i := range p.results { // refused while it was prepared is no replay for who asked first
		p.results[i].Replayed = reply.again
	}
	if state.ended {
		return nil
	}
	if _, err := s.groupStep(ctx, lane, p, groupStep{do: groupEnd}, home); err != nil && !errors.Is(err, ErrNotTaken) {
		return openGroupError(err, p.key)
	}
	return nil
}

// openGroupError says that a group has begun and its outcome is open to this caller. The cause is not
// in the chain: it may be [ErrNotTaken], which would say that nothing was done.
func openGroupError(err error, key string) error {
	const text = "group %s has begun and will be completed; ask again with the same key (%s)"
	if isElsewhere(err) {
		return errs.Wrap(errOpenEnded, errs.CodeUnavailable, text, key, errs.CodeOf(err))
	}
	return errs.New(errs.CodeUnavailable, text, key, errs.CodeOf(err))
}

// mayBegin refuses a new group over several shards that is too large for its first row, or has a
// transfer whose key was used before. (A key that is taken only after this look refuses the group.)
func (s *Service) mayBegin(ctx context.Context, p *groupPlan, parts []groupPart) error {
	home := s.shards[parts[0].shard].store
	for _, key := range []string{beginKey(p.key), outcomeKey(p.key)} { // the latter alone: it was on one shard then
		if _, known, err := home.answered(ctx, key); err != nil || known {
			return err
		}
	}
	if p.bytes > maxSpreadBytes {
		return errs.New(errs.CodeTooLarge, "the group has %d bytes, at most %d over several shards", p.bytes, maxSpreadBytes)
	}
	for _, part := range parts {
		for _, i := range part.indexes {
			old, used, err := s.shards[part.shard].store.answered(ctx, p.list[i].Key)
			if err != nil {
				return err
			}
			if used {
				return p.refuseAll(i, conflict(old.key, "group"))
			}
		}
	}
	return nil
}
