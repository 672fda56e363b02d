package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"matchday/ledger"
)

// bucketsMoved moves half of the buckets of a shard while the load runs, kills the writer as soon as the
// move has begun, starts another, and waits until the move is done.
func bucketsMoved(ctx context.Context, s *stage) error {
	p, err := s.begin(ctx)
	if err != nil {
		return err
	}
	list, err := s.bucketsOf(ctx, 0)
	if err != nil {
		return err
	}
	request := ledger.MoveRequest{Buckets: list[:len(list)/2], From: 0, To: 1, By: "faults"}
	if err := callMoves(ctx, p.addr, http.MethodPost, request, nil); err != nil {
		return err
	}
	if err := p.kill(); err != nil {
		return err
	}
	s.strike()
	second, err := s.write(ctx)
	if err != nil {
		return err
	}
	s.send(second.addr)
	return s.awaitMove(ctx, second)
}

// ownedBucketsMoved moves half of the buckets of a shard that one of two processes writes to the other's
// shard, and kills the first when some have changed sides: the other takes the shard over, and the move.
func ownedBucketsMoved(ctx context.Context, s *stage) error {
	list, err := s.beginOwnedMove(ctx)
	if err != nil {
		return err
	}
	var before time.Duration
	err = s.await(ctx, "buckets to change sides", func() bool {
		var moves []ledger.Move
		if err := callMoves(ctx, list[1].addr, http.MethodGet, nil, &moves); err != nil || len(moves) != 1 {
			return false
		}
		before = moves[0].LongestPause
		return moves[0].Switched > 0
	})
	if err != nil {
		return err
	}
	if err := list[0].kill(); err != nil {
		return err
	}
	s.strike()
	s.send(list[1].addr)
	if err := s.awaitMove(ctx, list[1]); err != nil {
		return err
	}
	s.note += fmt.Sprintf(", until the kill %s", before.Round(time.Millisecond))
	return nil
}

// ownedBucketsMovedInPeace is ownedBucketsMoved without the kill: what it notes is what a move itself costs players.
func ownedBucketsMovedInPeace(ctx context.Context, s *stage) error {
	list, err := s.beginOwnedMove(ctx)
	if err != nil {
		return err
	}
	return s.awaitMove(ctx, list[1])
}

// beginOwnedMove starts two processes with the load on both, and a move of half of the buckets of the first
// one's shard to the second one's.
func (s *stage) beginOwnedMove(ctx context.Context) ([]*process, error) {
	list, err := s.beginShared(ctx)
	if err != nil {
		return nil, err
	}
	from, err := s.shardOf(ctx, list[0])
	if err != nil {
		return nil, err
	}
	of, err := s.bucketsOf(ctx, from)
	if err != nil {
		return nil, err
	}
	request := ledger.MoveRequest{Buckets: of[:len(of)/2], From: from, To: 1 - from, By: "faults"}
	return list, callMoves(ctx, list[1].addr, http.MethodPost, request, nil)
}

// awaitMove waits until the only move is done, as a writer tells, and notes what it was.
func (s *stage) awaitMove(ctx context.Context, p *process) error {
	var moves []ledger.Move
	var failed error
	err := s.await(ctx, "the move to end", func() bool {
		failed = callMoves(ctx, p.addr, http.MethodGet, nil, &moves)
		return failed == nil && len(moves) == 1 && moves[0].Step == ledger.MoveDone
	})
	if err != nil {
		return errors.Join(err, failed)
	}
	s.note = fmt.Sprintf("%d buckets with %d transfers moved; the longest pause of a bucket was %s",
		moves[0].Switched, moves[0].Rows, moves[0].LongestPause.Round(time.Millisecond))
	return s.settle(ctx)
}

// callMoves talks to a writer about moves.
func callMoves(ctx context.Context, addr, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+addr+movesPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, movesPath, response.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(out)
}

// shardOf returns a shard that the process writes, by the directory.
func (s *stage) shardOf(ctx context.Context, p *process) (int, error) {
	db, err := s.directory()
	if err != nil {
		return 0, err
	}
	defer db.Close() //nolint:errcheck // read only
	const q = `
		SELECT MIN(s.shard)
		FROM shard s
		JOIN process p ON p.process = s.owner
		WHERE p.pid = ?`
	var n int
	err = db.Read.QueryRowContext(ctx, q, p.cmd.Process.Pid).Scan(&n)
	return n, err
}

// bucketsOf returns the buckets of a shard, by the directory.
func (s *stage) bucketsOf(ctx context.Context, shard int) ([]int, error) {
	db, err := s.directory()
	if err != nil {
		return nil, err
	}
	defer db.Close() //nolint:errcheck // read only
	const q = `
		SELECT bucket
		FROM bucket
		WHERE shard = ?
		ORDER BY bucket`
	rows, err := db.Read.QueryContext(ctx, q, shard)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // read to its end
	var list []int
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}
