package ledger

import (
	"context"
	"math"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

// StatementQuery selects lines of a statement. A page says where the next one begins: pages of the
// same selection have no line twice and miss none, however much is written meanwhile, and wherever the
// account moves.
type StatementQuery struct {
	Before stream.Position // lines before this one of an earlier page; zero starts at the newest
	From   time.Time       // lines of this time, to the microsecond, or later; zero has no bound
	To     time.Time       // lines before this time; zero has no bound
	Kinds  []Kind          // lines of these kinds, at most 32; none is all
	Limit  int             // 1 to 500; 0 is 50

	below int64 // Before on the shard that is read
}

const (
	maxStatement      = 500
	maxStatementKinds = 32
)

// Statement returns the lines of a player account, newest first.
//
// Errors: invalid; conflict if the account has moved since the position Before in a way that leaves no trace
// of it: ask again from the start.
func (s *Service) Statement(ctx context.Context, a Address, q StatementQuery) ([]StatementLine, error) {
	player, err := q.check(a)
	if err != nil {
		return nil, err
	}
	return atHome(ctx, s, player, func() ([]StatementLine, error) {
		one, err := s.home(player)
		if err != nil {
			return nil, err
		}
		if q.below, err = s.cursorOn(ctx, player, one, q.Before); err != nil {
			return nil, err
		}
		return one.statement(ctx, one.store, a, q)
	})
}

// StatementFrom returns the lines of a player account as a replica shows them, under the rules of
// [Service.BalanceFrom].
func (s *Service) StatementFrom(ctx context.Context, a Address, q StatementQuery, at stream.Position) ([]StatementLine, error) {
	player, err := q.check(a)
	if err != nil {
		return nil, err
	}
	if err := s.knowHome(ctx, player, at); err != nil {
		return nil, err
	}
	one, err := s.home(player)
	if err != nil {
		return nil, err
	}
	if q.below, err = s.cursorOn(ctx, player, one, q.Before); err != nil {
		return nil, err
	}
	need, err := s.needOf(ctx, one, at)
	if err != nil {
		return nil, err
	}
	var lines []StatementLine
	err = one.readFrom(ctx, need, func(r readerStore) (int64, error) {
		// The position is read first: what the statement then sees is that or later.
		seq, err := r.position(ctx)
		if err != nil || seq < need {
			return seq, err
		}
		lines, err = one.statement(ctx, r, a, q)
		return seq, err
	})
	return lines, err
}

// check returns the player whose statement is asked for, or what is wrong with the query.
func (q *StatementQuery) check(a Address) (id.Player, error) {
	parts, ok := parseAddress(string(a))
	if !ok || parts.player == "" {
		return "", errs.New(errs.CodeInvalid, "%.40q is not the address of a player account", string(a))
	}
	if q.Limit < 0 || q.Limit > maxStatement || q.Before.Seq < 0 {
		return "", errs.New(errs.CodeInvalid, "a statement has 1 to %d lines before a position", maxStatement)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return "", errs.New(errs.CodeInvalid, "a statement ends after it begins")
	}
	if len(q.Kinds) > maxStatementKinds {
		return "", errs.New(errs.CodeInvalid, "a statement is of at most %d kinds", maxStatementKinds)
	}
	for _, k := range q.Kinds {
		if !k.valid() {
			return "", errs.New(errs.CodeInvalid, "kind %d is not one of transfers", k)
		}
	}
	return parts.player, nil
}

// bounded returns the query with its defaults filled in.
func (q *StatementQuery) bounded() StatementQuery {
	out := *q
	if out.below == 0 {
		out.below = math.MaxInt64
	}
	out.Limit = orDefault(out.Limit, 50)
	return out
}

func (s *shard) statement(ctx context.Context, r readerStore, a Address, q StatementQuery) ([]StatementLine, error) {
	lines, err := r.statement(ctx, a, q.bounded())
	for i := range lines {
		lines[i].Position.Shard = s.number
	}
	return lines, err
}
