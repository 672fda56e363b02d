package ledger

import (
	"context"
	"os"

	"matchday/internal/sqldb"
)

// A process that is stopped in the middle of a write keeps the lock of a SQLite file, and no epoch
// breaks that lock. Such a process has lost its shards already and cannot end its write, so it is
// ended: on the same machine, by the same account, and only while it is stopped and holds the lock.
// (On MySQL the server gives the connection up, see the writer's session settings.)

// lockable is a database that a stopped process can keep locked.
type lockable interface {
	// stoppedHolder returns the stopped process that holds the lock, or 0.
	stoppedHolder() int
}

func (s *sqliteStore) stoppedHolder() int     { return sqldb.StoppedHolder(s.db.Path()) }
func (d *sqliteDirectory) stoppedHolder() int { return sqldb.StoppedHolder(d.db.Path()) }

// evict ends the stopped process that keeps the database locked, if there is one, and reports whether
// it did.
func (k *keeper) evict(ctx context.Context, database any) bool {
	l, ok := database.(lockable)
	if !ok {
		return false
	}
	pid := l.stoppedHolder()
	if pid == 0 {
		return false
	}
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		k.log.ErrorContext(ctx, "a stopped process keeps a file locked and cannot be ended: end it", "pid", pid, "error", err)
		return false
	}
	k.metrics.evicted.Inc()
	k.log.WarnContext(ctx, "a stopped process kept a file locked and was ended", "pid", pid)
	return true
}
