package stream

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"matchday/internal/sqldb"
)

// TestACommitWhoseAnswerWasLostIsNotAnotherWriters commits what is committed, as a sink does that could neither
// hear the answer nor ask.
func TestACommitWhoseAnswerWasLostIsNotAnotherWriters(t *testing.T) {
	t.Parallel()
	db, err := sqldb.Open(filepath.Join(t.TempDir(), "sink.db"), sqldb.Options{Durability: sqldb.Rebuildable})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	open := func() *sqlStore {
		s := &sqlStore{row: PositionRow{Name: "copy", Shard: 0}, db: db, apply: func(context.Context, *sql.Tx, []Batch) error { return nil }}
		if _, _, err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	mine, other := open(), open()
	for range 3 {
		if err := mine.Commit(t.Context(), 0, []Batch{{First: 1, Last: 2}}); err != nil {
			t.Fatalf("Commit = %v, want that it was committed", err)
		}
	}
	if err := other.Commit(t.Context(), 0, []Batch{{First: 1, Last: 2}}); !errors.Is(err, ErrFenced) {
		t.Errorf("another writer's first Commit = %v, want %v", err, ErrFenced)
	}
	if err := mine.Commit(t.Context(), 0, []Batch{{First: 1, Last: 1}}); !errors.Is(err, ErrFenced) {
		t.Errorf("Commit of less than is there = %v, want %v", err, ErrFenced)
	}
}
