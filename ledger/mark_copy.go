package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"matchday/internal/sqldb"
)

//go:embed migrations_marks/migrations/*.sql
var markMigrations embed.FS

// markCopy keeps the marks of all shards in the data folder. A directory on a cluster that is put back as a
// whole goes back with the shards, and notes nothing that they lack; a process that was there before still
// knows. A directory in the folder is its own copy. Nil keeps nothing.
type markCopy struct {
	db   *sqldb.DB
	kept map[int]mark // what is in the file; the noting goroutine's
}

// openMarkCopy opens or creates the file, which processes of one machine may share, if the directory is on a
// cluster.
func openMarkCopy(ctx context.Context, c Config, now time.Time) (*markCopy, error) {
	if c.Directory.Cluster == "" {
		return nil, nil
	}
	files, err := fs.Sub(markMigrations, "migrations_marks")
	if err != nil {
		return nil, fmt.Errorf("read migrations of marks: %w", err)
	}
	db, err := sqldb.Open(filepath.Join(c.Dir, "marks.db"), sqldb.Options{Durability: sqldb.Durable, Readers: 1, BusyTimeout: c.lockWait()})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, files, now); err != nil {
		return nil, errors.Join(fmt.Errorf("open copy of marks: %w", err), db.Close())
	}
	return &markCopy{db: db, kept: map[int]mark{}}, nil
}

// keep writes those of the marks that say more than the file does.
func (m *markCopy) keep(ctx context.Context, marks map[int]mark) error {
	const q = `
		INSERT INTO mark (shard, epoch, seq, seal)
		VALUES (?, ?, ?, ?)
		ON CONFLICT (shard) DO UPDATE
		SET epoch = excluded.epoch, seq = excluded.seq, seal = excluded.seal
		WHERE excluded.epoch > mark.epoch OR excluded.epoch = mark.epoch AND excluded.seq > mark.seq`
	fresh := map[int]mark{}
	for shard, v := range marks {
		if v.isAfter(m.kept[shard]) {
			fresh[shard] = v
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := m.db.InTx(ctx, func(tx *sql.Tx) error {
		for shard, v := range fresh {
			if _, err := tx.ExecContext(ctx, q, shard, v.epoch, v.seq, v.seal[:]); err != nil {
				return sqldb.Wrap("keep mark", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for shard, v := range fresh {
		m.kept[shard] = v
	}
	return nil
}

// of returns the mark that is kept of a shard; zero if there is none.
func (m *markCopy) of(ctx context.Context, shard int) (out mark, err error) {
	const q = `
		SELECT epoch, seq, seal
		FROM mark
		WHERE shard = ?`
	if m == nil {
		return mark{}, nil
	}
	var sealed []byte
	err = oneRow(m.db.Read.QueryContext(ctx, q, shard))(&out.epoch, &out.seq, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return mark{}, nil
	}
	copy(out.seal[:], sealed)
	return out, sqldb.Wrap("read copy of mark", err)
}

func (m *markCopy) close() error {
	if m == nil {
		return nil
	}
	return m.db.Close()
}

// copyMarks keeps how far callers of every shard were answered, as far as this process knows: of those it
// writes from its own memory, of the others by the directory. One call at a time.
func (s *Service) copyMarks(ctx context.Context) error {
	if s.marks == nil {
		return nil
	}
	list, seen := map[int]mark{}, s.owners.Load()
	for _, one := range s.shards {
		n := one.number
		if seen != nil && n < len(seen.shards) {
			list[n] = seen.shards[n].noted
		}
		if own := one.acked.Load(); own != nil && own.isAfter(list[n]) {
			list[n] = *own
		}
	}
	return s.marks.keep(ctx, list)
}
