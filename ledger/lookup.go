package ledger

import (
	"context"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

// Lookup returns the stored answer to a player's key, as a replay would: an acceptance, or a
// refusal in Result.Err. It returns false for a key that is unknown. With a request digest, a key
// that was used for another request is a conflict.
//
// It never changes anything: a caller asks before it refuses a retry for a reason that came later,
// such as a market that has closed since.
func (s *Service) Lookup(ctx context.Context, p id.Player, key string, request []byte) (Result, bool, error) {
	one, old, found, err := s.answered(ctx, p, key)
	if err != nil || !found || old.player != p {
		return Result{}, false, err
	}
	if len(request) > 0 {
		asked := Transfer{
			Key: key, Kind: old.kind, Player: old.player, Jurisdiction: old.jurisdiction, Currency: old.currency, Request: request,
		}
		if asked.fingerprint() != old.print {
			return Result{}, false, conflict(key, "request")
		}
	}
	result := old.result(one)
	return result, true, nil
}

// answered finds a player's transfer by its key, and the shard that has it.
func (s *Service) answered(ctx context.Context, p id.Player, key string) (shard int, old storedTransfer, found bool, err error) {
	type answer struct {
		shard int
		old   storedTransfer
		found bool
	}
	got, err := atHome(ctx, s, p, func() (a answer, err error) {
		one, err := s.home(p)
		if err != nil {
			return a, err
		}
		a.shard = one.number
		a.old, a.found, err = one.store.answered(ctx, key)
		return a, err
	})
	if err == nil && !got.found && s.ShardOf(p) != got.shard {
		return s.answered(ctx, p, key) // its bucket moved while we looked
	}
	return got.shard, got.old, got.found, err
}

// result is the answer that was given when the transfer was stored.
func (t *storedTransfer) result(shard int) Result {
	out := Result{Position: stream.Position{Shard: shard, Seq: t.seq}, At: t.at, Replayed: true}
	out.Balances = make([]int64, len(t.lines))
	for i := range t.lines {
		out.Balances[i] = t.lines[i].balance
	}
	if t.code != "" {
		out.Err = errs.New(t.code, "%s", t.detail)
		return out
	}
	out.Data = t.data
	return out
}

// answered reads through the readers: a lookup waits for no writer.
func (r tableReads) answered(ctx context.Context, key string) (storedTransfer, bool, error) {
	found, err := transfersOn(ctx, r.on, []string{key})
	if err != nil || len(found) == 0 {
		return storedTransfer{}, false, err
	}
	return found[0], true, nil
}
