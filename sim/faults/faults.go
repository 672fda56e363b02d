package faults

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"matchday/errs"
)

// Options are the settings of a run.
type Options struct {
	Only    []string // names of rows; empty is all
	Engine  string   // "" is every engine, or sqlite or mysql
	Players int      // 0 is 40
	Clients int      // 0 is 16
	Seconds int      // of load before each fault, and after it is over; 0 is 3
	Burst   int      // bets of the rows "payout burst" and "large DBTx"; 0 is 500,000
	Seed    uint64   // 0 is 1
	Dir     string   // parent of the temporary folders; "" is the system's
	JSON    bool     // print one JSON object instead of a table

	// Writer returns the command of a writer process with this configuration file: this program, told to
	// call RunWriter.
	Writer func(file string) *exec.Cmd
}

// Validate returns what is wrong with the options, every field at once.
func (o Options) Validate() error {
	var c errs.Check
	if o.Engine != "" && o.Engine != engineSQLite && o.Engine != engineMySQL {
		c.Add("engine", "%q is not built in: sqlite and mysql are", o.Engine)
	}
	for _, name := range o.Only {
		if !known(name) {
			c.Add("only", "there is no row %q: %s", name, strings.Join(Names(), ", "))
		}
	}
	within := func(name string, value, most int) {
		if value < 0 || value > most {
			c.Add(name, "%d is out of range (0 to %d; 0 is the default)", value, most)
		}
	}
	within("players", o.Players, 10_000)
	within("clients", o.Clients, 1_000)
	within("seconds", o.Seconds, 600)
	within("burst", o.Burst, 10_000_000)
	return c.Err()
}

func (o Options) withDefaults() Options {
	fill := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	fill(&o.Players, 40)
	fill(&o.Clients, 16)
	fill(&o.Seconds, 3)
	fill(&o.Burst, 500_000)
	if o.Seed == 0 {
		o.Seed = 1
	}
	return o
}

// Outcome is what the rows of both tables say: which fault it was, and how it ended.
type Outcome struct {
	Fault   string `json:"fault"`
	Engine  string `json:"engine"` // of the ledger or the history
	What    string `json:"what"`
	Note    string `json:"note,omitempty"`
	Problem string `json:"problem,omitempty"`
	Skipped string `json:"skipped,omitempty"`
}

// fail notes why a row came to no end.
func (o *Outcome) fail(err error) {
	if errors.Is(err, errSkipped) {
		o.Skipped = err.Error()
	} else if err != nil {
		o.Problem = err.Error()
	}
}

// line is the row in one line; went says how it went if it did.
func (o *Outcome) line(went string) string {
	if at := o.cell(); at != "" {
		went = at
	}
	return fmt.Sprintf("%s, %s: %s", o.Fault, o.Engine, went)
}

// cell is what the table has instead of figures, "" if there are some.
func (o *Outcome) cell() string {
	switch {
	case o.Skipped != "":
		return "skipped: " + o.Skipped
	case o.Problem != "":
		return "PROBLEM: " + o.Problem
	}
	return ""
}

// Row is what one fault cost.
type Row struct {
	Outcome
	RecoverS   float64 `json:"recover_s"`    // until every shard committed again; 0 where nothing broke
	Since      string  `json:"recover_from"` // counted from here; "" where nothing broke
	AwayS      float64 `json:"away_s"`       // longest time in which some shard committed nothing
	Operations int     `json:"operations"`   // tries of clients, reads included
	proof
}

// Line is the row in one line.
func (r *Row) Line() string {
	if r.Since == "" {
		return r.line(fmt.Sprintf("%d acknowledged, nothing lost or doubled", r.Acknowledged))
	}
	return r.line(fmt.Sprintf("back after %.2f s from %s, %d acknowledged, nothing lost or doubled", r.RecoverS, r.Since, r.Acknowledged))
}

// Settings are the options as a report has them.
func (o Options) Settings() map[string]any {
	o = o.withDefaults()
	return map[string]any{"players": o.Players, "clients": o.Clients, "seconds": o.Seconds, "seed": o.Seed, "shards": shards}
}

// Report is what a run prints with JSON.
type Report struct {
	Name     string         `json:"name"`
	Machine  string         `json:"machine"`
	Commit   string         `json:"commit"`
	Command  string         `json:"command"`
	Settings map[string]any `json:"settings"`
	Rows     []Row          `json:"rows"`
	Bets     []BetsRow      `json:"history"`
}

// errSkipped is the error of a fault that this machine cannot make.
var errSkipped = errors.New("not possible here")

