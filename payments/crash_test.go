package payments

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// fault is what happens around one call to the provider or the books.
type fault int

const (
	faultNone        fault = iota + 1
	faultNotDone           // nothing happens, the caller gets an error
	faultAnswerLost        // it happens, the caller gets an error
	faultCrashBefore       // the process dies before it happens
	faultCrashAfter        // the process dies after it happened
)

// world is everything outside the room. It outlives the room's crashes.
type world struct {
	t       *rapid.T
	clock   *clock.Manual
	books   *testBooks
	dir     string
	calm    bool               // no more faults
	crash   context.CancelFunc // ends the process
	asked   map[string]*charge // what the provider knows, by reference
	service *Service
	players []id.Player
	keys    int
}

type charge struct {
	effects int // times that money really moved
	final   Outcome
	pending int // answers before the final one
}

// around performs a call with a fault drawn at random.
func (w *world) around(ctx context.Context, name string, call func() error) error {
	f := faultNone
	if !w.calm {
		f = rapid.SampledFrom([]fault{faultNone, faultNone, faultNone, faultNotDone, faultAnswerLost, faultCrashBefore, faultCrashAfter}).Draw(w.t, name)
	}
	switch f {
	case faultNotDone:
		return errs.New(errs.CodeUnavailable, "busy")
	case faultCrashBefore:
		w.crash()
		return ctx.Err()
	case faultAnswerLost:
		_ = call()
		return errs.New(errs.CodeUnavailable, "answer lost")
	case faultCrashAfter:
		_ = call()
		w.crash()
		return ctx.Err()
	default:
		return call()
	}
}

// Name implements Provider.
func (w *world) Name() string { return "chaos" }

// Charge implements Provider. It is no better than a provider without idempotency: whoever asks
// twice is charged twice, and the test finds out.
func (w *world) Charge(ctx context.Context, r ProviderRequest) (ProviderAnswer, error) {
	var answer ProviderAnswer
	err := w.around(ctx, "charge", func() error {
		c := w.asked[r.Reference]
		if c == nil {
			c = &charge{
				final:   rapid.SampledFrom([]Outcome{OutcomeApproved, OutcomeApproved, OutcomeDeclined}).Draw(w.t, "outcome"),
				pending: rapid.IntRange(0, 2).Draw(w.t, "pending"),
			}
			w.asked[r.Reference] = c
		}
		c.effects++
		answer = c.answer()
		return nil
	})
	return answer, err
}

func (c *charge) answer() ProviderAnswer {
	if c.pending > 0 {
		c.pending--
		return ProviderAnswer{Outcome: OutcomePending}
	}
	return ProviderAnswer{Outcome: c.final, Reason: "drawn"}
}

// Pay implements Provider.
func (w *world) Pay(ctx context.Context, r ProviderRequest) (ProviderAnswer, error) {
	return w.Charge(ctx, r)
}

// Query implements Provider.
func (w *world) Query(ctx context.Context, reference string) (ProviderAnswer, error) {
	answer := ProviderAnswer{Outcome: OutcomeUnknown}
	err := w.around(ctx, "query", func() error {
		if c := w.asked[reference]; c != nil {
			answer = c.answer()
		}
		return nil
	})
	return answer, err
}

func (w *world) book(ctx context.Context, name string, p Payment, do func(context.Context, Payment) (stream.Position, error)) (position stream.Position, err error) {
	err = w.around(ctx, name, func() error {
		position, err = do(ctx, p)
		return err
	})
	return position, err
}

// Deposit implements Books, as do the three after it.
func (w *world) Deposit(ctx context.Context, p Payment) (stream.Position, error) {
	return w.book(ctx, "deposit", p, w.books.Deposit)
}

func (w *world) Withhold(ctx context.Context, p Payment) (stream.Position, error) {
	return w.book(ctx, "withhold", p, w.books.Withhold)
}

func (w *world) Complete(ctx context.Context, p Payment) (stream.Position, error) {
	return w.book(ctx, "complete", p, w.books.Complete)
}

func (w *world) Return(ctx context.Context, p Payment) (stream.Position, error) {
	return w.book(ctx, "return", p, w.books.Return)
}

// restart opens the room on its file, as after a crash: whatever was in memory is gone.
func (w *world) restart() {
	if w.service != nil {
		_ = w.service.Close()
	}
	// Without waiting for the disk: it is the process that dies here, not the machine.
	s, err := open(context.Background(), Config{Dir: w.dir, Wait: time.Millisecond, MaxInFlight: 64}, Deps{
		Clock: w.clock, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Books: w, Provider: w, Limits: testLimits{},
	}, sqldb.Options{WithoutSync: true})
	if err != nil {
		w.t.Fatalf("Open = %v", err)
	}
	if err := s.store.hurry(context.Background(), w.clock.Now()); err != nil {
		w.t.Fatalf("hurry = %v", err)
	}
	w.service = s
}

// work drives all that is queued and due, one after the other, until the process dies.
func (w *world) work() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.crash = cancel
	if _, err := w.service.pickUp(ctx); err != nil {
		w.t.Fatalf("pickUp = %v", err)
	}
	for len(w.service.queue) > 0 {
		j := <-w.service.queue
		p := w.service.drive(ctx, j.payment, j.fresh)
		w.service.release(p.ID)
		if ctx.Err() != nil {
			w.restart()
			return
		}
	}
}

