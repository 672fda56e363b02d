package history

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/stream"
)

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

	act int64 // the last one that it shows
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
	At      time.Time      `json:"at"`     // of the oldest shard's report; zero if no process has fed it yet
	Shards  int            `json:"shards"` // that there are; 0 while not known
	Copy    []FillProgress `json:"copy"`   // of the shards that a process feeds, in order
	Equal   []Comparison   `json:"comparison"`
	Trouble string         `json:"trouble"` // why it is not open, or ""
	Acts    []Act          `json:"acts"`    // newest first, at most maxActs
	Looks   []Look         `json:"looks"`   // of the processes that answer for the history, lately
}

// Look says of a process whether it goes by what was chosen.
type Look struct {
	Process string    `json:"process"`
	At      time.Time `json:"at"`      // when it looked last
	Current bool      `json:"current"` // it has seen the last act, and has this second history configured
}

const (
	maxActs         = 100
	maxSharePlayers = 1_000
	lookAge         = 10 * time.Minute // a process that has not looked for longer is taken for gone
)

// Desk is where operators choose what becomes of a second history; every process that answers for it looks there
// each second. It is a small file in the first history's folder or, where shard 0 of that is on a cluster, a
// database beside it. Several processes may have it open. A step that is repeated is answered as before.
type Desk struct {
	rows  deskRows
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
	rows, err := openDeskRows(ctx, c, clk.Now())
	if err != nil {
		return nil, err
	}
	return &Desk{rows: rows, clock: clk, next: c.nextPlace()}, nil
}

// Close closes the desk.
func (d *Desk) Close() error { return d.rows.close() }

// Choice returns what was chosen about the second history that is configured.
func (d *Desk) Choice(ctx context.Context) (Choice, error) { return d.choice(ctx, d.rows, "") }

