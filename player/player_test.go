package player

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
)

const (
	nj       id.Jurisdiction = "US-NJ"
	on       id.Jurisdiction = "CA-ON"
	password                 = "correct horse battery"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ages is the rule of the tests: 21 in New Jersey, 19 in Ontario, by UTC.
type ages struct{}

func (ages) OldEnough(j id.Jurisdiction, birth, now time.Time) (bool, error) {
	years, ok := map[id.Jurisdiction]int{nj: 21, on: 19}[j]
	if !ok {
		return false, errs.New(errs.CodeNotFound, "no such jurisdiction")
	}
	return !now.Before(birth.AddDate(years, 0, 0)), nil
}

type bench struct {
	*Service
	clock  *clock.Manual
	config Config
}

// cheap is a cost at which a test can hash a great deal.
var cheap = Argon2{MemoryKiB: 8, Passes: 1, Lanes: 1}

func setup(t testing.TB, change ...func(*Config)) *bench {
	t.Helper()
	c := Config{Dir: filepath.Join(t.TempDir(), "fresh"), Argon2: cheap}
	for _, f := range change {
		f(&c)
	}
	b := &bench{clock: clock.NewManual(start), config: c}
	b.open(t)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (b *bench) open(t testing.TB) {
	t.Helper()
	s, err := Open(t.Context(), b.config, Deps{
		Clock: b.clock, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Rules: ages{},
	})
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	b.Service = s
}

// reopen starts the room again on the same file.
func (b *bench) reopen(t *testing.T) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	b.open(t)
}

func ann() SignUp {
	return SignUp{Email: "ann@example.com", Password: password, DisplayName: "Ann", BirthDate: "1990-05-17", Jurisdiction: nj}
}

func (b *bench) signUp(t testing.TB, r SignUp) Player {
	t.Helper()
	p, err := b.SignUp(t.Context(), r)
	if err != nil {
		t.Fatalf("SignUp(%s) = %v", r.Email, err)
	}
	return p
}

func (b *bench) signIn(t testing.TB, email string, j id.Jurisdiction) (Session, string) {
	t.Helper()
	s, token, err := b.SignIn(t.Context(), Credentials{Email: email, Password: password, Jurisdiction: j})
	if err != nil {
		t.Fatalf("SignIn(%s) = %v", email, err)
	}
	return s, token
}

func wantCode(t *testing.T, what string, err error, want errs.Code) {
	t.Helper()
	if got := errs.CodeOf(err); got != want {
		t.Errorf("%s = %v (code %q), want code %q", what, err, got, want)
	}
}

func TestSignUpRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*SignUp)
		code   errs.Code
		field  string
	}{
		{"an address without at sign", func(r *SignUp) { r.Email = "ann.example.com" }, errs.CodeInvalid, "email"},
		{"a password of nine characters", func(r *SignUp) { r.Password = "123456789" }, errs.CodeInvalid, "password"},
		{"nine characters of three bytes each", func(r *SignUp) { r.Password = "日本語日本語日本語" }, errs.CodeInvalid, "password"},
		{"a password over 200 bytes", func(r *SignUp) { r.Password = strings.Repeat("ab", 101) }, errs.CodeInvalid, "password"},
		{"a password that is the address", func(r *SignUp) { r.Password = "ANN@example.com" }, errs.CodeInvalid, "password"},
		{"one character repeated", func(r *SignUp) { r.Password = "aaaaaaaaaaaa" }, errs.CodeInvalid, "password"},
		{"a password with a NUL", func(r *SignUp) { r.Password = "correct\x00horse" }, errs.CodeInvalid, "password"},
		{"a password that is not UTF-8", func(r *SignUp) { r.Password = "correct\xffhorse" }, errs.CodeInvalid, "password"},
		{"no display name", func(r *SignUp) { r.DisplayName = "" }, errs.CodeInvalid, "display_name"},
		{"a display name of 41 characters", func(r *SignUp) { r.DisplayName = strings.Repeat("é", 41) }, errs.CodeInvalid, "display_name"},
		{"a display name with a line break", func(r *SignUp) { r.DisplayName = "Ann\nBob" }, errs.CodeInvalid, "display_name"},
		{"a display name that turns the text round", func(r *SignUp) { r.DisplayName = "Ann\u202eBob" }, errs.CodeInvalid, "display_name"},
		{"a display name of spaces", func(r *SignUp) { r.DisplayName = "  " }, errs.CodeInvalid, "display_name"},
		{"a day the calendar lacks", func(r *SignUp) { r.BirthDate = "1991-02-29" }, errs.CodeInvalid, "birth_date"},
		{"a birth date in the future", func(r *SignUp) { r.BirthDate = "2026-03-03" }, errs.CodeInvalid, "birth_date"},
		{"a jurisdiction that is not served", func(r *SignUp) { r.Jurisdiction = "US-UT" }, errs.CodeInvalid, "jurisdiction"},
		{"somebody under age", func(r *SignUp) { r.BirthDate = "2005-03-02" }, errs.CodeExcluded, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, r := setup(t), ann()
			tt.change(&r)
			_, err := b.SignUp(t.Context(), r)
			wantCode(t, "SignUp", err, tt.code)
			fault, _ := errors.AsType[*errs.Error](err)
			if tt.field != "" && (fault == nil || len(fault.Fields) != 1 || fault.Fields[0].Location != tt.field) {
				t.Errorf("SignUp = %v, want one fault, at %s", err, tt.field)
			}
			if page, _, err := b.List(t.Context(), r.Jurisdiction, "", 10); err != nil || len(page) != 0 {
				t.Errorf("after a refusal there are players %v, %v", page, err)
			}
		})
	}
}

func TestSignUpNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := setup(t).SignUp(t.Context(), SignUp{})
	fault, ok := errors.AsType[*errs.Error](err)
	if !ok || len(fault.Fields) != 5 {
		t.Errorf("SignUp of nothing = %v, want five faults", err)
	}
}

func TestPlayersOfJurisdictionsAreStrangers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	there := ann()
	there.Jurisdiction = on
	one, two := b.signUp(t, ann()), b.signUp(t, there)
	if one.ID == two.ID {
		t.Fatal("two jurisdictions share a player")
	}
	if got, err := b.Find(t.Context(), one.ID, nj); err != nil || got != one {
		t.Errorf("Find at home = %+v, %v, want %+v", got, err, one)
	}
	_, err := b.Find(t.Context(), one.ID, on)
	wantCode(t, "Find across the border", err, errs.CodeNotFound)
	wantCode(t, "SetStatus across the border", b.SetStatus(t.Context(), one.ID, on, StatusClosed), errs.CodeNotFound)
	page, _, err := b.List(t.Context(), on, "", 10)
	if err != nil || len(page) != 1 || page[0] != two {
		t.Errorf("List(%s) = %+v, %v, want only %s", on, page, err, two.ID)
	}
	s, _ := b.signIn(t, "ann@example.com", on)
	if s.Player != two.ID || s.Jurisdiction != on || s.IsStaff() {
		t.Errorf("signed in as %+v, want player %s of %s", s, two.ID, on)
	}
	if s.MayActIn(on) != nil || s.MayActIn(nj) == nil {
		t.Error("a player's session should reach exactly its own jurisdiction")
	}
}

func TestAnAddressIsTakenOnceWhateverItsCase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, ann())
	again := ann()
	again.Email = " Ann@EXAMPLE.com "
	_, err := b.SignUp(t.Context(), again)
	wantCode(t, "SignUp with the same address", err, errs.CodeConflict)
}

func TestConcurrentSignUpsOfOneAddressMakeOnePlayer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		codes = map[errs.Code]int{}
	)
	for range 8 {
		group.Go(func() {
			_, err := b.SignUp(t.Context(), ann())
			mu.Lock()
			defer mu.Unlock()
			codes[errs.CodeOf(err)]++
		})
	}
	group.Wait()
	if codes[""] != 1 || codes[errs.CodeConflict] != 7 {
		t.Errorf("outcomes = %v, want one player and seven conflicts", codes)
	}
}

func TestListPagesNewestFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []id.Player
	for i := range 5 {
		r := ann()
		r.Email = fmt.Sprintf("ann%d@example.com", i)
		want = append(want, b.signUp(t, r).ID)
	}
	slices.Reverse(want)
	var got []id.Player
	cursor := ""
	for range 3 {
		page, next, err := b.List(t.Context(), nj, cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page {
			got = append(got, p.ID)
		}
		cursor = next
	}
	if !slices.Equal(got, want) || cursor != "" {
		t.Errorf("pages = %v then %q, want %v and the end", got, cursor, want)
	}
	_, _, err := b.List(t.Context(), nj, "'; DROP TABLE player", 2)
	wantCode(t, "List with a foreign cursor", err, errs.CodeInvalid)
}

