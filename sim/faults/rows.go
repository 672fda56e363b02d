package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"matchday/sim/serial"
)

// The engines.
const (
	engineSQLite = "sqlite"
	engineMySQL  = "mysql"
)

// fault is one row of the table.
type fault struct {
	name, engine, what string
	since              string // what time to recover is counted from; "" is a row in which nothing breaks
	run                func(ctx context.Context, s *stage) error
}

// faults are the rows in the order of the table.
var faults = []fault{
	{"killed", engineSQLite, "the writer process gets SIGKILL and is started again at once", "the kill", killed},
	{"hung", engineSQLite, "the writer process gets SIGSTOP; after a second without an answer it is killed and started again", "the stop", hung},
	{"woken", engineSQLite, "the writer process gets SIGSTOP, another takes its shards over, and the first wakes up", "the stop", woken},
	{"cut off", engineSQLite, "clients and writer cannot reach each other for three seconds", "the end of the cut", cutOff},
	{"disk full", engineSQLite, "the disk of the books is full for two seconds", "space is free again", diskFull},
	{"owner killed", engineSQLite, "one of two processes that share the shards gets SIGKILL and stays away", "the kill", ownerKilled},
	{"owner hung", engineSQLite, "one of two processes that share the shards gets SIGSTOP, is replaced, and wakes up", "the stop", ownerHung},
	{"buckets moved", engineSQLite, "half of a shard's buckets move to another, and the writer is killed on the way", "the kill", bucketsMoved},
	{"shared buckets moved", engineSQLite, "half of a shard's buckets move to the shard of another process, and the one that moves them gets SIGKILL on the way", "the kill", ownedBucketsMoved},
	{"shared buckets moved undisturbed", engineSQLite, "half of a shard's buckets move to the shard of another process under load", "", ownedBucketsMovedInPeace},
	{"killed", engineMySQL, "the writer process gets SIGKILL and is started again at once", "the kill", onOneServer(killed)},
	{"owner killed", engineMySQL, "one of two processes that share the shards gets SIGKILL and stays away", "the kill", onOneServer(ownerKilled)},
	{"owner hung", engineMySQL, "one of two processes that share the shards gets SIGSTOP, is replaced, and wakes up", "the stop", onOneServer(ownerHung)},
	{"owner cut off", engineMySQL, "one of two processes that share the shards cannot reach databases and directory, is replaced, and reaches them again", "the cut", ownerCutOff},
	{"shared buckets moved", engineMySQL, "half of a shard's buckets move to the shard of another process, and the one that moves them gets SIGKILL on the way", "the kill", onOneServer(ownedBucketsMoved)},
	{"shared buckets moved undisturbed", engineMySQL, "half of a shard's buckets move to the shard of another process under load", "", onOneServer(ownedBucketsMovedInPeace)},
	{"database cut off", engineMySQL, "writer and database cannot reach each other for three seconds", "the end of the cut", databaseCutOff},
	{"database hung", engineMySQL, "the database server gets SIGSTOP for three seconds", "it runs on", databaseHung},
	{"database restarted", engineMySQL, "the database server gets SIGKILL and is started again at once", "the kill", databaseRestarted},
	{"primary killed", engineMySQL, "the primary of a semi-synchronous pair gets SIGKILL and the replica is promoted", "the kill", primaryKilled},
	{"disk full", engineMySQL, "the disk of the database is full for two seconds; MariaDB looks for space once a minute", "space is free again", databaseDiskFull},
}

