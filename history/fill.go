package history

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// fill says how much of a second history is copied from the first. Copying goes in the order of the keys of
// bets, a chunk at a time, beside the live stream:
//
//   - A chunk is read from the first history in one snapshot, as of a sequence, and goes into the second in one
//     DBTx with this row, while the second shows that sequence or less. The next one waits until it shows it.
//   - A record of a bet beyond the last chunk is left out: the chunk that brings the bet will show it.
//   - A record up to the sequence of the last chunk, of a bet in it, is left out: it is in the chunk.
//   - Any other record meets a bet as any history has it, and is applied by the same code.
//
// So neither history ever waits for a lock of the other, and no record is applied twice or left out.
type fill struct {
	after betKey // the last chunk begins behind this bet
	upTo  betKey // and ends with this one, or with the last of all when done
	at    marks  // as of which it was read; none once everything is copied and that is shown
	done  bool   // there is no next chunk
	start int64  // where the second history began to follow the log; less means that it was emptied since

	chunks   int64
	bets     int64         // copied
	expected int64         // in the first history when copying began, and placed behind the copy since; 0 is not counted yet
	later    *atomic.Int64 // bets placed behind the copy since the process began: chunks that come bring them
	begun    time.Time
	updated  time.Time
}

// marks are the sequences that a history's writers show: a shard on a server has several, each with its players.
type marks []int64

// of returns the sequence of a player's writer.
func (m marks) of(p id.Player) int64 {
	if len(m) == 0 {
		return 0
	}
	return m[partOf(p, len(m))]
}

// last returns the sequence of the writer that is furthest.
func (m marks) last() int64 {
	if len(m) == 0 {
		return 0
	}
	return slices.Max(m)
}

// String returns the marks as they are stored.
func (m marks) String() string {
	list := make([]string, len(m))
	for i, seq := range m {
		list[i] = strconv.FormatInt(seq, 10)
	}
	return strings.Join(list, " ")
}

// parseMarks is the reverse of String.
func parseMarks(text string) (marks, error) {
	var m marks
	for word := range strings.FieldsSeq(text) {
		seq, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, errs.Wrap(err, errs.CodeInternal, "positions %q", text)
		}
		m = append(m, seq)
	}
	return m, nil
}

// isWhole reports whether the history is as one that came from the log.
func (f *fill) isWhole() bool { return f == nil || f.done && len(f.at) == 0 }

// takes reports whether a record counts: seq is its own sequence or, where it came with its player's bucket,
// the sequence at which that arrived.
func (f *fill) takes(k betKey, seq int64) bool {
	switch {
	case f == nil:
		return true
	case f.isBehind(k):
		return false
	case k.compare(f.after) > 0:
		return seq > f.at.of(k.player)
	}
	return true
}

// isBehind reports whether a bet is behind the last chunk: the one that comes there brings it.
func (f *fill) isBehind(k betKey) bool { return f != nil && !f.done && k.compare(f.upTo) > 0 }

const (
	fillTable = `
		CREATE TABLE IF NOT EXISTS fill (
			one          INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
			after_player TEXT    NOT NULL,
			after_bet    TEXT    NOT NULL,
			player_id    TEXT    NOT NULL,
			bet_id       TEXT    NOT NULL,
			seqs         TEXT    NOT NULL,
			done         INTEGER NOT NULL CHECK (done IN (0, 1)),
			start        INTEGER NOT NULL CHECK (start > 0),
			chunks       INTEGER NOT NULL,
			bets         INTEGER NOT NULL,
			expected     INTEGER NOT NULL,
			begun_us     INTEGER NOT NULL,
			updated_us   INTEGER NOT NULL
		) STRICT`
	fillTableMySQL = `
		CREATE TABLE IF NOT EXISTS fill (
			one          TINYINT NOT NULL PRIMARY KEY CHECK (one = 1),
			after_player VARBINARY(64) NOT NULL,
			after_bet    VARBINARY(64) NOT NULL,
			player_id    VARBINARY(64) NOT NULL,
			bet_id       VARBINARY(64) NOT NULL,
			seqs         VARBINARY(400) NOT NULL,
			done         TINYINT NOT NULL CHECK (done IN (0, 1)),
			start        BIGINT NOT NULL CHECK (start > 0),
			chunks       BIGINT NOT NULL,
			bets         BIGINT NOT NULL,
			expected     BIGINT NOT NULL,
			begun_us     BIGINT NOT NULL,
			updated_us   BIGINT NOT NULL
		) ENGINE = InnoDB`
)

