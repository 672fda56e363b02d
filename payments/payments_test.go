package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/money"
	"matchday/stream"
)

type bench struct {
	*Service
	books   *testBooks
	sandbox *Sandbox
	config  Config
	deps    Deps
	stop    func()
}

// setup opens the room with the sandbox, on the machine's clock, not running yet.
func setup(t testing.TB, change ...func(*Config, *Deps)) *bench {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fresh")
	b := &bench{books: openBooks(t, t.TempDir()), stop: func() {}}
	b.config = Config{Dir: dir, Workers: 8, Poll: 2 * time.Millisecond, RetryFirst: 2 * time.Millisecond, RetryMost: 20 * time.Millisecond}
	b.openSandbox(t)
	b.deps = Deps{Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Books: b.books, Provider: b.sandbox, Limits: testLimits{}}
	for _, f := range change {
		f(&b.config, &b.deps)
	}
	b.open(t)
	t.Cleanup(func() {
		b.stop()
		_ = b.Close()
	})
	return b
}

func (b *bench) openSandbox(t testing.TB) {
	t.Helper()
	s, err := OpenSandbox(t.Context(), SandboxConfig{Dir: b.config.Dir, Latency: time.Millisecond, SlowFor: 50 * time.Millisecond}, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b.sandbox = s
}

func (b *bench) open(t testing.TB) {
	t.Helper()
	b.deps.Metrics = prometheus.NewRegistry()
	s, err := Open(t.Context(), b.config, b.deps)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	b.Service = s
}

// run starts the workers until stop is called.
func (b *bench) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, s := make(chan error, 1), b.Service
	go func() { ended <- s.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func newPlayer() id.Player { return testIDs.NewPlayer() }

func deposit(p id.Player, key, method string) Request {
	return Request{Player: p, Jurisdiction: nj, Key: key, Amount: usd(5000), Method: method}
}

// fund gives a player 50.00.
func (b *bench) fund(t testing.TB, p id.Player) {
	t.Helper()
	got, err := b.Deposit(t.Context(), deposit(p, "fund", MethodCard))
	if err != nil {
		t.Fatalf("Deposit = %v", err)
	}
	if got = b.await(t, got); got.Status != StatusCompleted {
		t.Fatalf("Deposit ended %s", got.Status)
	}
}

// await polls until the payment has ended.
func (b *bench) await(t testing.TB, p Payment) Payment {
	t.Helper()
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := b.Find(t.Context(), p.Player, p.Jurisdiction, p.ID)
		if err != nil {
			t.Fatalf("Find = %v", err)
		}
		if got.Status.IsFinal() {
			return got
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("payment %s is still at step %s", got.ID, got.step)
		}
	}
}

func wantCode(t *testing.T, what string, err error, want errs.Code) {
	t.Helper()
	if got := errs.CodeOf(err); got != want {
		t.Errorf("%s = %v (code %q), want code %q", what, err, got, want)
	}
}

func TestEachMethodComesToItsEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method      string
		in, out     Status
		reason      string
		cashAfter   int64 // of a deposit of 50.00 into an empty account
		cashAfterPO int64 // of a withdrawal of 50.00 out of 50.00
	}{
		{MethodCard, StatusCompleted, StatusCompleted, "", 5000, 0},
		{MethodBank, StatusCompleted, StatusCompleted, "", 5000, 0},
		{MethodCardTimeout, StatusCompleted, StatusCompleted, "", 5000, 0},
		{MethodCardSlow, StatusCompleted, StatusCompleted, "", 5000, 0},
		{MethodCardDeclined, StatusDeclined, StatusReturned, "card_declined", 0, 5000},
		{"cheque", StatusDeclined, StatusReturned, "unknown_method", 0, 5000},
	}
	b := setup(t)
	b.run(t)
	for _, tt := range tests {
		t.Run(tt.method, func(t *testing.T) {
			p := newPlayer()
			got, err := b.Deposit(t.Context(), deposit(p, "k", tt.method))
			if err != nil {
				t.Fatalf("Deposit = %v", err)
			}
			got = b.await(t, got)
			cash, _ := b.books.balance(t, p)
			if got.Status != tt.in || got.Reason != tt.reason || cash != tt.cashAfter || (got.Position.Seq > 0) != (tt.in == StatusCompleted) {
				t.Errorf("deposit ended %s (%s) at %s with cash %d, want %s (%s) and %d", got.Status, got.Reason, got.Position, cash, tt.in, tt.reason, tt.cashAfter)
			}

			q := newPlayer()
			b.fund(t, q)
			got, err = b.Withdraw(t.Context(), deposit(q, "k", tt.method))
			if err != nil {
				t.Fatalf("Withdraw = %v", err)
			}
			got = b.await(t, got)
			cash, withdrawing := b.books.balance(t, q)
			if got.Status != tt.out || got.Reason != tt.reason || cash != tt.cashAfterPO || withdrawing != 0 {
				t.Errorf("withdrawal ended %s (%s) with cash %d and %d on its way, want %s (%s), %d and none", got.Status, got.Reason, cash, withdrawing, tt.out, tt.reason, tt.cashAfterPO)
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Request)
		code   errs.Code
		field  string
	}{
		{"no player", func(r *Request) { r.Player = "" }, errs.CodeInvalid, "player"},
		{"no key", func(r *Request) { r.Key = "" }, errs.CodeInvalid, "key"},
		{"a key over 128 bytes", func(r *Request) { r.Key = strings.Repeat("k", 129) }, errs.CodeInvalid, "key"},
		{"a key with a space", func(r *Request) { r.Key = "a b" }, errs.CodeInvalid, "key"},
		{"a key that is not ASCII", func(r *Request) { r.Key = "ключ" }, errs.CodeInvalid, "key"},
		{"nothing", func(r *Request) { r.Amount = usd(0) }, errs.CodeInvalid, "amount"},
		{"less than nothing", func(r *Request) { r.Amount = usd(-5000) }, errs.CodeInvalid, "amount"},
		{"an amount near overflow", func(r *Request) { r.Amount = usd(money.MaxMinor + 1) }, errs.CodeInvalid, "amount"},
		{"below the least", func(r *Request) { r.Amount = usd(499) }, errs.CodeInvalid, "amount"},
		{"above the most", func(r *Request) { r.Amount = usd(100_001) }, errs.CodeLimitReached, ""},
		{"another currency", func(r *Request) { r.Amount = money.New(5000, money.CAD) }, errs.CodeInvalid, "amount.currency"},
		{"a method with a line break", func(r *Request) { r.Method = "card\n" }, errs.CodeInvalid, "method"},
		{"a jurisdiction that is not served", func(r *Request) { r.Jurisdiction = "US-UT" }, errs.CodeNotFound, ""},
	}
	b := setup(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := deposit(newPlayer(), "k", MethodCard)
			tt.change(&r)
			_, err := b.Deposit(t.Context(), r)
			wantCode(t, "Deposit", err, tt.code)
			fault, _ := errors.AsType[*errs.Error](err)
			if tt.field != "" && (fault == nil || len(fault.Fields) != 1 || fault.Fields[0].Location != tt.field) {
				t.Errorf("Deposit = %v, want one fault, at %s", err, tt.field)
			}
			if page, _, err := b.List(t.Context(), r.Player, r.Jurisdiction, "", 10); err != nil || len(page) != 0 {
				t.Errorf("a refused request left %v, %v", page, err)
			}
		})
	}
}

func TestAKeyIsOnePaymentForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t)
	p := newPlayer()
	first, err := b.Deposit(t.Context(), deposit(p, "k", MethodCard))
	if err != nil {
		t.Fatal(err)
	}
	first = b.await(t, first)
	b.stop()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	b.run(t)
	again, err := b.Deposit(t.Context(), deposit(p, "k", MethodCard))
	if err != nil || again.ID != first.ID || !again.Replayed || again.Status != StatusCompleted || again.Position != first.Position {
		t.Errorf("the same request = %+v, %v, want a replay of %+v", again, err, first)
	}
	changes := map[string]func(*Request){
		"amount": func(r *Request) { r.Amount = usd(6000) },
		"method": func(r *Request) { r.Method = MethodBank },
	}
	for field, change := range changes {
		r := deposit(p, "k", MethodCard)
		change(&r)
		_, err := b.Deposit(t.Context(), r)
		wantCode(t, "the key with another "+field, err, errs.CodeConflict)
		if e, _ := errors.AsType[*errs.Error](err); e == nil || len(e.Fields) != 1 || e.Fields[0].Location != field {
			t.Errorf("the key with another %s = %v, want that field named", field, err)
		}
	}
	_, err = b.Withdraw(t.Context(), deposit(p, "k", MethodCard))
	wantCode(t, "the key for a withdrawal", err, errs.CodeConflict)
	other := newPlayer()
	if got, err := b.Deposit(t.Context(), deposit(other, "k", MethodCard)); err != nil || got.ID == first.ID {
		t.Errorf("another player's same key = %+v, %v, want a payment of its own", got, err)
	}
}