func TestStatusDecidesWhoMayBet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status       Status
		bets         errs.Code
		sessionLives bool
		signsIn      errs.Code
	}{
		{StatusActive, "", true, ""},
		{StatusSuspended, errs.CodeExcluded, true, ""},
		{StatusExcluded, errs.CodeExcluded, false, ""},
		{StatusClosed, errs.CodeExcluded, false, errs.CodeExcluded},
	}
	for _, tt := range tests {
		t.Run(tt.status.String(), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := b.signUp(t, ann())
			_, token := b.signIn(t, p.Email, nj)
			if _, err := b.Authenticate(t.Context(), token); err != nil { // now in memory
				t.Fatal(err)
			}
			if err := b.SetStatus(t.Context(), p.ID, nj, tt.status); err != nil {
				t.Fatal(err)
			}
			wantCode(t, "MayBet", b.MayBet(t.Context(), p.ID, nj), tt.bets)
			s, err := b.Authenticate(t.Context(), token)
			if (err == nil) != tt.sessionLives {
				t.Errorf("Authenticate = %v, want alive %t", err, tt.sessionLives)
			}
			if err == nil && (s.Status != tt.status || errs.CodeOf(s.MayBet()) != tt.bets) {
				t.Errorf("the open session says %s, want %s", s.Status, tt.status)
			}
			_, _, err = b.SignIn(t.Context(), Credentials{Email: p.Email, Password: password, Jurisdiction: nj})
			wantCode(t, "SignIn", err, tt.signsIn)
		})
	}
}

func TestClosedIsFinal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.signUp(t, ann())
	for range 2 {
		if err := b.SetStatus(t.Context(), p.ID, nj, StatusClosed); err != nil {
			t.Fatalf("SetStatus(closed) = %v", err)
		}
	}
	wantCode(t, "SetStatus(active) after closed", b.SetStatus(t.Context(), p.ID, nj, StatusActive), errs.CodeConflict)
	wantCode(t, "SetStatus(0)", b.SetStatus(t.Context(), p.ID, nj, 0), errs.CodeInvalid)
	wantCode(t, "SetStatus of nobody", b.SetStatus(t.Context(), "plr_x", nj, StatusActive), errs.CodeNotFound)
}

func TestStatusNames(t *testing.T) {
	t.Parallel()
	for s := StatusActive; s <= StatusClosed; s++ {
		if got, err := ParseStatus(s.String()); err != nil || got != s {
			t.Errorf("ParseStatus(%q) = %v, %v, want %d", s.String(), got, err, s)
		}
	}
	for _, text := range []string{"", "Active", "unknown"} {
		_, err := ParseStatus(text)
		wantCode(t, "ParseStatus "+text, err, errs.CodeInvalid)
	}
}

func TestOpenRefusesMissingDependenciesAndBadConfig(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), Config{Dir: t.TempDir()}, Deps{}); err == nil {
		t.Error("Open without dependencies succeeded")
	}
	tests := []struct {
		name  string
		c     Config
		field string
	}{
		{"no folder", Config{}, "dir"},
		{"too little memory", Config{Argon2: Argon2{MemoryKiB: 7}}, "argon2"},
		{"too many passes", Config{Argon2: Argon2{Passes: 17}}, "argon2"},
		{"a negative bound", Config{MaxHashes: -1}, "max_hashes"},
		{"an endless session", Config{SessionTTL: 9000 * time.Hour}, "session_ttl"},
		{"failures forgotten before the lock ends", Config{FailureMemory: time.Minute}, "failure_memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.field != "dir" {
				tt.c.Dir = "somewhere"
			}
			fault, ok := errors.AsType[*errs.Error](tt.c.Validate())
			if !ok || len(fault.Fields) != 1 || fault.Fields[0].Location != tt.field {
				t.Errorf("Validate = %v, want one fault, at %s", fault, tt.field)
			}
		})
	}
	if err := (Config{Dir: "somewhere"}).Validate(); err != nil {
		t.Errorf("Validate of the zero configuration = %v", err)
	}
}

// BenchmarkSignUp measures everything but the cost of the hash.
func BenchmarkSignUp(b *testing.B) {
	room := setup(b)
	i := 0
	for b.Loop() {
		i++
		r := ann()
		r.Email = fmt.Sprintf("ann%d@example.com", i)
		if _, err := room.SignUp(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}
