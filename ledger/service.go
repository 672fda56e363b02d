package ledger

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/money"
	"matchday/stream"
)

// Config says where the books are and how they are written. The zero value of every field but Dir
// is a safe default.
type Config struct {
	Dir    string `yaml:"dir"`
	Shards int    `yaml:"shards"` // 0 is 2; may not change once the folder has books
}

// Validate returns an error that names every field that is out of range.
func (c Config) Validate() error { return nil }

// Deps is what the ledger needs from its process. All are required.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Service is the ledger of all shards in one process.
type Service struct{}

var errNotYet = errs.New(errs.CodeUnavailable, "the ledger is not built yet")

// Open opens.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) { return nil, errNotYet }

// Run writes.
func (s *Service) Run(ctx context.Context) error { return errNotYet }

// Close closes.
func (s *Service) Close() error { return nil }

// Commit commits one.
func (s *Service) Commit(ctx context.Context, lane Lane, t Transfer) (Result, error) {
	return Result{}, errNotYet
}

// CommitBatch commits many.
func (s *Service) CommitBatch(ctx context.Context, lane Lane, ts []Transfer) ([]Result, error) {
	return nil, errNotYet
}

// ShardOf returns the shard of a player.
func (s *Service) ShardOf(p id.Player) int { return 0 }

// Balance returns a balance.
func (s *Service) Balance(ctx context.Context, a Address) (Balance, error) {
	return Balance{}, errNotYet
}

// BalanceAt returns a balance at a time.
func (s *Service) BalanceAt(ctx context.Context, a Address, at time.Time) (Balance, error) {
	return Balance{}, errNotYet
}

// StatementQuery selects lines of a statement.
type StatementQuery struct {
	BeforeSeq int64 // lines before this sequence; 0 starts at the newest
	Limit     int   // 1 to 500; 0 is 50
}

// Statement returns lines.
func (s *Service) Statement(ctx context.Context, a Address, q StatementQuery) ([]StatementLine, error) {
	return nil, errNotYet
}

// WaitFor waits.
func (s *Service) WaitFor(ctx context.Context, p stream.Position) error { return errNotYet }

// ShardStatus is the state of one shard's writer.
type ShardStatus struct {
	Shard             int
	Position          int64
	Epoch             int64
	QueuedInteractive int
	QueuedBulk        int
	Committed         uint64 // transfers since Open, refusals included
	LastCommit        time.Time
}

// Status returns the state of every shard.
func (s *Service) Status() []ShardStatus { return nil }

// Shards returns the number of shards.
func (s *Service) Shards() int { return 0 }

// Head returns the last committed sequence.
func (s *Service) Head(shard int) int64 { return 0 }

// ReadLog reads.
func (s *Service) ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	return nil, errNotYet
}

// Changed signals.
func (s *Service) Changed(shard int) <-chan struct{} { return nil }

// AuditOptions says what to audit.
type AuditOptions struct {
	Dir      string
	Progress func(shard int, seq, head int64)
}

// AuditReport is what an audit found.
type AuditReport struct {
	Shards    int
	Accounts  int64
	Transfers int64
	Postings  int64
	Findings  []Finding // empty: the books are sound; at most one a shard, the first
}

// Finding names the first row of a shard that breaks an invariant.
type Finding struct {
	Shard     int
	Invariant string
	Table     string
	Key       string
	Expected  string
	Found     string
}

// Audit audits.
func Audit(ctx context.Context, o AuditOptions) (AuditReport, error) { return AuditReport{}, errNotYet }

// ExportedTransfer is one transfer as transfers.csv has it.
type ExportedTransfer struct {
	Shard        int
	Seq          int64
	Key          string
	Kind         Kind
	At           time.Time
	Jurisdiction id.Jurisdiction
	Currency     money.Currency
	State        string // "committed" or "refused"
	Code         errs.Code
	Postings     []Posting
}

// ExportTransfers exports.
func (s *Service) ExportTransfers(ctx context.Context, fn func(ExportedTransfer) error) error {
	return errNotYet
}

// ParseAddress parses.
func ParseAddress(text string) (Address, error) { return "", errNotYet }

// ParseKind parses.
func ParseKind(text string) (Kind, error) { return 0, errNotYet }

// String returns the kind's name.
func (k Kind) String() string { return "" }
