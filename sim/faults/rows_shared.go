package faults

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"matchday/internal/mariadb"
	"matchday/internal/sqldb"
	"matchday/sim/serial"
)

// ownerKilled kills one of two processes for good.
func ownerKilled(ctx context.Context, s *stage) error {
	list, err := s.beginShared(ctx)
	if err != nil {
		return err
	}
	if err := list[0].kill(); err != nil {
		return err
	}
	s.strike()
	s.send(list[1].addr)
	return s.settle(ctx)
}

// ownerHung stops one of two processes, waits until the other has its shards, wakes it up, and asks it
// for operations of shards that it no longer writes: it may send them on or refuse them, not commit them.
func ownerHung(ctx context.Context, s *stage) error {
	list, err := s.beginShared(ctx)
	if err != nil {
		return err
	}
	if err := list[0].freeze(ctx); err != nil {
		return err
	}
	s.strike()
	s.send(list[1].addr)
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := list[0].signal(syscall.SIGCONT); err != nil {
		return err
	}
	return s.askReplaced(ctx, list)
}

// ownerCutOff cuts one of two processes off from the server that has the shards and the directory, until the
// other has its shards. Then everything that the first had sent arrives, commits too, and it is asked for
// operations of shards that it no longer writes.
func ownerCutOff(ctx context.Context, s *stage) error {
	server, err := s.server(ctx, mariadb.Options{})
	if err != nil {
		return err
	}
	link, err := s.linkTo(server.Addr())
	if err != nil {
		return err
	}
	s.shared, s.directoryOn = true, server
	for _, node := range []string{link.addr(), server.Addr()} {
		if err := s.onCluster("none", node); err != nil {
			return err
		}
		s.yaml += "directory: {cluster: east}\n"
		if _, err := s.write(ctx); err != nil {
			return err
		}
	}
	list, err := s.loadBoth(ctx)
	if err != nil {
		return err
	}
	link.cut(true)
	s.strike()
	s.send(list[1].addr)
	if err := s.settle(ctx); err != nil {
		return err
	}
	link.cut(false)
	return s.askReplaced(ctx, list)
}

// askReplaced asks the first of two processes, which the second has replaced, for operations of shards that it
// wrote, and goes on with the load on both.
func (s *stage) askReplaced(ctx context.Context, list []*process) error {
	sentOn, refused := 0, 0
	old := newRemote(func() string { return list[0].addr })
	for n := range probes {
		o := serial.Op{Action: serial.Deposit, Player: playerID(n % s.Players), Key: fmt.Sprintf("woken-%d", n), Minor: 1}
		if s.ask(ctx, old, &o) {
			sentOn++
		} else {
			refused++
		}
	}
	s.note = fmt.Sprintf("of %d operations the replaced process sent on %d and refused %d", probes, sentOn, refused)
	s.send(list[0].addr, list[1].addr)
	return s.settle(ctx)
}

// ask sends one operation, once, as part of the history, and reports whether it was answered.
func (s *stage) ask(ctx context.Context, t target, o *serial.Op) bool {
	o.Call = s.load.history.Now()
	try, cancel := context.WithTimeout(ctx, 10*tryFor)
	defer cancel()
	answer, notTaken := t.do(try, o)
	o.Answer = answer
	if !notTaken {
		s.load.history.Add(*o)
	}
	return !answer.Unknown
}

// directory opens the directory's file to read it.
func (s *stage) directory() (*sqldb.DB, error) {
	return sqldb.Open(filepath.Join(s.books, "directory.db"), sqldb.Options{ReadOnly: true, Readers: 1, BusyTimeout: time.Second})
}

// owners returns how many processes write shards, by the directory.
func (s *stage) owners(ctx context.Context) (n int) {
	if s.directoryOn != nil {
		const q = `
			SELECT COUNT(DISTINCT owner)
			FROM ledger_directory.shard
			WHERE owner <> ''`
		if err := s.directoryOn.Admin().QueryRowContext(ctx, q).Scan(&n); err != nil {
			return 0 // asked again
		}
		return n
	}
	db, err := s.directory()
	if err != nil {
		return 0
	}
	defer db.Close() //nolint:errcheck // read only
	const q = `
		SELECT COUNT(DISTINCT owner)
		FROM shard
		WHERE owner <> ''`
	if err := db.Read.QueryRowContext(ctx, q).Scan(&n); err != nil {
		return 0 // asked again
	}
	return n
}