// Names lists the rows.
func Names() []string {
	var names []string
	for _, f := range faults {
		if !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return append(names, betsNames()...)
}

func known(name string) bool { return slices.Contains(Names(), name) }

// hangAfter is how long a supervisor waits for an answer before it replaces a writer.
const hangAfter = time.Second

func killed(ctx context.Context, s *stage) error {
	p, err := s.begin(ctx)
	if err != nil {
		return err
	}
	if err := p.kill(); err != nil {
		return err
	}
	s.strike()
	return s.replace(ctx)
}

// replace starts another writer, sends the clients there, and lets the load run on.
func (s *stage) replace(ctx context.Context) error {
	p, err := s.write(ctx)
	if err != nil {
		return err
	}
	s.send(p.addr)
	return s.settle(ctx)
}

func hung(ctx context.Context, s *stage) error {
	p, err := s.begin(ctx)
	if err != nil {
		return err
	}
	if err := p.freeze(ctx); err != nil {
		return err
	}
	s.strike()
	pause(ctx, hangAfter)
	if err := p.kill(); err != nil {
		return err
	}
	return s.replace(ctx)
}

// woken stops a writer and lets another take over beside it. A writer that was stopped in the middle of
// a commit holds the lock of its file, which no epoch breaks and only its end does; so the stop is tried
// until it falls between two commits.
func woken(ctx context.Context, s *stage) error {
	old, err := s.begin(ctx)
	if err != nil {
		return err
	}
	second, tries, err := s.takeOver(ctx, old)
	if err != nil {
		return err
	}
	s.send(second.addr)
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := old.signal(syscall.SIGCONT); err != nil {
		return err
	}
	done, err := s.probe(ctx, newRemote(func() string { return old.addr }))
	if err != nil {
		return err
	}
	s.note = fmt.Sprintf("the woken writer refused %d operations; it was stopped %d times until no commit was under way", done, tries)
	return s.settle(ctx)
}

// stopTries bounds how often a writer is stopped until that falls between two commits.
const stopTries = 60

// takeOver stops the old writer and starts a second one on the same books.
func (s *stage) takeOver(ctx context.Context, old *process) (second *process, tries int, err error) {
	for tries = 1; tries <= stopTries; tries++ {
		if err := old.freeze(ctx); err != nil {
			return nil, tries, err
		}
		s.strike()
		if free, err := s.unlocked(ctx); err != nil {
			return nil, tries, err
		} else if free {
			second, err = s.write(ctx)
			return second, tries, err
		}
		if err := old.signal(syscall.SIGCONT); err != nil {
			return nil, tries, err
		}
		pause(ctx, time.Duration(37*tries)*time.Millisecond) // where a commit is slow, one is nearly always under way
	}
	return nil, tries, errors.New("the writer was in the middle of a commit whenever it was stopped")
}

// probes is how many operations the woken writer is asked for.
const probes = 20

// probe sends operations to a writer that must refuse them.
func (s *stage) probe(ctx context.Context, old target) (int, error) {
	for n := range probes {
		o := serial.Op{Action: serial.Deposit, Player: playerID(n % s.Players), Key: fmt.Sprintf("woken-%d", n), Minor: 1}
		if s.ask(ctx, old, &o) {
			return n, fmt.Errorf("a writer that had been replaced answered %s", &o)
		}
	}
	return probes, nil
}

func cutOff(ctx context.Context, s *stage) error {
	p, err := s.write(ctx)
	if err != nil {
		return err
	}
	link, err := s.linkTo(p.addr)
	if err != nil {
		return err
	}
	s.send(link.addr())
	s.beginLoad(ctx, newRemote(s.next))
	if err := s.settle(ctx); err != nil {
		return err
	}
	link.cut(true)
	s.strike()
	pause(ctx, 3*time.Second)
	link.cut(false)
	s.heal()
	return s.settle(ctx)
}

// diskBytes is the size of the disk that is filled: room for the write-ahead logs of all shards, and more.
const diskBytes = 256 << 20

// diskFull runs the books on a small file system of their own and fills it.
func diskFull(ctx context.Context, s *stage) error {
	disk := filepath.Join(s.dir, "disk")
	if err := s.mount(disk, diskBytes); err != nil {
		return err
	}
	s.books = filepath.Join(disk, "ledger")
	if _, err := s.begin(ctx); err != nil {
		return err
	}
	return s.fillAndFree(ctx, filepath.Join(disk, "ballast"))
}

// fillAndFree fills the disk until nothing has been committed for a second, for another second, and frees
// it again.
func (s *stage) fillAndFree(ctx context.Context, ballast string) error {
	if err := fill(ballast); err != nil {
		return err
	}
	s.strike()
	if err := s.await(ctx, "the full disk to be noticed", func() bool { return s.silentFor(hangAfter) }); err != nil {
		return err
	}
	pause(ctx, time.Second)
	if err := os.Remove(ballast); err != nil {
		return err
	}
	s.heal()
	return s.settle(ctx)
}

// silentFor reports whether no transfer has been committed for so long. Reads go on when a disk is full.
func (s *stage) silentFor(d time.Duration) bool {
	last := s.struck
	for _, o := range s.load.history.History() {
		if isTransfer(&o) && !o.Answer.Unknown && !o.Answer.Replayed && o.Answer.Position.Seq > 0 {
			last = max(last, o.Return)
		}
	}
	return s.load.history.Now()-last > int64(d)
}

// mount makes a file system in memory of so many bytes.
func (s *stage) mount(at string, bytes int) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		return fmt.Errorf("mounting a small file system needs root: %w: %w", errSkipped, err)
	}
	s.onEnd(func() error { return syscall.Unmount(at, 0) })
	return nil
}

// fill writes a file until no byte more fits.
func fill(file string) error {
	f, err := os.Create(file) // #nosec: in our own folder
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