func TestConcurrentRequestsOfOneKeyMakeOnePayment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t)
	p := newPlayer()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		ids   = map[string]bool{}
	)
	for range 16 {
		group.Go(func() {
			got, err := b.Deposit(t.Context(), deposit(p, "k", MethodCard))
			if err != nil {
				t.Errorf("Deposit = %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[got.ID] = true
		})
	}
	group.Wait()
	for i := range ids {
		b.await(t, Payment{ID: i, Player: p, Jurisdiction: nj})
	}
	if cash, _ := b.books.balance(t, p); len(ids) != 1 || cash != 5000 {
		t.Errorf("%d payments, cash %d, want one of 5000", len(ids), cash)
	}
	b.stop()
	if len(b.slots) != 0 || len(b.claimed) != 0 {
		t.Errorf("%d slots and %d claims are still held", len(b.slots), len(b.claimed))
	}
}

func TestAWithdrawalWithoutFundsIsRefusedAndStaysRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t)
	p := newPlayer()
	got, err := b.Withdraw(t.Context(), deposit(p, "w", MethodCard))
	if err == nil { // a slow machine: the answer came after the wait
		got = b.await(t, got)
		_, err = got.outcome()
	}
	wantCode(t, "Withdraw without funds", err, errs.CodeInsufficientFunds)
	b.fund(t, p)
	again, err := b.Withdraw(t.Context(), deposit(p, "w", MethodCard))
	wantCode(t, "the same request with funds", err, errs.CodeInsufficientFunds)
	if again.ID != got.ID || again.Status != StatusDeclined || again.Reason != string(errs.CodeInsufficientFunds) {
		t.Errorf("the same request = %+v, want declined %s", again, got.ID)
	}
	if cash, withdrawing := b.books.balance(t, p); cash != 5000 || withdrawing != 0 {
		t.Errorf("cash %d and %d on its way, want 5000 and none", cash, withdrawing)
	}
	answer, err := b.sandbox.Query(t.Context(), got.ID)
	if err != nil || answer.Outcome != OutcomeUnknown {
		t.Errorf("the provider says %v, %v, want that it never heard of it", answer, err)
	}
}

func TestAPaymentIsSeenOnlyByItsPlayerInItsJurisdiction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t)
	p := newPlayer()
	b.fund(t, p)
	page, _, err := b.List(t.Context(), p, nj, "", 10)
	if err != nil || len(page) != 1 {
		t.Fatalf("List = %v, %v, want one payment", page, err)
	}
	_, err = b.Find(t.Context(), p, pa, page[0].ID)
	wantCode(t, "Find across the border", err, errs.CodeNotFound)
	_, err = b.Find(t.Context(), newPlayer(), nj, page[0].ID)
	wantCode(t, "Find by a stranger", err, errs.CodeNotFound)
	if page, _, err = b.List(t.Context(), p, pa, "", 10); err != nil || len(page) != 0 {
		t.Errorf("List across the border = %v, %v, want nothing", page, err)
	}
}

func TestListPagesNewestFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t)
	p := newPlayer()
	b.fund(t, p)
	var want []string
	for i := range 4 {
		got, err := b.Deposit(t.Context(), deposit(p, fmt.Sprintf("d%d", i), MethodCard))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, got.ID)
	}
	out, err := b.Withdraw(t.Context(), deposit(p, "w", MethodCard))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(want)
	var got []string
	cursor := ""
	for range 3 {
		page, next, err := b.ListDeposits(t.Context(), p, nj, cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			got = append(got, d.ID)
		}
		cursor = next
	}
	if len(got) != 5 || !slices.Equal(got[:4], want) || cursor != "" {
		t.Errorf("deposits = %v then %q, want %v, the first, and the end", got, cursor, want)
	}
	page, _, err := b.ListWithdrawals(t.Context(), p, nj, "", 10)
	if err != nil || len(page) != 1 || page[0].ID != out.ID {
		t.Errorf("withdrawals = %v, %v, want only %s", page, err, out.ID)
	}
	_, _, err = b.List(t.Context(), p, nj, "page2", 10)
	wantCode(t, "List with a foreign cursor", err, errs.CodeInvalid)
}

func TestTooManyInFlightAreTurnedAwayAndNothingIsStored(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config, _ *Deps) { c.Workers, c.MaxInFlight, c.Wait = 1, 1, time.Millisecond })
	p := newPlayer()
	first, err := b.Deposit(t.Context(), deposit(p, "a", MethodCard)) // nobody drives it yet
	if err != nil || first.Status != StatusPending {
		t.Fatalf("Deposit = %+v, %v, want pending", first, err)
	}
	_, err = b.Deposit(t.Context(), deposit(p, "b", MethodCard))
	wantCode(t, "a second Deposit", err, errs.CodeUnavailable)
	b.run(t)
	b.await(t, first)
	second, err := b.Deposit(t.Context(), deposit(p, "b", MethodCard))
	for errs.Is(err, errs.CodeUnavailable) { // the slot is given back a moment after the end is stored
		second, err = b.Deposit(t.Context(), deposit(p, "b", MethodCard))
	}
	if err != nil {
		t.Fatalf("the second Deposit later = %v", err)
	}
	b.await(t, second)
}

// sulkingBooks refuses every deposit for good.
type sulkingBooks struct{ Books }

func (sulkingBooks) Deposit(context.Context, Payment) (stream.Position, error) {
	return stream.Position{}, errs.New(errs.CodeForbidden, "no")
}

func TestMoneyTakenIsNeverDroppedThoughTheBooksRefuse(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ *Config, d *Deps) { d.Books = sulkingBooks{d.Books} })
	p, err := b.Deposit(t.Context(), deposit(newPlayer(), "k", MethodCard))
	if err != nil {
		t.Fatal(err)
	}
	j := <-b.queue
	for i := range 3 {
		got := b.drive(t.Context(), j.payment, i == 0)
		if got.Status != StatusPending || got.step != stepCredit || got.attempts != i+1 {
			t.Errorf("after try %d: %s at step %s, %d tries", i+1, got.Status, got.step, got.attempts)
		}
		j.payment = got
	}
	found, err := b.Find(t.Context(), p.Player, nj, p.ID)
	if err != nil || found.Status != StatusPending || found.step != stepCredit {
		t.Errorf("stored: %s at step %s, %v, want pending at credit", found.Status, found.step, err)
	}
}

func TestAFinalPaymentCannotChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t)
	p := newPlayer()
	b.fund(t, p)
	_, err := b.db.Write.ExecContext(t.Context(), `UPDATE payment SET status = 1, step = 1`)
	wantCode(t, "an update of a final payment", err, errs.CodeInternal)
	if err == nil || !strings.Contains(err.Error(), "final") {
		t.Errorf("update = %v, want the trigger's refusal", err)
	}
}

func TestBackoffGrowsToABoundAndScatters(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config, _ *Deps) { c.RetryFirst, c.RetryMost = 100*time.Millisecond, time.Second })
	full := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, time.Second, time.Second}
	for i, want := range full {
		for range 50 {
			if got := b.backoff(i + 1); got > want || got < want-want/4-1 {
				t.Fatalf("backoff(%d) = %s, want %s less up to a quarter", i+1, got, want)
			}
		}
	}
	if got := b.backoff(1_000_000); got > time.Second {
		t.Errorf("backoff(1000000) = %s, want at most 1s", got)
	}
}

