package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"matchday/internal/mariadb"
)

// onOneServer runs a row on books in one MariaDB server.
func onOneServer(run func(context.Context, *stage) error) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		server, err := s.server(ctx, mariadb.Options{})
		if err != nil {
			return err
		}
		if err := s.onCluster("none", server.Addr()); err != nil {
			return err
		}
		return run(ctx, s)
	}
}

// server starts a server that goes with the stage.
func (s *stage) server(ctx context.Context, o mariadb.Options) (*mariadb.Server, error) {
	server, err := mariadb.Start(ctx, o)
	if errors.Is(err, mariadb.ErrMissing) {
		return nil, fmt.Errorf("%w: %w", errSkipped, err)
	}
	if err != nil {
		return nil, err
	}
	s.onEnd(server.Stop)
	return server, nil
}

// onCluster puts the shards on a cluster of these nodes.
func (s *stage) onCluster(replication string, nodes ...string) error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(mariadb.Password), 0o600); err != nil {
		return err
	}
	s.yaml = fmt.Sprintf(`dir: %q
shards: %d
clusters:
  - name: east
    shards: "0-%d"
    nodes: ["%s"]
    database: ledger
    user: %s
    password_file: %q
    replication: %s
    timeout: 2s
`, s.books, shards, shards-1, strings.Join(nodes, `", "`), mariadb.User, secret, replication)
	return nil
}

// databaseCutOff cuts the writer off from its database.
func databaseCutOff(ctx context.Context, s *stage) error {
	server, err := s.server(ctx, mariadb.Options{})
	if err != nil {
		return err
	}
	link, err := s.linkTo(server.Addr())
	if err != nil {
		return err
	}
	if err := s.onCluster("none", link.addr()); err != nil {
		return err
	}
	if _, err := s.begin(ctx); err != nil {
		return err
	}
	link.cut(true)
	s.strike()
	pause(ctx, 3*time.Second)
	link.cut(false)
	s.heal()
	return s.settle(ctx)
}

// databaseHung stops the database server for a while.
func databaseHung(ctx context.Context, s *stage) error {
	server, err := s.beginOnServer(ctx, mariadb.Options{})
	if err != nil {
		return err
	}
	if err := server.Pause(); err != nil {
		return err
	}
	s.strike()
	pause(ctx, 3*time.Second)
	if err := server.Resume(); err != nil {
		return err
	}
	s.heal()
	return s.settle(ctx)
}

// databaseRestarted kills the only database server and starts it again.
func databaseRestarted(ctx context.Context, s *stage) error {
	server, err := s.beginOnServer(ctx, mariadb.Options{})
	if err != nil {
		return err
	}
	if err := server.Kill(); err != nil {
		return err
	}
	s.strike()
	if err := server.Restart(ctx); err != nil {
		return err
	}
	return s.settle(ctx)
}

// beginOnServer starts a server, a writer on it, and the load.
func (s *stage) beginOnServer(ctx context.Context, o mariadb.Options) (*mariadb.Server, error) {
	server, err := s.server(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.onCluster("none", server.Addr()); err != nil {
		return nil, err
	}
	_, err = s.begin(ctx)
	return server, err
}

// primaryKilled kills the primary of a semi-synchronous pair for good and promotes its replica. Who
// promotes in production is the operator's tool; here it does so at once, and its time is in the figure.
func primaryKilled(ctx context.Context, s *stage) error {
	first, err := s.server(ctx, mariadb.Options{})
	if err != nil {
		return err
	}
	second, err := s.server(ctx, mariadb.Options{})
	if err != nil {
		return err
	}
	third, err := s.server(ctx, mariadb.Options{})
	if err != nil {
		return err
	}
	if err := errors.Join(second.Replicate(ctx, first, true), third.Replicate(ctx, first, true)); err != nil {
		return err
	}
	if err := s.onCluster("semi_sync", first.Addr(), second.Addr(), third.Addr()); err != nil {
		return err
	}
	if _, err := s.begin(ctx); err != nil {
		return err
	}
	if err := first.Kill(); err != nil {
		return err
	}
	s.strike()
	best, other, err := further(ctx, second, third)
	if err != nil {
		return err
	}
	if err := best.Promote(ctx); err != nil {
		return err
	}
	if err := other.Replicate(ctx, best, true); err != nil {
		return err
	}
	return s.settle(ctx)
}

// further returns the replica that has received more of the dead primary's log, and the other one. A
// commit was answered when one of them had it.
func further(ctx context.Context, a, b *mariadb.Server) (best, other *mariadb.Server, err error) {
	seq := func(s *mariadb.Server) (n int64) {
		status, failed := s.ReplicaStatus(ctx)
		if failed == nil {
			n, failed = gtidNumber(status["Gtid_IO_Pos"])
		}
		err = errors.Join(err, failed)
		return n
	}
	if seq(a) >= seq(b) {
		return a, b, err
	}
	return b, a, err
}

// databaseDisk is the size of the disk of the database: its own files take most of it.
const databaseDisk = 512 << 20

// databaseDiskFull runs the database on a small file system and fills it.
func databaseDiskFull(ctx context.Context, s *stage) error {
	disk := filepath.Join(s.dir, "d")
	if err := s.mount(disk, databaseDisk); err != nil {
		return err
	}
	if _, err := s.beginOnServer(ctx, mariadb.Options{Dir: filepath.Join(disk, "d")}); err != nil {
		return err
	}
	return s.fillAndFree(ctx, filepath.Join(disk, "ballast"))
}
