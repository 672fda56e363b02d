package history

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
)

//go:embed desk/migrations/*.sql
var deskMigrations embed.FS

// Shown says whose bets players see.
type Shown string

// The first history, the second for a share of the players, or the second for all.
const (
	ShownFirst  Shown = "first"
	ShownShare  Shown = "share"
	ShownSecond Shown = "second"
)

// Choice is what operators chose about a second history.
type Choice struct {
	Shown   Shown       `json:"shown"`
	Share   int         `json:"share"`   // players in a hundred who see the second, while it is shown to a share
	Players []id.Player `json:"players"` // who see it besides
	Dropped string      `json:"dropped"` // "first" or "second": no longer fed; "" while both are
}

// sees reports whether a player sees the second history.
func (c *Choice) sees(p id.Player) bool {
	switch c.Shown {
	case ShownSecond:
		return true
	case ShownShare:
		h := fnv.New32a()
		_, _ = h.Write([]byte("share of " + p)) // it has no error to return
		return int(h.Sum32()%100) < c.Share || slices.Contains(c.Players, p)
	}
	return false
}

// equals reports whether two choices say the same.
func (c *Choice) equals(o *Choice) bool {
	return c.Shown == o.Shown && c.Share == o.Share && c.Dropped == o.Dropped && slices.Equal(c.Players, o.Players)
}

// Act is a step that an operator took.
type Act struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	What   string    `json:"what"`
	Reason string    `json:"reason"`
}

// ActRequest says who takes a step, and why.
type ActRequest struct {
	By     string // up to 200 bytes
	Reason string // up to 500 bytes
}

func (r ActRequest) validate(check *errs.Check) {
	if n := len(strings.TrimSpace(r.By)); n == 0 || n > 200 {
		check.Add("by", "must be 1 to 200 bytes")
	}
	if n := len(strings.TrimSpace(r.Reason)); n == 0 || n > 500 {
		check.Add("reason", "must be 1 to 500 bytes")
	}
}

// NextStatus is everything about a second history.
type NextStatus struct {
	Choice
	At      time.Time      `json:"at"` // of the report; zero if no process has fed it yet
	Copy    []FillProgress `json:"copy"`
	Equal   []Comparison   `json:"comparison"`
	Trouble string         `json:"trouble"` // why it is not open, or ""
	Acts    []Act          `json:"acts"`    // newest first, at most maxActs
}

const (
	maxActs         = 100
	maxSharePlayers = 1_000
)

// Desk is where operators choose what becomes of a second history; the process that feeds it looks there each
// second. It is a small file in the first history's folder, which several processes may have open. A step that
// is repeated is answered as before.
type Desk struct {
	db    *sqldb.DB
	clock clock.Clock
	next  string
}

