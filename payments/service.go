package payments

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/groupcommit"
	"matchday/internal/sqldb"
	"matchday/money"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Bounds of requests and pages.
const (
	maxKeyBytes    = 128
	maxMethodBytes = 40
	maxPage        = 200
	defaultMethod  = "card"
)

// Deps are what the room needs from its surroundings; all are required.
type Deps struct {
	Clock    clock.Clock
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Books    Books
	Provider Provider
	Limits   Limits
}

// Service is the room. It is safe for concurrent use.
type Service struct {
	config   Config
	clock    clock.Clock
	log      *slog.Logger
	books    Books
	provider Provider
	limits   Limits
	metrics  *metrics
	ids      *id.Source
	db       *sqldb.DB
	store    store

	running atomic.Bool
	slots   chan struct{} // one for each payment in flight
	queue   chan job      // as large as slots, so a holder of a slot never waits here
	mu      sync.Mutex
	claimed map[string]bool // payments in flight by id, so that no two workers drive the same
}

// Open opens or creates payments.db in the configured folder.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) {
	return open(ctx, c, d, sqldb.Options{Durability: sqldb.Durable})
}

// open is Open with the choice of how durable the database is.
func open(ctx context.Context, c Config, d Deps, o sqldb.Options) (*Service, error) {
	if d.Clock == nil || d.Log == nil || d.Metrics == nil || d.Books == nil || d.Provider == nil || d.Limits == nil {
		return nil, errors.New("payments: a dependency is missing")
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("payments: %w", err)
	}
	c = c.WithDefaults()
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open payments: %w", err)
	}
	db, err := sqldb.Open(filepath.Join(c.Dir, "payments.db"), o)
	if err != nil {
		return nil, fmt.Errorf("open payments: %w", err)
	}
	if err := db.Migrate(ctx, migrations, d.Clock.Now()); err != nil {
		return nil, errors.Join(fmt.Errorf("open payments: %w", err), db.Close())
	}
	return &Service{
		config: c, clock: d.Clock, log: d.Log, books: d.Books, provider: d.Provider, limits: d.Limits,
		metrics: m, ids: id.NewSource(d.Clock.Now), db: db, store: store{db: db, group: groupcommit.New(db)},
		slots: make(chan struct{}, c.MaxInFlight), queue: make(chan job, c.MaxInFlight),
		claimed: map[string]bool{},
	}, nil
}

// Close closes the database. It may be called twice; Run must have returned.
func (s *Service) Close() error { return s.db.Close() }

// Deposit starts to take money in. It answers as soon as the payment has ended, or after a short
// wait with the payment pending: it is then stored and will come to an end by itself.
//
// Idempotency: by player and key. The same request answers with the same payment as it is now.
// Errors:      invalid with every field at fault; limit_reached above the most of a deposit;
// conflict for a key used for another request; unavailable when too many payments are in flight.
// A declined deposit is no error.
func (s *Service) Deposit(ctx context.Context, r Request) (Payment, error) {
	return s.start(ctx, DirectionDeposit, r)
}

// Withdraw starts to send money out. The money is withheld from the player's cash first.
//
// Idempotency and errors are those of Deposit; besides, a withdrawal that the books refuse answers
// with the refusal's code, insufficient_funds above all, and stays refused under its key.
func (s *Service) Withdraw(ctx context.Context, r Request) (Payment, error) {
	return s.start(ctx, DirectionWithdrawal, r)
}

func (s *Service) start(ctx context.Context, d Direction, r Request) (Payment, error) {
	orDefault(&r.Method, defaultMethod)
	if err := r.validate(); err != nil {
		return Payment{}, err
	}
	p, found, err := s.store.findByKey(ctx, r)
	if err != nil {
		return Payment{}, fmt.Errorf("%s: %w", d, err)
	}
	if found {
		return p.replay(d, r)
	}
	if err := s.checkLimits(d, r); err != nil {
		return Payment{}, err
	}
	if !s.takeSlot() {
		s.metrics.refused.WithLabelValues(string(r.Jurisdiction)).Inc() // one of ours: checkLimits knew it
		return Payment{}, &errs.Error{Code: errs.CodeUnavailable, Detail: "too many payments at the moment, try again", RetryAfter: time.Second}
	}
	now := s.clock.Now()
	p = Payment{
		ID: s.ids.New(id.KindPayment), Key: r.Key, Player: r.Player, Jurisdiction: r.Jurisdiction, Direction: d,
		Amount: r.Amount, Method: r.Method, Status: StatusPending, Provider: s.provider.Name(),
		CreatedAt: now, UpdatedAt: now, step: firstStep(d),
	}
	s.claim(p.ID)
	inserted, err := s.store.insert(ctx, p, now.Add(lease))
	if err != nil || !inserted {
		s.release(p.ID)
		return s.lostRace(ctx, d, r, err)
	}
	done := make(chan Payment, 1)
	s.queue <- job{payment: p, fresh: true, done: done} // never waits: the slot is ours
	return s.await(ctx, p, done).outcome()
}

// lostRace answers for a payment that was not inserted: another call had the same key.
func (s *Service) lostRace(ctx context.Context, d Direction, r Request, err error) (Payment, error) {
	if err != nil {
		return Payment{}, fmt.Errorf("%s: %w", d, err)
	}
	p, found, err := s.store.findByKey(ctx, r)
	if err != nil || !found {
		return Payment{}, fmt.Errorf("%s: %w", d, errors.Join(errs.New(errs.CodeInternal, "payment is missing"), err))
	}
	return p.replay(d, r)
}