// choice reads what was chosen, and with a hold keeps it so until the DBTx ends.
func (d *Desk) choice(ctx context.Context, on reader, hold string) (c Choice, err error) {
	const q = `
		SELECT next, shown, share, players, dropped, (SELECT COALESCE(MAX(number), 0) FROM act)
		FROM choice`
	c = Choice{Shown: ShownFirst}
	rows, err := on.QueryContext(ctx, q+hold)
	if err != nil {
		return c, sqldb.Wrap("read choice", err)
	}
	defer rows.Close()
	if !rows.Next() { // a file of before there was always one, which is only read
		return c, sqldb.Wrap("read choice", rows.Err())
	}
	var next, players string
	if err := rows.Scan(&next, &c.Shown, &c.Share, &players, &c.Dropped, &c.act); err != nil {
		return c, sqldb.Wrap("read choice", err)
	}
	if next != d.next {
		return Choice{Shown: ShownFirst, act: c.act}, nil
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
	err := d.rows.inDBTx(ctx, func(on deskTx) error {
		was, err := d.choice(ctx, on, d.rows.hold())
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
		return d.save(ctx, on, c, r, s.what)
	})
	if err != nil {
		return Choice{}, err
	}
	return c, nil
}

// save writes the choice and the act.
func (d *Desk) save(ctx context.Context, on stream.Conn, c Choice, r ActRequest, what string) error {
	const (
		save = `
			UPDATE choice
			SET next = ?, shown = ?, share = ?, players = ?, dropped = ?
			WHERE one = 1`
		note = `
			INSERT INTO act (at_us, by_whom, what, reason)
			VALUES (?, ?, ?, ?)`
	)
	players, err := json.Marshal(append([]id.Player{}, c.Players...))
	if err != nil {
		return fmt.Errorf("save choice: %w", err)
	}
	if _, err := on.ExecContext(ctx, save, d.next, string(c.Shown), c.Share, string(players), c.Dropped); err != nil {
		return sqldb.Wrap("save choice", err)
	}
	_, err = on.ExecContext(ctx, note, d.clock.Now().UnixMicro(), strings.TrimSpace(r.By), what, strings.TrimSpace(r.Reason))
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
	if len(s.Copy) == 0 || len(s.Copy) < s.Shards || d.clock.Now().Sub(s.At) > reportAge {
		return errs.New(errs.CodeConflict, "no process feeds the second history, or not all of its shards: nothing was changed")
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

// Status returns the choice, what the feeding processes said last, who looked, and the last steps. It is the same
// whichever process is asked.
func (d *Desk) Status(ctx context.Context) (s NextStatus, err error) {
	if s.Choice, err = d.Choice(ctx); err != nil {
		return s, err
	}
	if err := d.readReports(ctx, &s); err != nil {
		return s, err
	}
	if err := d.readLooks(ctx, &s); err != nil {
		return s, err
	}
	return s, d.readActs(ctx, &s)
}

// shardReport is what the process that feeds a shard of the second history says of it.
type shardReport struct {
	Shard   int           `json:"shard"`
	Of      int           `json:"of"`   // so many
	Copy    *FillProgress `json:"copy"` // nil while the second history is not open there
	Equal   *Comparison   `json:"comparison"`
	Trouble string        `json:"trouble"`
}

// readReports adds what the feeding processes said.
func (d *Desk) readReports(ctx context.Context, s *NextStatus) error {
	const q = `
		SELECT at_us, body
		FROM report
		WHERE next = ?
		ORDER BY shard`
	rows, err := d.rows.QueryContext(ctx, q, d.next)
	if err != nil {
		return sqldb.Wrap("read reports", err)
	}
	defer rows.Close()
	for rows.Next() {
		var us int64
		var body []byte
		if err := rows.Scan(&us, &body); err != nil {
			return sqldb.Wrap("read reports", err)
		}
		var r shardReport
		if err := json.Unmarshal(body, &r); err != nil {
			return errs.Wrap(err, errs.CodeInternal, "report of the second history")
		}
		if at := time.UnixMicro(us).UTC(); s.At.IsZero() || at.Before(s.At) {
			s.At = at
		}
		s.Shards, s.Trouble = max(s.Shards, r.Of), cmp.Or(s.Trouble, r.Trouble)
		if r.Copy != nil && r.Equal != nil {
			s.Copy, s.Equal = append(s.Copy, *r.Copy), append(s.Equal, *r.Equal)
		}
	}
	return sqldb.Wrap("read reports", rows.Err())
}

// readLooks adds which processes looked, and whether they go by the choice.
func (d *Desk) readLooks(ctx context.Context, s *NextStatus) error {
	const q = `
		SELECT process, next, at_us, acts
		FROM look
		WHERE at_us > ?
		ORDER BY process`
	rows, err := d.rows.QueryContext(ctx, q, d.clock.Now().Add(-lookAge).UnixMicro())
	if err != nil {
		return sqldb.Wrap("read looks", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l Look
		var next string
		var us, acts int64
		if err := rows.Scan(&l.Process, &next, &us, &acts); err != nil {
			return sqldb.Wrap("read looks", err)
		}
		l.At, l.Current = time.UnixMicro(us).UTC(), next == d.next && acts >= s.act
		s.Looks = append(s.Looks, l)
	}
	return sqldb.Wrap("read looks", rows.Err())
}

// readActs adds the last steps.
func (d *Desk) readActs(ctx context.Context, s *NextStatus) error {
	const q = `
		SELECT at_us, by_whom, what, reason
		FROM act
		ORDER BY number DESC
		LIMIT ?`
	rows, err := d.rows.QueryContext(ctx, q, maxActs)
	if err != nil {
		return sqldb.Wrap("read acts", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a Act
		var us int64
		if err := rows.Scan(&us, &a.By, &a.What, &a.Reason); err != nil {
			return sqldb.Wrap("read acts", err)
		}
		a.At = time.UnixMicro(us).UTC()
		s.Acts = append(s.Acts, a)
	}
	return sqldb.Wrap("read acts", rows.Err())
}

// look returns what was chosen, and notes that the process looked, up to which act it has gone until now, and how far
// the shards are that it feeds. It writes, so what it reads is from a primary that takes writes.
func (d *Desk) look(ctx context.Context, process string, acts int64, list []shardReport) (c Choice, err error) {
	const (
		looked = `
			REPLACE INTO look (process, next, at_us, acts)
			VALUES (?, ?, ?, ?)`
		report = `
			REPLACE INTO report (shard, next, at_us, body)
			VALUES (?, ?, ?, ?)`
	)
	now := d.clock.Now().UnixMicro()
	args := make([]any, 0, 4*len(list))
	for i := range list {
		body, err := json.Marshal(&list[i])
		if err != nil {
			return c, fmt.Errorf("report second history: %w", err)
		}
		args = append(args, list[i].Shard, d.next, now, string(body))
	}
	err = d.rows.inDBTx(ctx, func(on deskTx) error {
		if len(list) > 0 {
			if _, err := on.ExecContext(ctx, report+strings.Repeat(", (?, ?, ?, ?)", len(list)-1), args...); err != nil {
				return sqldb.Wrap("report second history", err)
			}
		}
		if _, err := on.ExecContext(ctx, looked, process, d.next, now, acts); err != nil {
			return sqldb.Wrap("note look", err)
		}
		c, err = d.choice(ctx, on, "")
		return err
	})
	return c, err
}

// forgetLooks deletes those of processes that have long been gone.
func (d *Desk) forgetLooks(ctx context.Context) error {
	const q = `
		DELETE FROM look
		WHERE at_us < ?`
	return d.rows.inDBTx(ctx, func(on deskTx) error {
		_, err := on.ExecContext(ctx, q, d.clock.Now().Add(-lookAge).UnixMicro())
		return sqldb.Wrap("forget looks", err)
	})
}
