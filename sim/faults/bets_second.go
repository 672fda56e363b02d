package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"matchday/history"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
)

// How the second of two processes copies, and the first one: that rests for seconds after each chunk.
const (
	quickCopy = "rate: 1000000\n      chunk: 4096"
	slowCopy  = "rate: 1\n      chunk: 5"
)

// withSecond starts both processes again, with a second history that is empty beside the one that has bets.
func (s *betsStage) withSecond(ctx context.Context) error {
	if err := errors.Join(s.process.kill(), s.second.kill()); err != nil {
		return err
	}
	next := fmt.Sprintf(`
    next:
      dir: %q
      lag: 1m
      %s
      clusters:
        - name: next
          shards: "0-%d"
          nodes: ["%s"]
          database: history_next
          user: %s
          password_file: %q
          timeout: 2s
`, filepath.Join(s.dir, "history-next"), quickCopy, shards-1, s.link.addr(), mariadb.User, s.history.Clusters[0].PasswordFile)
	s.extra = strings.TrimRight(s.extra, "\n") + next
	var have WriterConfig
	if err := yaml.Unmarshal([]byte(s.extra), &have); err != nil {
		return err
	}
	s.history = have.Bets.History
	s.beside = history.Config{Dir: s.history.Next.Dir, Clusters: s.history.Next.Clusters}
	return s.startShared(ctx)
}

// copied waits until the desk of the second history says what done asks for.
func (s *betsStage) copied(ctx context.Context, what string, done func(history.NextStatus) bool) error {
	d, err := history.OpenDesk(ctx, s.history, clock.System{})
	if err != nil {
		return err
	}
	var problem error
	waited := s.await(ctx, what, func() bool {
		var status history.NextStatus
		status, problem = d.Status(ctx)
		return problem != nil || done(status)
	})
	return errors.Join(problem, waited, d.Close())
}

// copyingProcessKilled fails unless the process is in the middle of a shard when it is killed, and the other one copies the
// rest and finds both histories equal.
func copyingProcessKilled(ctx context.Context, s *betsStage) error {
	if err := s.withSecond(ctx); err != nil {
		return err
	}
	shard := slices.Index(s.clientOf(s.process.addr).ask(ctx, 10*tryFor, &betOp{Do: doStatus}).Held, true)
	if shard < 0 {
		return errors.New("the process that is to be killed applies nothing")
	}
	var half history.FillProgress
	err := s.copied(ctx, "a chunk of the process that is to be killed", func(status history.NextStatus) bool {
		for _, p := range status.Copy {
			if p.Shard == shard {
				half = p
			}
		}
		return half.Chunks > 0
	})
	if err != nil {
		return err
	}
	if half.Done {
		return fmt.Errorf("shard %d is copied before its process is killed", shard)
	}
	if err := s.process.kill(); err != nil {
		return err
	}
	if err := s.leave(ctx); err != nil {
		return err
	}
	var copied int64
	err = s.copied(ctx, "a second history that is whole and equal", func(status history.NextStatus) bool {
		for i, p := range status.Copy {
			if !p.Done || status.Equal[i].Passes == 0 || status.Equal[i].Suspected > 0 {
				return false
			}
			if p.Shard == shard {
				copied = p.Bets
			}
		}
		return len(status.Copy) == shards
	})
	s.note = fmt.Sprintf("the process had copied %d of %d bets of shard %d when it was killed; the other one copied the rest", half.Bets, copied, shard)
	return err
}