// await returns the payment when its first drive is over, or as it was after the configured wait.
func (s *Service) await(ctx context.Context, p Payment, done <-chan Payment) Payment {
	timer := time.NewTimer(s.config.Wait)
	defer timer.Stop()
	select {
	case p = <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return p
}

// outcome adds the error of a refused withdrawal.
func (p Payment) outcome() (Payment, error) {
	if p.Direction != DirectionWithdrawal || p.Status != StatusDeclined {
		return p, nil
	}
	code, detail := errs.Code(p.Reason), "the withdrawal was refused"
	if code == errs.CodeInsufficientFunds {
		detail = "the available balance is too low"
	}
	return p, errs.New(code, "%s", detail)
}

// replay answers a request whose key is known: with the payment, or with a conflict that names what
// differs.
func (p Payment) replay(d Direction, r Request) (Payment, error) {
	var check errs.Check
	if p.Direction != d {
		check.Add("direction", "the key was used for a %s", p.Direction)
	}
	if p.Amount != r.Amount {
		check.Add("amount", "the key was used with another amount")
	}
	if p.Method != r.Method {
		check.Add("method", "the key was used with another method")
	}
	if err, differs := errors.AsType[*errs.Error](check.Err()); differs {
		return Payment{}, &errs.Error{Code: errs.CodeConflict, Detail: "the key was used for another request", Fields: err.Fields}
	}
	p.Replayed = true
	return p.outcome()
}

// validate checks what needs no state.
func (r Request) validate() error {
	var check errs.Check
	if err := id.Check(id.KindPlayer, string(r.Player)); err != nil {
		check.Add("player", "%v", err)
	}
	if r.Key == "" || len(r.Key) > maxKeyBytes || strings.IndexFunc(r.Key, notGraphic) >= 0 {
		check.Add("key", "needs 1 to %d printable ASCII characters without space", maxKeyBytes)
	}
	if r.Amount.Minor() < 1 || r.Amount.Minor() > money.MaxMinor {
		check.Add("amount", "must be above zero and at most %s", money.New(money.MaxMinor, r.Amount.Currency()).Amount())
	}
	if len(r.Method) > maxMethodBytes || strings.IndexFunc(r.Method, notGraphic) >= 0 {
		check.Add("method", "needs 1 to %d printable ASCII characters without space", maxMethodBytes)
	}
	return check.Err()
}

func notGraphic(r rune) bool { return r <= ' ' || r > '~' }

// checkLimits checks currency and size against the jurisdiction.
func (s *Service) checkLimits(d Direction, r Request) error {
	var (
		least, most money.Money
		err         error
	)
	if d == DirectionDeposit {
		least, most, err = s.limits.DepositRange(r.Jurisdiction)
	} else {
		least, err = s.limits.WithdrawalLeast(r.Jurisdiction)
		most = money.New(money.MaxMinor, least.Currency())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d, err)
	}
	var check errs.Check
	switch {
	case r.Amount.Currency() != least.Currency():
		check.Add("amount.currency", "must be %s in %s", least.Currency(), r.Jurisdiction)
	case r.Amount.Minor() < least.Minor():
		check.Add("amount", "the least %s is %s", d, least)
	case r.Amount.Minor() > most.Minor():
		return errs.New(errs.CodeLimitReached, "the most of a single %s is %s", d, most)
	}
	return check.Err()
}

// Find returns a payment, or not_found, also for one of another player or jurisdiction.
func (s *Service) Find(ctx context.Context, p id.Player, j id.Jurisdiction, payment string) (Payment, error) {
	found, err := s.store.find(ctx, p, j, payment)
	if err != nil {
		return Payment{}, fmt.Errorf("find payment %.40q: %w", payment, err)
	}
	return found, nil
}

// List returns a page of a player's payments, newest first, and the cursor of the next page, empty
// after the last. limit is cut to 1..200.
func (s *Service) List(ctx context.Context, p id.Player, j id.Jurisdiction, cursor string, limit int) ([]Payment, string, error) {
	return s.list(ctx, p, j, cursor, limit, DirectionDeposit, DirectionWithdrawal)
}

// ListDeposits is List for deposits only.
func (s *Service) ListDeposits(ctx context.Context, p id.Player, j id.Jurisdiction, cursor string, limit int) ([]Payment, string, error) {
	return s.list(ctx, p, j, cursor, limit, DirectionDeposit, DirectionDeposit)
}

// ListWithdrawals is List for withdrawals only.
func (s *Service) ListWithdrawals(ctx context.Context, p id.Player, j id.Jurisdiction, cursor string, limit int) ([]Payment, string, error) {
	return s.list(ctx, p, j, cursor, limit, DirectionWithdrawal, DirectionWithdrawal)
}

func (s *Service) list(ctx context.Context, p id.Player, j id.Jurisdiction, cursor string, limit int, first, last Direction) ([]Payment, string, error) {
	if cursor != "" {
		if err := id.Check(id.KindPayment, cursor); err != nil {
			return nil, "", errs.New(errs.CodeInvalid, "not a cursor of this list")
		}
	}
	limit = min(max(limit, 1), maxPage)
	page, err := s.store.list(ctx, p, j, cursor, limit+1, first, last)
	if err != nil {
		return nil, "", fmt.Errorf("list payments of %s in %s: %w", p, j, err)
	}
	if len(page) <= limit {
		return page, "", nil
	}
	page = slices.Clip(page[:limit])
	return page, page[limit-1].ID, nil
}