// Run makes every fault of the ledger in turn, each on books of its own. A row with a problem is an error at the end,
// after all rows.
func Run(ctx context.Context, o Options, progress func(Row)) ([]Row, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Writer == nil {
		return nil, errs.New(errs.CodeInternal, "faults needs a command for its writers")
	}
	o = o.withDefaults()
	var rows []Row
	var problems []error
	for _, f := range faults {
		if !o.wants(f) {
			continue
		}
		row, err := o.one(ctx, f)
		row.fail(err)
		if row.Problem != "" {
			problems = append(problems, fmt.Errorf("%s: %s", f.name, row.Problem))
		}
		rows = append(rows, row)
		if progress != nil {
			progress(row)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return rows, errors.Join(problems...)
}

func (o Options) wants(f fault) bool {
	if o.Engine != "" && o.Engine != f.engine {
		return false
	}
	for _, name := range o.Only {
		if name == f.name {
			return true
		}
	}
	return len(o.Only) == 0
}

// one makes one fault.
func (o Options) one(ctx context.Context, f fault) (row Row, err error) {
	row = Row{Outcome: Outcome{Fault: f.name, Engine: f.engine, What: f.what}, Since: f.since}
	dir, err := os.MkdirTemp(o.Dir, "matchday-faults-")
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &stage{Options: o, dir: dir, books: filepath.Join(dir, "ledger")}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := f.run(ctx, s); err != nil {
		return row, err
	}
	return row, s.conclude(ctx, &row)
}

// conclude stops the load and the writers and proves what is left.
func (s *stage) conclude(ctx context.Context, row *Row) error {
	if err := s.load.halt(); err != nil {
		return err
	}
	if err := s.stopWriters(); err != nil {
		return err
	}
	history := s.load.history.History()
	row.Operations, row.Note = len(history), s.note
	var err error
	row.RecoverS, row.AwayS, err = recovery(history, s.struck, s.healed)
	if err != nil {
		return err
	}
	if row.Since == "" {
		row.RecoverS = 0 // from nothing
	}
	row.proof, err = prove(ctx, s.config(), s.load.history, s.Players)
	row.Problem = row.problem()
	return err
}

// Write prints the report as one JSON object or as a table.
func (r *Report) Write(out io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Flush reports
	printf("%s, commit %s\n%s\n\n", r.Machine, r.Commit, r.Command)
	if len(r.Rows) > 0 {
		r.ledgerTable(printf)
	}
	if len(r.Bets) > 0 {
		r.betsTable(printf)
	}
	var all []Outcome
	for i := range r.Rows {
		all = append(all, r.Rows[i].Outcome)
	}
	for i := range r.Bets {
		all = append(all, r.Bets[i].Outcome)
	}
	for i := range all {
		if row := &all[i]; row.Note != "" {
			printf("\n%s, %s: %s", row.Fault, row.Engine, row.Note)
		}
	}
	printf("\n")
	return w.Flush()
}

// ledgerTable prints the rows of the ledger.
func (r *Report) ledgerTable(printf func(string, ...any)) {
	printf("fault\tengine\trecover s\tfrom\taway s\toperations\tacknowledged\tlost\tdoubled\tserialisable\taudit\n")
	for i := range r.Rows {
		row := &r.Rows[i]
		if instead := row.cell(); instead != "" {
			printf("%s\t%s\t%s\n", row.Fault, row.Engine, instead)
			continue
		}
		recovered := "-"
		if row.Since != "" {
			recovered = fmt.Sprintf("%.2f", row.RecoverS)
		}
		printf("%s\t%s\t%s\t%s\t%.2f\t%d\t%d\t%d\t%d\tyes, %d operations\tclean\n", row.Fault, row.Engine, recovered, cmp.Or(row.Since, "-"),
			row.AwayS, row.Operations, row.Acknowledged, row.Lost, row.Doubled, row.History.Operations)
	}
}

// betsTable prints the rows of the bet history.
func (r *Report) betsTable(printf func(string, ...any)) {
	printf("\nThe bet history\nfault\tengine\tcaught up s\tfrom\tbets\tsettlements\treads\tlost\tdoubled\tbackwards\taudit\n")
	for i := range r.Bets {
		row := &r.Bets[i]
		if instead := row.cell(); instead != "" {
			printf("%s\t%s\t%s\n", row.Fault, row.Engine, instead)
			continue
		}
		printf("%s\t%s\t%.2f\t%s\t%d\t%d\t%d\t%d\t%d\t%d\tclean\n", row.Fault, row.Engine, row.CatchUpS, row.Since,
			row.Bets, row.Settlements, row.Reads, row.Lost, row.Doubled, row.Backwards)
	}
}

// seconds of load on each side of a fault.
func (o Options) length() time.Duration { return time.Duration(o.Seconds) * time.Second }
