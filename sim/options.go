package sim

import (
	"time"

	"matchday/errs"
)

// SundayOptions are the settings of a simulated game day.
type SundayOptions struct {
	Slate   string  // path of a season file; "" plays a fictional one
	Week    int     // week of the season; the day of it with the most games is played
	Players int     // players who sign up
	Bets    int     // bets to be accepted
	Minutes float64 // length of the compressed day
	Out     string  // folder for report.json, report.html, bets.csv and transfers.csv
	Seed    uint64  // 0 draws one
	Dir     string  // data folder of the platform; "" is a temporary one, removed at the end
	Shards  int     // ledger shards; 0 is 2
	Workers int     // connections of the load generator; 0 is 192
}

// Validate returns what is wrong with the options, every field at once.
func (o SundayOptions) Validate() error {
	var c errs.Check
	if o.Out == "" {
		c.Add("out", "name a folder for the report")
	}
	if o.Week < 1 || o.Week > 30 {
		c.Add("week", "%d is not a week (1 to 30)", o.Week)
	}
	if o.Players < 3 || o.Players > 1_000_000 {
		c.Add("players", "%d is out of range (3 to 1,000,000)", o.Players)
	}
	if o.Bets < 1 || o.Bets > 10_000_000 {
		c.Add("bets", "%d is out of range (1 to 10,000,000)", o.Bets)
	}
	if o.Minutes < 0.1 || o.Minutes > 24*60 {
		c.Add("minutes", "%g is out of range (0.1 to 1,440)", o.Minutes)
	}
	return c.Err()
}

// BenchOptions are the settings of a benchmark; each benchmark reads the ones that concern it.
type BenchOptions struct {
	Engine     string // "" or "sqlite"; "mysql" for the ledger in process and the month
	Commit     string // version of the program, for the report; "" reads it from the build
	Shards     int    // 0 is 2
	Runs       int    // 0 is 3, of bench payout 1
	Seconds    int    // length of each measurement; 0 is 10
	Accounts   int    // players with money; 0 is 10,000
	Scale      bool   // bench ledger: for several numbers of shards and accounts
	Baseline   bool   // bench ledger: what a team would write on MariaDB instead
	Transfers  int    // bench month: in all; 0 is 10 million
	Bets       int    // bench payout: winning bets; 0 is 1,000,000
	Rate       int    // open-loop requests a second for latency figures; 0 is 1,000, of bench ledger 5,000
	Surge      int    // bench ledger: payouts while single debits run; 0 is none
	Workers    int    // connections of the load generator; 0 is 256
	Seed       uint64 // 0 is 1
	JSON       bool   // print one JSON object instead of a table
	Dir        string // parent of the temporary data folders; "" is the system's
	CPUProfile string // file for a CPU profile of the measured part
	MemProfile string // file for a heap profile at the end
}

// Validate returns what is wrong with the options, every field at once.
func (o BenchOptions) Validate() error {
	var c errs.Check
	if o.Engine != "" && o.Engine != engineSQLite && o.Engine != engineMySQL {
		c.Add("engine", "%q is not built in: sqlite and mysql are", o.Engine)
	}
	if o.Scale && o.Baseline {
		c.Add("scale", "is one run and --baseline another")
	}
	bounds := []struct {
		name        string
		value, most int
	}{
		{"shards", o.Shards, 64}, {"runs", o.Runs, 1_000}, {"seconds", o.Seconds, 86_400}, {"accounts", o.Accounts, 10_000_000},
		{"bets", o.Bets, 100_000_000}, {"transfers", o.Transfers, 1_000_000_000}, {"rate", o.Rate, 1_000_000},
		{"surge", o.Surge, 100_000_000}, {"workers", o.Workers, 4_096},
	}
	for _, b := range bounds {
		if b.value < 0 || b.value > b.most {
			c.Add(b.name, "%d is out of range (0 to %d; 0 is the default)", b.value, b.most)
		}
	}
	return c.Err()
}

// withDefaults fills in what was left zero and refuses what cannot be run.
func (o BenchOptions) withDefaults() (BenchOptions, error) {
	if err := o.Validate(); err != nil {
		return o, err
	}
	if o.Engine == "" {
		o.Engine = engineSQLite
	}
	o.Shards = orDefault(o.Shards, 2)
	o.Runs = orDefault(o.Runs, 3)
	o.Accounts = orDefault(o.Accounts, 10_000)
	o.Bets = orDefault(o.Bets, 1_000_000)
	o.Rate = orDefault(o.Rate, 1_000)
	o.Workers = orDefault(o.Workers, 256)
	if o.Seed == 0 {
		o.Seed = 1
	}
	o.Seconds = orDefault(o.Seconds, 10)
	if o.Commit == "" {
		o.Commit = commit()
	}
	return o, nil
}

// length returns how long one measurement takes.
func (o BenchOptions) length() time.Duration { return time.Duration(o.Seconds) * time.Second }

func orDefault(n, fallback int) int {
	if n <= 0 {
		return fallback
	}
	return n
}