func TestOpenRefusesMissingDependenciesAndBadConfig(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), Config{Dir: t.TempDir()}, Deps{}); err == nil {
		t.Error("Open without dependencies succeeded")
	}
	if _, err := OpenSandbox(t.Context(), SandboxConfig{Dir: t.TempDir()}, nil); err == nil {
		t.Error("OpenSandbox without a clock succeeded")
	}
	tests := []struct {
		name  string
		c     interface{ Validate() error }
		field string
	}{
		{"no folder", Config{}, "dir"},
		{"a negative pool", Config{Dir: "d", Workers: -1}, "workers"},
		{"fewer places than workers", Config{Dir: "d", Workers: 10, MaxInFlight: 9}, "max_in_flight"},
		{"an endless wait", Config{Dir: "d", Wait: 2 * time.Hour}, "wait"},
		{"retries upside down", Config{Dir: "d", RetryFirst: time.Minute}, "retry_most"},
		{"no folder for the sandbox", SandboxConfig{}, "dir"},
		{"a negative latency", SandboxConfig{Dir: "d", Latency: -1}, "latency"},
		{"an endless slowness", SandboxConfig{Dir: "d", SlowFor: 2 * time.Hour}, "slow_for"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fault, ok := errors.AsType[*errs.Error](tt.c.Validate())
			if !ok || len(fault.Fields) != 1 || fault.Fields[0].Location != tt.field {
				t.Errorf("Validate = %v, want one fault, at %s", fault, tt.field)
			}
		})
	}
}

func TestRunTwiceIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.running.Store(true)
	if err := b.Run(t.Context()); err == nil {
		t.Error("a second Run succeeded")
	}
}

func TestStatusNames(t *testing.T) {
	t.Parallel()
	for s := StatusPending; s <= StatusReturned; s++ {
		if got, err := ParseStatus(s.String()); err != nil || got != s {
			t.Errorf("ParseStatus(%q) = %v, %v, want %d", s.String(), got, err, s)
		}
	}
	_, err := ParseStatus("lost")
	wantCode(t, "ParseStatus(lost)", err, errs.CodeInvalid)
}

func TestTheSandboxKnowsAReferenceOnceAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := ProviderRequest{Reference: "pay_1", Player: newPlayer(), Jurisdiction: nj, Amount: usd(5000), Method: MethodCardTimeout}
	_, err := b.sandbox.Charge(t.Context(), r)
	wantCode(t, "Charge of card-timeout", err, errs.CodeUnavailable)
	if err := b.sandbox.Close(); err != nil {
		t.Fatal(err)
	}
	b.openSandbox(t)
	answer, err := b.sandbox.Query(t.Context(), "pay_1")
	if err != nil || answer.Outcome != OutcomeApproved {
		t.Errorf("Query after a restart = %v, %v, want approved", answer, err)
	}
	other := r
	other.Amount = usd(1)
	_, err = b.sandbox.Charge(t.Context(), other)
	wantCode(t, "Charge of another amount", err, errs.CodeConflict)
	_, err = b.sandbox.Pay(t.Context(), r)
	wantCode(t, "Pay under a charge's reference", err, errs.CodeConflict)
	answer, err = b.sandbox.Query(t.Context(), "pay_2")
	if err != nil || answer.Outcome != OutcomeUnknown {
		t.Errorf("Query of a stranger = %v, %v, want unknown", answer, err)
	}
}

func TestReasonsAreCleaned(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"a plain word stays", "card_declined", "card_declined"},
		{"nothing becomes a word", "", "declined"},
		{"control characters go", "a\x00b\nc", "abc"},
		{"length is bounded", strings.Repeat("x", 500), strings.Repeat("x", maxReasonBytes)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := cleanReason(tt.text); got != tt.want {
				t.Errorf("cleanReason(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

// BenchmarkDeposit measures deposits by 64 callers at a time, from request to credited.
func BenchmarkDeposit(b *testing.B) {
	room := setup(b, func(c *Config, _ *Deps) { c.Workers = 64 })
	room.run(b)
	p := newPlayer()
	b.SetParallelism(32)
	var n int
	var mu sync.Mutex
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			key := fmt.Sprint(n)
			mu.Unlock()
			if _, err := room.Deposit(context.Background(), deposit(p, key, MethodCard)); err != nil {
				b.Error(err)
			}
		}
	})
}
