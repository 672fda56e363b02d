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
	one, err := s.home(p)
	if err != nil {
		return Result{}, false, err
	}
	old, found, err := one.store.answered(ctx, key)
	if err == nil && !found && s.ShardOf(p) != one.number {
		return s.Lookup(ctx, p, key, request) // its bucket moved while we looked
	}
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
	result := old.result(one.number)
	return result, true, nil
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
