package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"matchday/internal/mariadb"
)

// firstAccount is what the first of two processes writes the history as: so the server can tell who wrote.
const firstAccount = "first"

// startShared starts two processes on the same books and history, and waits until each applies a shard's log.
func (s *betsStage) startShared(ctx context.Context) (err error) {
	const account = `
		CREATE USER IF NOT EXISTS '` + firstAccount + `'@'127.0.0.1' IDENTIFIED BY '` + mariadb.Password + `';
		GRANT ALL PRIVILEGES ON *.* TO '` + firstAccount + `'@'127.0.0.1'`
	if _, err := s.server.Admin().ExecContext(ctx, account); err != nil {
		return fmt.Errorf("create the account of the first process: %w", err)
	}
	every := s.extra
	s.extra = strings.Replace(every, "user: "+mariadb.User, "user: "+firstAccount, 1)
	s.extra = strings.Replace(s.extra, quickCopy, slowCopy, 1)
	if s.process, err = s.write(ctx); err != nil {
		return err
	}
	s.extra = every
	if s.second, err = s.write(ctx); err != nil {
		return err
	}
	s.send(s.process.addr, s.second.addr)
	return s.await(ctx, "each process to apply a shard", func() bool { return s.holds(ctx, s.process) == 1 && s.holds(ctx, s.second) == 1 })
}

// holds returns how many shards' logs a process applies.
func (s *betsStage) holds(ctx context.Context, p *process) (n int) {
	for _, held := range s.clientOf(p.addr).ask(ctx, tryFor, &betOp{Do: doStatus}).Held {
		if held {
			n++
		}
	}
	return n
}

// clientOf asks one process.
func (s *betsStage) clientOf(addr string) *betsClient {
	return &betsClient{addr: func() string { return addr }, http: s.client.http}
}

// status is how far the log is, by the process that knows most, and the history, by the one that shows least.
func (s *betsStage) status(ctx context.Context) (out betReply, err error) {
	ctx, cancel := context.WithTimeout(ctx, resolveLimit) // a process that has ended never answers
	defer cancel()
	for n, addr := range *s.addrs.Load() {
		a, err := s.clientOf(addr).must(ctx, &betOp{Do: doStatus})
		if err != nil {
			return a, err
		}
		if n == 0 {
			out = a
			continue
		}
		for i := range out.Heads {
			out.Heads[i], out.Shown[i] = max(out.Heads[i], a.Heads[i]), min(out.Shown[i], a.Shown[i])
		}
	}
	return out, nil
}

// told returns up to where of each shard's log players have had answers.
func (l *betLoad) told() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int64, shards)
	for _, b := range l.bets {
		out[b.at.Shard] = max(out[b.at.Shard], b.at.Seq)
	}
	return out
}

// leave lets the second process go on alone, and waits until it applies every shard's log and shows what
// players were told.
func (s *betsStage) leave(ctx context.Context) error {
	s.healed, s.due = time.Now(), s.bets.told()
	s.send(s.second.addr)
	if err := s.await(ctx, "the take-over", func() bool { return s.holds(ctx, s.second) == shards }); err != nil {
		return err
	}
	return s.noteCatchUp(ctx)
}

func historyProcessKilled(ctx context.Context, s *betsStage) error {
	if err := s.process.kill(); err != nil {
		return err
	}
	return s.leave(ctx)
}

