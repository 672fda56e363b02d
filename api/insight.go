package api

import (
	"context"
	"time"

	"matchday/internal/sqltime"
	"matchday/ledger"
)

// insightRoutes show staff what the process does with its time.
func (a *API) insightRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/operator/commits", id: "commits", tag: "Running", who: whoStaff,
			summary: "Where the time of the ledger's commits goes, over the last minute",
			detail:  "By shard and step. Queue steps count calls (of a long one, every 128 transfers), the others batches; slow lists the last batches that took longer than `ledger.slow_batch`.",
			end:     reading(a.commits)},
		{method: "GET", path: "/v1/operator/statements", id: "statements", tag: "Running", who: whoStaff,
			summary: "The slowest SQL statements of this process, over the last five minutes",
			detail:  "By the longest single run. A query runs until its rows are closed. Names are verb and table, never SQL text; what takes longer than `telemetry.slow_statement` is logged too.",
			end:     reading(a.statements)},
	}
}

// Commits is where the time of the ledger's commits goes.
type Commits struct {
	WindowSeconds int           `json:"window_seconds" doc:"How far back the figures by shard go"`
	Shards        []CommitShard `json:"shards"`
	Slow          []SlowBatch   `json:"slow" doc:"Newest first"`
}

// CommitShard is the commits of one shard.
type CommitShard struct {
	Shard     int          `json:"shard"`
	Batches   int64        `json:"batches"`
	Transfers int64        `json:"transfers"`
	Steps     []CommitStep `json:"steps" doc:"In the order in which they happen: queue_interactive, queue_bulk, load, apply, sql, sync, answer"`
}

// CommitStep is one step of commits. Quantiles are upper bounds of a histogram with two buckets for
// each doubling.
type CommitStep struct {
	Step         string  `json:"step"`
	Count        int64   `json:"count"`
	TotalSeconds float64 `json:"total_seconds"`
	P50Seconds   float64 `json:"p50_seconds"`
	P99Seconds   float64 `json:"p99_seconds"`
	MaxSeconds   float64 `json:"max_seconds"`
}

// SlowBatch is one batch that took long.
type SlowBatch struct {
	Shard         int         `json:"shard"`
	At            time.Time   `json:"at"`
	FirstPosition int64       `json:"first_position"`
	LastPosition  int64       `json:"last_position"`
	TookSeconds   float64     `json:"took_seconds" doc:"Without the queue"`
	Steps         []BatchStep `json:"steps" doc:"Of the queue steps the longest wait"`
}

// BatchStep is one step of one batch.
type BatchStep struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// Statement is what the runs of one SQL statement took.
type Statement struct {
	DB           string  `json:"db" doc:"Kind of database: shard, history, cluster, ..."`
	Name         string  `json:"name"`
	Count        int64   `json:"count"`
	Slow         int64   `json:"slow" doc:"Of count, those over the threshold"`
	TotalSeconds float64 `json:"total_seconds"`
	MaxSeconds   float64 `json:"max_seconds"`
}

// shownStatements bounds the list.
const shownStatements = 20

func (a *API) statements(context.Context, *call) (List[Statement], error) {
	if a.deps.Statements == nil {
		return List[Statement]{Items: []Statement{}}, nil
	}
	return listOf(a.deps.Statements.Slowest(shownStatements), "", func(s sqltime.Statement) Statement {
		return Statement{DB: s.DB, Name: s.Name, Count: s.Count, Slow: s.Slow, TotalSeconds: s.Total.Seconds(), MaxSeconds: s.Max.Seconds()}
	}), nil
}

func (a *API) commits(context.Context, *call) (Commits, error) {
	out := Commits{WindowSeconds: int(ledger.StepWindow / time.Second), Shards: []CommitShard{}, Slow: []SlowBatch{}}
	for _, s := range a.deps.Ledger.CommitSteps() {
		shard := CommitShard{Shard: s.Shard, Batches: s.Batches, Transfers: s.Rows, Steps: make([]CommitStep, len(s.Steps))}
		for i, t := range s.Steps {
			shard.Steps[i] = CommitStep{Step: t.Step.String(), Count: t.Count, TotalSeconds: t.Total.Seconds(),
				P50Seconds: t.P50.Seconds(), P99Seconds: t.P99.Seconds(), MaxSeconds: t.Max.Seconds()}
		}
		out.Shards = append(out.Shards, shard)
	}
	for _, b := range a.deps.Ledger.SlowBatches() {
		slow := SlowBatch{Shard: b.Shard, At: b.At, FirstPosition: b.First, LastPosition: b.Last, TookSeconds: b.Took.Seconds(),
			Steps: make([]BatchStep, len(b.Steps))}
		for step, took := range b.Steps {
			slow.Steps[step] = BatchStep{Step: ledger.Step(step).String(), Seconds: took.Seconds()} // #nosec G115: a handful
		}
		out.Slow = append(out.Slow, slow)
	}
	return out, nil
}