// readFill returns nil where nothing was ever copied: the history came from the log.
func readFill(ctx context.Context, on reader) (*fill, error) {
	const q = `
		SELECT after_player, after_bet, player_id, bet_id, seqs, done, start, chunks, bets, expected, begun_us, updated_us
		FROM fill`
	rows, err := on.QueryContext(ctx, q)
	if err != nil {
		return nil, sqldb.Wrap("read fill", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, sqldb.Wrap("read fill", rows.Err())
	}
	var f fill
	var begun, updated int64
	var at string
	err = rows.Scan(&f.after.player, &f.after.bet, &f.upTo.player, &f.upTo.bet, &at, &f.done, &f.start,
		&f.chunks, &f.bets, &f.expected, &begun, &updated)
	if err != nil {
		return nil, sqldb.Wrap("read fill", err)
	}
	f.begun, f.updated = time.UnixMicro(begun).UTC(), time.UnixMicro(updated).UTC()
	f.at, err = parseMarks(at)
	return &f, err
}

// begin notes that copying begins at the sequence, in a history that has applied nothing, and lets its sink
// go on from there.
func (f *fill) begin(ctx context.Context, on stream.Conn) error {
	const (
		insert = `
			INSERT INTO fill (one, after_player, after_bet, player_id, bet_id, seqs, done, start, chunks, bets, expected, begun_us, updated_us)
			VALUES (1, '', '', '', '', '', 0, ?, 0, 0, 0, ?, ?)`
		skip = `
			UPDATE sink_position
			SET seq = ?
			WHERE seq = 0`
	)
	if _, err := on.ExecContext(ctx, insert, f.start, f.begun.UnixMicro(), f.begun.UnixMicro()); err != nil {
		return sqldb.Wrap("begin fill", err)
	}
	_, err := on.ExecContext(ctx, skip, f.start)
	return sqldb.Wrap("begin fill", err)
}

// save writes the row over the one with a chunk less.
func (f *fill) save(ctx context.Context, on stream.Conn, chunks int64) error {
	const q = `
		UPDATE fill
		SET after_player = ?, after_bet = ?, player_id = ?, bet_id = ?, seqs = ?, done = ?, chunks = ?, bets = ?, expected = ?, updated_us = ?
		WHERE chunks = ? AND done = 0`
	done, err := on.ExecContext(ctx, q, string(f.after.player), string(f.after.bet), string(f.upTo.player), string(f.upTo.bet),
		f.at.String(), f.done, f.chunks, f.bets, f.expected, f.updated.UnixMicro(), chunks)
	if err != nil {
		return sqldb.Wrap("save fill", err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(stream.ErrFenced, err)
	}
	return nil
}

// level notes that the last chunk's sequence is shown: from now on every record counts.
func (f *fill) level(ctx context.Context, on stream.Conn) error {
	const q = `
		UPDATE fill
		SET seqs = ''
		WHERE done = 1`
	_, err := on.ExecContext(ctx, q)
	return sqldb.Wrap("end fill", err)
}

// forgetFill deletes the row.
func forgetFill(ctx context.Context, on stream.Conn) error {
	const q = `
		DELETE FROM fill
		WHERE one = 1`
	_, err := on.ExecContext(ctx, q)
	return sqldb.Wrap("forget fill", err)
}

// filled is the store of a second history: live batches and chunks take turns, so that a chunk meets a
// position that stands still.
type filled struct {
	store
	kept  *keeper
	later atomic.Int64         // of every fill
	mu    sync.Mutex           // one turn
	fill  *fill                // nil: complete from the log; what it points to does not change
	lost  bool                 // what the database says of the fill is not known
	told  atomic.Pointer[fill] // fill, for those who do not wait for the turn
}

// Load implements stream.Store. A history that was emptied, as some migrations do, is copied to no more: it
// takes everything from the log, or begins to be copied to again when it is opened.
func (s *filled) Load(ctx context.Context) (int64, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.reload(ctx); err != nil {
		return 0, time.Time{}, err
	}
	seq, at, err := s.store.Load(ctx)
	if err != nil || s.fill == nil || seq >= s.fill.start {
		return seq, at, err
	}
	if err := s.inTables(ctx, func(on tables) error { return forgetFill(ctx, on) }); err != nil {
		return 0, time.Time{}, err
	}
	s.follow(nil)
	return seq, at, nil
}

// sharedStore is the store below as one that several processes have open.
func (s *filled) sharedStore() (stream.SharedStore, error) {
	shared, ok := s.store.(stream.SharedStore)
	if !ok {
		return nil, errs.New(errs.CodeInternal, "a history in a file is of one process")
	}
	return shared, nil
}

// Claim implements stream.SharedStore. What was counted under an earlier claim is another process's to know by now.
func (s *filled) Claim(ctx context.Context, epoch int64) error {
	shared, err := s.sharedStore()
	if err != nil {
		return err
	}
	s.later.Store(0)
	return shared.Claim(ctx, epoch)
}

// Follow implements stream.SharedStore.
func (s *filled) Follow(ctx context.Context) (int64, time.Time, error) {
	shared, err := s.sharedStore()
	if err != nil {
		return 0, time.Time{}, err
	}
	return shared.Follow(ctx)
}

// Commit implements stream.Store.
func (s *filled) Commit(ctx context.Context, from int64, batches []stream.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		if err := s.reload(ctx); err != nil {
			return err
		}
	}
	return s.store.Commit(ctx, from, batches)
}

// reload makes the fill what the database says; the caller holds the turn.
func (s *filled) reload(ctx context.Context) error {
	s.lost = true
	var f *fill
	err := s.inTables(ctx, func(on tables) (err error) {
		f, err = readFill(ctx, on)
		return err
	})
	if err == nil {
		s.lost = false
		s.follow(f)
	}
	return err
}

// follow lets the projection go by the fill; the caller holds the turn.
func (s *filled) follow(f *fill) {
	if f != nil {
		f.later = &s.later
	}
	s.fill = f
	s.told.Store(f)
	s.fillWith(f)
}

// state returns the fill, nil for a history that came from the log. It does not wait: who has the turn may wait
// for the first history, and that must never wait for somebody who asks how far the copy is.
func (s *filled) state() *fill { return s.told.Load() }