// OpenDesk opens the desk of the configured histories.
//
// Errors: conflict if no second history is configured.
func OpenDesk(ctx context.Context, c Config, clk clock.Clock) (*Desk, error) {
	if c.Next.Dir == "" {
		return nil, errs.New(errs.CodeConflict, "no second history is configured (history.next)")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	files, err := fs.Sub(deskMigrations, "desk")
	if err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	db, err := sqldb.Open(c.deskFile(), sqldb.Options{CacheKiB: 256, Readers: 1})
	if err != nil {
		return nil, err
	}
	d := &Desk{db: db, clock: clk, next: c.Next.place()}
	if err := db.Migrate(ctx, files, clk.Now()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// deskFile is where the desk is.
func (c Config) deskFile() string { return filepath.Join(c.Dir, "second.db") }

// place names where a second history is: a choice about one place is none about another.
func (c NextConfig) place() string {
	name := "folder " + c.Dir
	for _, one := range c.Clusters {
		name += fmt.Sprintf("; shards %s in %s on %s", one.Shards, one.Database, strings.Join(one.Nodes, ", "))
	}
	return name
}

// Close closes the desk.
func (d *Desk) Close() error { return d.db.Close() }

// Choice returns what was chosen about the second history that is configured.
func (d *Desk) Choice(ctx context.Context) (Choice, error) { return d.choice(ctx, d.db.Read) }

type rowReader interface {
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}

func (d *Desk) choice(ctx context.Context, on rowReader) (Choice, error) {
	const q = `
		SELECT shown, share, players, dropped
		FROM choice
		WHERE next = ?`
	c := Choice{Shown: ShownFirst}
	var players string
	err := on.QueryRowContext(ctx, q, d.next).Scan(&c.Shown, &c.Share, &players, &c.Dropped)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return c, sqldb.Wrap("read choice", err)
	}
	if err := json.Unmarshal([]byte(players), &c.Players); err != nil {
		return c, errs.Wrap(err, errs.CodeInternal, "players of the choice")
	}
	return c, nil
}

// step is what an operator asks for.
type step struct {
	what   string
	shows  bool // bets of the second history to players: refused unless it is complete and equal
	change func(c *Choice) error
}

// act changes the choice and records who did it and why, in one DBTx. What is so already is answered the same
// way and not recorded again, so that a step may be repeated.
func (d *Desk) act(ctx context.Context, r ActRequest, s step) (Choice, error) {
	var check errs.Check
	r.validate(&check)
	if err := check.Err(); err != nil {
		return Choice{}, err
	}
	var c Choice
	err := d.db.InTx(ctx, func(tx *sql.Tx) error {
		was, err := d.choice(ctx, tx)
		if err != nil {
			return err
		}
		c = was
		if err := s.change(&c); err != nil || c.equals(&was) {
			return err
		}
		if was.Dropped != "" {
			return errs.New(errs.CodeConflict, "the %s history is no longer fed: change the configuration", was.Dropped)
		}
		if s.shows {
			if err := d.ready(ctx); err != nil {
				return err
			}
		}
		return d.save(ctx, tx, c, r, s.what)
	})
	if err != nil {
		return Choice{}, err
	}
	return c, nil
}

// save writes the choice and the act.
func (d *Desk) save(ctx context.Context, tx *sql.Tx, c Choice, r ActRequest, what string) error {
	const (
		save = `
			INSERT INTO choice (one, next, shown, share, players, dropped)
			VALUES (1, ?, ?, ?, ?, ?)
			ON CONFLICT (one) DO UPDATE SET
				next = excluded.next, shown = excluded.shown, share = excluded.share,
				players = excluded.players, dropped = excluded.dropped`
		note = `
			INSERT INTO act (at_us, by, what, reason)
			VALUES (?, ?, ?, ?)`
	)
	players, err := json.Marshal(append([]id.Player{}, c.Players...))
	if err != nil {
		return fmt.Errorf("save choice: %w", err)
	}
	if _, err := tx.ExecContext(ctx, save, d.next, string(c.Shown), c.Share, string(players), c.Dropped); err != nil {
		return sqldb.Wrap("save choice", err)
	}
	_, err = tx.ExecContext(ctx, note, d.clock.Now().UnixMicro(), strings.TrimSpace(r.By), what, strings.TrimSpace(r.Reason))
	return sqldb.Wrap("record act", err)
}

// Share shows the second history to players in a hundred, chosen by a hash, and to those who are named.
//
// Errors: invalid; conflict while the second is not complete or differs.
func (d *Desk) Share(ctx context.Context, r ActRequest, percent int, players []id.Player) (Choice, error) {
	var check errs.Check
	if percent < 0 || percent > 100 {
		check.Add("percent", "must be 0 to 100")
	}
	if len(players) > maxSharePlayers {
		check.Add("players", "must be at most %d", maxSharePlayers)
	}
	if percent == 0 && len(players) == 0 {
		check.Add("percent", "or players must be given; `history back` shows the second to nobody")
	}
	if err := check.Err(); err != nil {
		return Choice{}, err
	}
	what := fmt.Sprintf("show the second to %d %% of the players and %d by name", percent, len(players))
	return d.act(ctx, r, step{what: what, shows: true, change: func(c *Choice) error {
		c.Shown, c.Share, c.Players = ShownShare, percent, players
		return nil
	}})
}

// Switch shows the second history to everybody. The first goes on being fed.
//
// Errors: invalid; conflict while the second is not complete or differs.
func (d *Desk) Switch(ctx context.Context, r ActRequest) (Choice, error) {
	return d.act(ctx, r, step{what: "show the second to everybody", shows: true, change: func(c *Choice) error {
		c.Shown, c.Share, c.Players = ShownSecond, 0, nil
		return nil
	}})
}

// Back shows the first history to everybody again. The second goes on being fed.
func (d *Desk) Back(ctx context.Context, r ActRequest) (Choice, error) {
	return d.act(ctx, r, step{what: "show the first to everybody", change: func(c *Choice) error {
		c.Shown, c.Share, c.Players = ShownFirst, 0, nil
		return nil
	}})
}

// Drop lets go of the history that nobody sees: within two seconds it is no longer fed, for good. Its data stays where
// it is.
//
// Errors: conflict if anybody sees it.
func (d *Desk) Drop(ctx context.Context, r ActRequest, which string) (Choice, error) {
	need, ok := map[string]Shown{"first": ShownSecond, "second": ShownFirst}[which]
	if !ok {
		return Choice{}, errs.New(errs.CodeInvalid, "drop first or second, not %q", which)
	}
	return d.act(ctx, r, step{what: "let go of the " + which, change: func(c *Choice) error {
		if c.Shown != need {
			return errs.New(errs.CodeConflict, "players see the %s history: let go of it only when nobody does", which)
		}
		c.Dropped = which
		return nil
	}})
}

// reportAge is how old a report may be that a step relies on.
const reportAge = time.Minute

// ready refuses a step that would show players a history that lacks or distorts bets.
func (d *Desk) ready(ctx context.Context) error {
	s, err := d.Status(ctx)
	if err != nil {
		return err
	}
	if len(s.Copy) == 0 || d.clock.Now().Sub(s.At) > reportAge {
		return errs.New(errs.CodeConflict, "no process feeds the second history: nothing was changed")
	}
	for i, p := range s.Copy {
		switch {
		case !p.Done:
			return errs.New(errs.CodeConflict, "shard %d of the second history is not complete: nothing was changed", p.Shard)
		case s.Equal[i].Passes == 0:
			return errs.New(errs.CodeConflict, "shard %d of the second history has not been compared yet: nothing was changed", p.Shard)
		case s.Equal[i].Suspected > 0:
			return errs.New(errs.CodeConflict, "shard %d of the second history differs in %d bets: nothing was changed", p.Shard, s.Equal[i].Suspected)
		}
	}
	return nil
}

// Status returns the choice, what the feeding process said last, and the last steps.
func (d *Desk) Status(ctx context.Context) (NextStatus, error) {
	const (
		report = `
			SELECT at_us, body
			FROM report`
		acts = `
			SELECT at_us, by, what, reason
			FROM act
			ORDER BY number DESC
			LIMIT ?`
	)
	var s NextStatus
	var us int64
	var body string
	switch err := d.db.Read.QueryRowContext(ctx, report).Scan(&us, &body); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return s, sqldb.Wrap("read report", err)
	default:
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			return s, errs.Wrap(err, errs.CodeInternal, "report of the second history")
		}
		s.At = time.UnixMicro(us).UTC()
	}
	var err error
	if s.Choice, err = d.Choice(ctx); err != nil {
		return s, err
	}
	rows, err := d.db.Read.QueryContext(ctx, acts, maxActs)
	if err != nil {
		return s, sqldb.Wrap("read acts", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a Act
		if err := rows.Scan(&us, &a.By, &a.What, &a.Reason); err != nil {
			return s, sqldb.Wrap("read acts", err)
		}
		a.At = time.UnixMicro(us).UTC()
		s.Acts = append(s.Acts, a)
	}
	return s, sqldb.Wrap("read acts", rows.Err())
}

// report notes how far the second history is.
func (d *Desk) report(ctx context.Context, s NextStatus) error {
	const q = `
		INSERT INTO report (one, at_us, body)
		VALUES (1, ?, ?)
		ON CONFLICT (one) DO UPDATE SET at_us = excluded.at_us, body = excluded.body`
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("report second history: %w", err)
	}
	_, err = d.db.Write.ExecContext(ctx, q, d.clock.Now().UnixMicro(), string(body))
	return sqldb.Wrap("report second history", err)
}