// ask requests a payment, or repeats an earlier request.
func (w *world) ask() {
	key := w.keys + 1
	if w.keys > 0 && rapid.IntRange(0, 3).Draw(w.t, "repeat") == 0 {
		key = rapid.IntRange(1, w.keys).Draw(w.t, "key")
	}
	w.keys = max(w.keys, key)
	r := Request{Player: w.players[key%len(w.players)], Jurisdiction: nj, Key: fmt.Sprint(key), Amount: usd(int64(500 * (1 + key%3)))}
	var err error
	if key%5 < 3 {
		_, err = w.service.Deposit(context.Background(), r)
	} else {
		_, err = w.service.Withdraw(context.Background(), r)
	}
	if err != nil && !errs.Is(err, errs.CodeInsufficientFunds) {
		w.t.Fatalf("request %d = %v", key, err)
	}
}

// settle ends all faults and drives until nothing is pending.
func (w *world) settle() {
	w.calm = true
	for range 50 {
		w.clock.Advance(2 * time.Minute)
		w.work()
		var pending int
		const q = `SELECT COUNT(*) FROM payment WHERE status = 1`
		if err := w.service.db.Read.QueryRowContext(context.Background(), q).Scan(&pending); err != nil || pending == 0 {
			return
		}
	}
}

// check compares every payment with the provider and the books, and the balances with the sum.
func (w *world) check(t testing.TB, ended bool) {
	for _, player := range w.players {
		page, _, err := w.service.List(context.Background(), player, nj, "", maxPage)
		if err != nil {
			w.t.Fatalf("List = %v", err)
		}
		want := int64(0)
		for _, p := range page {
			w.checkPayment(t, p, ended)
			switch {
			case p.Direction == DirectionDeposit && p.Status == StatusCompleted:
				want += p.Amount.Minor()
			case p.Direction == DirectionWithdrawal && p.Status == StatusCompleted:
				want -= p.Amount.Minor()
			}
		}
		if cash, withdrawing := w.books.balance(t, player); ended && (cash != want || withdrawing != 0) {
			w.t.Fatalf("%s has %d and %d on its way, want %d and none", player, cash, withdrawing, want)
		}
	}
}

func (w *world) checkPayment(t testing.TB, p Payment, ended bool) {
	did := func(name string) bool { return w.books.has(t, name+"/"+p.ID) }
	c := w.asked[p.ID]
	if c == nil {
		c = &charge{}
	}
	if c.effects > 1 {
		w.t.Fatalf("%s: the provider moved the money %d times", p.ID, c.effects)
	}
	if ended && !p.Status.IsFinal() {
		w.t.Fatalf("%s is still pending at step %s after %d tries", p.ID, p.step, p.attempts)
	}
	approved, declined := c.final == OutcomeApproved, c.final == OutcomeDeclined
	var ok bool
	switch {
	case p.Status == StatusPending:
		ok = !did("complete") || !did("return")
	case p.Direction == DirectionDeposit && p.Status == StatusCompleted:
		ok = approved && did("deposit")
	case p.Direction == DirectionDeposit:
		ok = declined && !did("deposit")
	case p.Status == StatusCompleted:
		ok = approved && did("withhold") && did("complete") && !did("return")
	case p.Status == StatusReturned:
		ok = declined && did("withhold") && did("return") && !did("complete")
	default:
		ok = c.effects == 0 && !did("withhold")
	}
	if !ok {
		w.t.Fatalf("%s %s is %s; provider %+v; withheld %t, credited %t, completed %t, returned %t", p.Direction, p.ID, p.Status,
			*c, did("withhold"), did("deposit"), did("complete"), did("return"))
	}
}

// emptyDatabase returns the file of a room that has just been opened: copying it is much cheaper
// than making it anew for each world.
func emptyDatabase(t *testing.T) []byte {
	t.Helper()
	b := setup(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(b.config.Dir, "payments.db"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Whatever the provider and the books do, and wherever the process dies, every payment ends as the
// provider decided, money moves once on both sides, and nothing is left on its way.
func TestNoMoneyIsLostOrDoubledByFaultsAndCrashes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	books := openBooks(t, root) // one for all worlds: no two share a player or a payment
	empty := emptyDatabase(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(root, "world")
		if err != nil {
			rt.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "payments.db"), empty, 0o600); err != nil {
			rt.Fatal(err)
		}
		w := &world{t: rt, clock: clock.NewManual(start), books: books, dir: dir, asked: map[string]*charge{}}
		w.players = []id.Player{newPlayer(), newPlayer()}
		w.restart()
		defer func() { _ = w.service.Close() }()
		for range rapid.IntRange(1, 8).Draw(rt, "operations") {
			switch rapid.IntRange(0, 3).Draw(rt, "operation") {
			case 0:
				w.ask()
			case 1:
				w.ask()
				w.work()
			case 2:
				w.clock.Advance(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
				w.work()
			case 3:
				w.restart()
			}
			w.check(t, false)
		}
		w.settle()
		w.check(t, true)
	})
}

// The workers themselves are stopped and started while payments are on their way.
func TestPaymentsSurviveRestartsOfTheWorkers(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config, _ *Deps) { c.Wait = time.Millisecond })
	methods := []string{MethodCard, MethodCardTimeout, MethodCardSlow, MethodCardDeclined}
	var all []Payment
	want := int64(0)
	p := newPlayer()
	for round := range 5 {
		b.run(t)
		for i := range 20 {
			method := methods[i%len(methods)]
			got, err := b.Service.Deposit(t.Context(), deposit(p, fmt.Sprintf("%d-%d", round, i), method))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, got)
			if method != MethodCardDeclined {
				want += 5000
			}
		}
		b.stop()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b.open(t)
	}
	b.run(t)
	for _, one := range all {
		b.await(t, one)
	}
	if cash, _ := b.books.balance(t, p); cash != want {
		t.Errorf("cash = %d, want %d", cash, want)
	}
}