// historyProcessFrozen has the server note who moves positions and who claims, and fails if the process that
// was replaced moved one before it claimed again.
func historyProcessFrozen(ctx context.Context, s *betsStage) error {
	if err := s.noteWriters(ctx); err != nil {
		return err
	}
	if err := s.settleBets(ctx); err != nil {
		return err
	}
	applied := s.clientOf(s.process.addr).ask(ctx, 10*tryFor, &betOp{Do: doStatus})
	shard := slices.Index(applied.Held, true)
	if shard < 0 {
		return errors.New("the process that is to be frozen applies nothing")
	}
	if err := s.process.freeze(ctx); err != nil {
		return err
	}
	if err := s.leave(ctx); err != nil {
		return err
	}
	taken, err := s.takenOver(ctx, shard)
	if err != nil {
		return err
	}
	before, err := s.moves(ctx, shard, taken)
	if err != nil {
		return err
	}
	if err := s.process.signal(syscall.SIGCONT); err != nil {
		return err
	}
	if err := s.runsOn(ctx, s.process); err != nil {
		return err
	}
	s.send(s.process.addr, s.second.addr)
	if err := s.settleBets(ctx); err != nil {
		return err
	}
	after, err := s.moves(ctx, shard, taken)
	if err != nil {
		return err
	}
	s.note = fmt.Sprintf("the process had moved positions of shard %d %d times before it was replaced, and %d times between that and its next claim",
		shard, before, after-before)
	if before == 0 || after != before {
		return errors.New(s.note)
	}
	return nil
}

// runsOn waits until a process answers.
func (s *betsStage) runsOn(ctx context.Context, p *process) (err error) {
	waited := s.await(ctx, "an answer of the process that woke up", func() bool {
		select {
		case <-p.exited:
			err = fmt.Errorf("the process that woke up has ended: %s", p.errors)
			return true
		default:
			return !s.clientOf(p.addr).ask(ctx, tryFor, &betOp{Do: doStatus}).Unknown
		}
	})
	return errors.Join(err, waited)
}

// noteWriters has the server note each move of a position and each claim, in the DBTx of both: what is rolled
// back leaves no note.
func (s *betsStage) noteWriters(ctx context.Context) error {
	const q = `
		USE %s;
		CREATE TABLE written (
			id    BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
			who   VARCHAR(128) NOT NULL,
			claim BOOLEAN NOT NULL
		) ENGINE = InnoDB;
		CREATE TRIGGER note_move AFTER UPDATE ON sink_position FOR EACH ROW
			INSERT INTO written (who, claim) VALUES (SUBSTRING_INDEX(USER(), '@', 1), FALSE);
		CREATE TRIGGER note_claim AFTER UPDATE ON tenure FOR EACH ROW
			INSERT INTO written (who, claim) VALUES (SUBSTRING_INDEX(USER(), '@', 1), TRUE)`
	for n := range shards {
		if _, err := s.server.Admin().ExecContext(ctx, fmt.Sprintf(q, s.history.Clusters[0].DatabaseOf(n))); err != nil {
			return fmt.Errorf("note who writes shard %d: %w", n, err)
		}
	}
	return nil
}

// takenOver returns the note of the second process's newest claim of a shard.
func (s *betsStage) takenOver(ctx context.Context, shard int) (note int64, err error) {
	const q = `
		SELECT COALESCE(MAX(id), 0)
		FROM %s.written
		WHERE claim
		  AND who <> ?`
	err = s.server.Admin().QueryRowContext(ctx, fmt.Sprintf(q, s.history.Clusters[0].DatabaseOf(shard)), firstAccount).Scan(&note)
	if err == nil && note == 0 {
		err = errors.New("nobody has claimed the frozen process's shard")
	}
	return note, err
}

// moves returns how often the first process has moved positions of a shard, but for what follows a claim of
// its own that is newer than the note.
func (s *betsStage) moves(ctx context.Context, shard int, note int64) (n int, err error) {
	const q = `
		SELECT COUNT(*)
		FROM %[1]s.written AS w
		WHERE NOT w.claim
		  AND w.who = ?
		  AND NOT EXISTS (
			SELECT 1
			FROM %[1]s.written AS own
			WHERE own.claim
			  AND own.who = w.who
			  AND own.id > ?
			  AND own.id < w.id)`
	err = s.server.Admin().QueryRowContext(ctx, fmt.Sprintf(q, s.history.Clusters[0].DatabaseOf(shard)), firstAccount, note).Scan(&n)
	return n, err
}
