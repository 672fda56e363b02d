package ledger

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"matchday/internal/clock"
	"matchday/internal/mysqldb"
)

// ShardPlace is where a shard is kept and how much is there.
type ShardPlace struct {
	Engine  string // [EngineSQLite], or the name of the cluster
	Bytes   int64  // on disk, 0 if it is not known
	Buckets int    // of the 1,024
}

// survey remembers how large the shards are: nobody needs to know each second.
type survey struct {
	mu    sync.Mutex
	at    time.Time
	bytes []int64
}

// surveyApart is how old the sizes may be.
const surveyApart = 30 * time.Second

// Places returns where each shard is kept, as large as it was some seconds ago. A cluster that does not
// answer has sizes of 0.
func (s *Service) Places(ctx context.Context) []ShardPlace {
	out := make([]ShardPlace, len(s.shards))
	for n, bytes := range s.sizes(ctx) {
		out[n] = ShardPlace{Engine: s.config.EngineOf(n), Bytes: bytes}
	}
	for _, shard := range s.place.current.Load().shards {
		if int(shard) < len(out) {
			out[shard].Buckets++
		}
	}
	return out
}

// EngineSQLite is the engine of shards in files; those on clusters have the name of their cluster.
const EngineSQLite = "sqlite"

// EngineOf returns where the configuration keeps a shard: [EngineSQLite] or the name of a cluster.
func (c Config) EngineOf(shard int) string {
	for _, one := range c.Clusters {
		if numbers, err := one.Shards.Numbers(); err == nil && slices.Contains(numbers, shard) {
			return one.Name
		}
	}
	return EngineSQLite
}

// ShardCount returns how many shards the configuration has, the default if it does not say.
func (c Config) ShardCount() int { return c.shards() }

// sizes measures the shards, unless that was done just now.
func (s *Service) sizes(ctx context.Context) []int64 {
	s.survey.mu.Lock()
	defer s.survey.mu.Unlock()
	now := s.clock.Now()
	if s.survey.bytes != nil && now.Sub(s.survey.at).Abs() < surveyApart {
		return s.survey.bytes
	}
	bytes := make([]int64, len(s.shards))
	for n := range bytes {
		if s.fleet.byShard[n] == nil {
			bytes[n] = fileBytes(s.config.Dir, n)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, cluster := range s.fleet.open {
		sizes, err := databaseBytes(ctx, cluster)
		if err != nil {
			continue // what is down is said elsewhere
		}
		for n := range bytes {
			if s.fleet.byShard[n] == cluster {
				bytes[n] = sizes[cluster.Config().DatabaseOf(n)]
			}
		}
	}
	s.survey.at, s.survey.bytes = now, bytes
	return bytes
}

// fileBytes returns the size of a shard's file and its log.
func fileBytes(dir string, shard int) int64 {
	var out int64
	for _, file := range []string{shardFile(dir, shard), shardFile(dir, shard) + "-wal"} {
		if info, err := os.Stat(file); err == nil {
			out += info.Size()
		}
	}
	return out
}

// databaseBytes returns the sizes of a cluster's shards by the names of their databases.
func databaseBytes(ctx context.Context, cluster *mysqldb.Cluster) (map[string]int64, error) {
	const q = `
		SELECT table_schema, COALESCE(SUM(data_length + index_length), 0)
		FROM information_schema.tables
		WHERE table_schema LIKE ?
		GROUP BY table_schema`
	out := map[string]int64{}
	reads, _, err := cluster.PrimaryReads(ctx)
	if err != nil {
		return nil, err
	}
	like := strings.ReplaceAll(cluster.Config().Database+"_", "_", `\_`) + "%"
	err = eachRow(reads.QueryContext(ctx, q, like))(func(rows *sql.Rows) error {
		var name string
		var bytes int64
		err := rows.Scan(&name, &bytes)
		out[name] = bytes
		return err
	})
	return out, mysqldb.Wrap("sizes of the shards", err)
}

// NoteRelayed notes how far the shard's stream has come, for those who ask; -1 when this process does
// not publish the shard any more. The ledger itself needs it for nothing.
func (s *Service) NoteRelayed(shard int, seq int64) {
	if one, err := s.shard(shard); err == nil {
		one.relayed.Store(seq)
	}
}

// statusCall and statusAnswer are what a tool asks the owner of a shard.
type statusCall struct{ Shard int }

type statusAnswer struct{ Relayed int64 }

// statusForPeer answers what only the owner of a shard knows.
func statusForPeer(_ context.Context, s *Service, shard int, _ func(any) error) (any, error) {
	if !s.shards[shard].isOpen() {
		return nil, errHandedOver
	}
	return &statusAnswer{Relayed: s.shards[shard].relayed.Load()}, nil
}

// askOwners fills in what only the owners of shards know, as far as they answer.
func askOwners(ctx context.Context, c Config, clk clock.Clock, list []ShardEntry) {
	secret, problem := readSecret(c.secretFile())
	secure, err := c.peerCerts(slog.New(slog.DiscardHandler)) // nothing is read again within these seconds
	problem = errors.Join(problem, err)
	p := newPeers(secret, clk, secure)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range list {
		if list[i].Address == "" {
			continue
		}
		wg.Go(func() {
			var answer statusAnswer
			err := problem
			if err == nil {
				err = p.call(ctx, list[i].Address, list[i].Shard, opStatus, &statusCall{list[i].Shard}, &answer)
			}
			switch {
			case err != nil && list[i].Error == "":
				list[i].Error = "the owner does not answer: " + err.Error()
			case err == nil && answer.Relayed >= 0:
				list[i].Stream = &answer.Relayed
			}
		})
	}
	wg.Wait()
}

// errNoOwner is why a shard cannot be written when several processes share the shards.
var errNoOwner = errors.New("no process writes it now")

// state fills in who writes the shard and why it cannot be written.
func (s *Service) state(one *shard, out *ShardStatus) {
	one.mu.RLock()
	stopped := one.stopped
	one.mu.RUnlock()
	out.IsHere = stopped == nil
	trouble := one.trouble()
	if seen := s.owners.Load(); one.shared && seen != nil && one.number < len(seen.shards) {
		out.Owner = seen.shards[one.number].owner
	}
	if one.shared && stopped == nil {
		out.Owner = s.keeper.self.name // the directory is looked at only now and then
	}
	if stopped != nil {
		trouble = stopped
		if one.shared {
			trouble = nil // the owner knows
			if out.Owner == "" {
				trouble = errNoOwner
			}
		}
	}
	if out.Quarantine != "" {
		out.Trouble = out.Quarantine
		return
	}
	if trouble != nil {
		out.Trouble = trouble.Error()
	}
}
