package player

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
)

func wrong(b *bench, t *testing.T, email string) error {
	t.Helper()
	_, _, err := b.SignIn(t.Context(), Credentials{Email: email, Password: "not the password", Jurisdiction: nj})
	return err
}

func TestASessionLivesUntilItIsRevokedOrExpires(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(*testing.T, *bench, Session, string)
	}{
		{"sign out", func(t *testing.T, b *bench, _ Session, token string) {
			if err := b.SignOut(t.Context(), token); err != nil {
				t.Errorf("SignOut = %v", err)
			}
		}},
		{"sign out everywhere", func(t *testing.T, b *bench, s Session, _ string) {
			if err := b.SignOutAll(t.Context(), s.Player); err != nil {
				t.Errorf("SignOutAll = %v", err)
			}
		}},
		{"time", func(_ *testing.T, b *bench, _ Session, _ string) { b.clock.Advance(12 * time.Hour) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.signUp(t, ann())
			opened, token := b.signIn(t, "ann@example.com", nj)
			for _, where := range []string{"database", "memory"} {
				got, err := b.Authenticate(t.Context(), token)
				if err != nil || got.ID != opened.ID || got.Player != opened.Player || got.Status != StatusActive || !got.ExpiresAt.Equal(opened.ExpiresAt) {
					t.Fatalf("Authenticate from %s = %+v, %v, want %+v", where, got, err, opened)
				}
			}
			tt.end(t, b, opened, token)
			_, err := b.Authenticate(t.Context(), token)
			wantCode(t, "Authenticate after the end", err, errs.CodeUnauthenticated)
		})
	}
}

func TestASessionSurvivesARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, ann())
	opened, token := b.signIn(t, "ann@example.com", nj)
	b.reopen(t)
	got, err := b.Authenticate(t.Context(), token)
	if err != nil || got.ID != opened.ID {
		t.Errorf("Authenticate after a restart = %+v, %v, want session %s", got, err, opened.ID)
	}
}

func TestTokensThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, token := range []string{"", "x", "0123456789012345678901234567890123456789012", "' OR 1=1 --"} {
		_, err := b.Authenticate(t.Context(), token)
		wantCode(t, "Authenticate", err, errs.CodeUnauthenticated)
		if err := b.SignOut(t.Context(), token); err != nil {
			t.Errorf("SignOut of no session = %v", err)
		}
	}
}

func TestPreviousSignInIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, ann())
	first, _ := b.signIn(t, "ann@example.com", nj)
	b.clock.Advance(time.Hour)
	second, token := b.signIn(t, "ann@example.com", nj)
	if !first.PreviousSignIn.IsZero() || !second.PreviousSignIn.Equal(start) {
		t.Errorf("previous sign-ins = %s and %s, want none and %s", first.PreviousSignIn, second.PreviousSignIn, start)
	}
	got, err := b.Authenticate(t.Context(), token)
	if err != nil || !got.PreviousSignIn.Equal(start) {
		t.Errorf("Authenticate = %s, %v, want %s", got.PreviousSignIn, err, start)
	}
}

func TestTheOldestSessionMakesRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.MaxSessions = 2 })
	b.signUp(t, ann())
	var tokens []string
	for range 3 {
		b.clock.Advance(time.Second)
		_, token := b.signIn(t, "ann@example.com", nj)
		if _, err := b.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	_, err := b.Authenticate(t.Context(), tokens[0])
	wantCode(t, "the oldest of three", err, errs.CodeUnauthenticated)
	for _, token := range tokens[1:] {
		if _, err := b.Authenticate(t.Context(), token); err != nil {
			t.Errorf("a newer session = %v", err)
		}
	}
}

// A known and an unknown address must look alike, in answers and in locks.
func TestRepeatedFailuresLockForGrowingTimes(t *testing.T) {
	t.Parallel()
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		t.Run(email, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.signUp(t, ann())
			for range 5 {
				wantCode(t, "a wrong password", wrong(b, t, email), errs.CodeUnauthenticated)
			}
			b.reopen(t) // a restart does not forgive
			for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
				err := wrong(b, t, email)
				wantCode(t, "a locked address", err, errs.CodeRateLimited)
				if got, _ := errors.AsType[*errs.Error](err); got == nil || got.RetryAfter != want {
					t.Errorf("locked for %+v, want %s", got, want)
				}
				b.clock.Advance(want)
				wantCode(t, "a wrong password after the lock", wrong(b, t, email), errs.CodeUnauthenticated)
			}
			if got, want := b.lockTime(1000), 15*time.Minute; got != want {
				t.Errorf("the longest lock = %s, want %s", got, want)
			}
		})
	}
}

func TestALockHoldsAgainstTheRightPasswordAndAnotherJurisdictionIsNotLocked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, ann())
	there := ann()
	there.Jurisdiction = on
	b.signUp(t, there)
	for range 5 {
		_ = wrong(b, t, "ann@example.com")
	}
	_, _, err := b.SignIn(t.Context(), Credentials{Email: "ann@example.com", Password: password, Jurisdiction: nj})
	wantCode(t, "the right password while locked", err, errs.CodeRateLimited)
	b.signIn(t, "ann@example.com", on)
	b.clock.Advance(30 * time.Second)
	b.signIn(t, "ann@example.com", nj)
	for range 4 {
		wantCode(t, "after a success the count starts anew", wrong(b, t, "ann@example.com"), errs.CodeUnauthenticated)
	}
	b.signIn(t, "ann@example.com", nj)
}

func TestFailuresAreForgottenAndSwept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 4 {
		_ = wrong(b, t, "nobody@example.com")
	}
	b.clock.Advance(time.Hour + time.Second)
	wantCode(t, "the fifth failure, an hour later", wrong(b, t, "somebody@example.com"), errs.CodeUnauthenticated)
	var rows int
	if err := b.db.Read.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sign_in_failure`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows of failures, %v, want only the last", rows, err)
	}
}

func TestSignInsAreCountedByJurisdictionsThatAreServed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, j := range []id.Jurisdiction{nj, on, "XX-YY", "XX-ZZ"} {
		_, _, err := b.SignIn(t.Context(), Credentials{Email: "ann@example.com", Password: password, Jurisdiction: j})
		wantCode(t, "SignIn of nobody", err, errs.CodeUnauthenticated)
	}
	series := make(chan prometheus.Metric, 10)
	b.metrics.signIns.Collect(series)
	if got, want := len(series), 3; got != want {
		t.Errorf("%d series, want %d: two jurisdictions and one for all others", got, want)
	}
}

func TestAFailureCountsThoughTheCallerHangsUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := b.countFailure(ctx, b.playerAttempt(nj, "x"))
	wantCode(t, "countFailure", err, errs.CodeUnauthenticated)
	var failures int
	if err := b.db.Read.QueryRowContext(t.Context(), `SELECT failures FROM sign_in_failure`).Scan(&failures); err != nil || failures != 1 {
		t.Errorf("failures = %d, %v, want 1", failures, err)
	}
}

func TestAPasswordIsHashedAgainWhenTheCostChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, ann())
	b.config.Argon2 = Argon2{MemoryKiB: 16, Passes: 2, Lanes: 1}
	b.reopen(t)
	b.signIn(t, "ann@example.com", nj)
	found, err := b.store.findAccount(t.Context(), nj, "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	h, err := parsePasswordHash(found.hash)
	if err != nil || h.cost != b.config.Argon2 {
		t.Errorf("stored cost = %+v, %v, want %+v", h.cost, err, b.config.Argon2)
	}
	b.signIn(t, "ann@example.com", nj)
}

func TestStaffSignIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	account := StaffAccount{Name: "trader.1", Password: password, Jurisdictions: []id.Jurisdiction{nj, on, nj}}
	if err := b.AddStaff(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	s, token, err := b.SignInStaff(t.Context(), "trader.1", password)
	if err != nil || s.Staff != "trader.1" || s.Player != "" || s.Role != RoleOperator || !s.ExpiresAt.Equal(start.Add(4*time.Hour)) {
		t.Fatalf("SignInStaff = %+v, %v", s, err)
	}
	got, err := b.Authenticate(t.Context(), token)
	if err != nil || !got.IsStaff() || got.MayActIn(nj) != nil || got.MayActIn(on) != nil || got.MayActIn("US-PA") == nil {
		t.Errorf("Authenticate = %+v, %v, want staff of %s and %s", got, err, nj, on)
	}
	wantCode(t, "staff betting", got.MayBet(), errs.CodeForbidden)

	b.reopen(t)
	if err := b.AddStaff(t.Context(), account); err != nil { // as at every start
		t.Fatal(err)
	}
	if _, err := b.Authenticate(t.Context(), token); err != nil {
		t.Errorf("a session after the same account was set again = %v", err)
	}

	account.Password, account.Jurisdictions, account.Role = "a fresh password", []id.Jurisdiction{on}, RoleAdmin
	if err := b.AddStaff(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	_, err = b.Authenticate(t.Context(), token)
	wantCode(t, "a session from before the change", err, errs.CodeUnauthenticated)
	_, _, err = b.SignInStaff(t.Context(), "trader.1", password)
	wantCode(t, "the old password", err, errs.CodeUnauthenticated)
	s, _, err = b.SignInStaff(t.Context(), "trader.1", "a fresh password")
	if err != nil || s.Role != RoleAdmin || s.MayActIn(nj) == nil || s.MayActIn(on) != nil {
		t.Errorf("SignInStaff = %+v, %v, want admin of %s only", s, err, on)
	}
	for _, name := range []string{"nobody", "", "Bad Name"} {
		_, _, err = b.SignInStaff(t.Context(), name, password)
		wantCode(t, "SignInStaff of "+name, err, errs.CodeUnauthenticated)
	}
}

// Whoever knows the name may fail, so a lock of staff is late, short and never grows.
func TestALockOfStaffIsLateAndShort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.AddStaff(t.Context(), StaffAccount{Name: "staff", Password: password, Jurisdictions: []id.Jurisdiction{nj}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for range 20 {
			_, _, err := b.SignInStaff(t.Context(), "staff", "not the password")
			wantCode(t, "a wrong password", err, errs.CodeUnauthenticated)
		}
		_, _, err := b.SignInStaff(t.Context(), "staff", password)
		wantCode(t, "the right password while locked", err, errs.CodeRateLimited)
		if got, _ := errors.AsType[*errs.Error](err); got == nil || got.RetryAfter != time.Minute {
			t.Errorf("locked for %+v, want a minute", got)
		}
		b.clock.Advance(time.Minute)
	}
	if _, _, err := b.SignInStaff(t.Context(), "staff", "not the password"); errs.CodeOf(err) != errs.CodeUnauthenticated {
		t.Errorf("one failure after the lock = %v, want unauthenticated", err)
	}
	if _, _, err := b.SignInStaff(t.Context(), "staff", password); err != nil {
		t.Errorf("the right password after it = %v, want a session", err)
	}
}

func TestAddStaffRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	err := b.AddStaff(t.Context(), StaffAccount{Name: "No Good", Password: "short", Role: 9})
	fault, ok := errors.AsType[*errs.Error](err)
	if !ok || len(fault.Fields) != 4 {
		t.Errorf("AddStaff = %v, want four faults", err)
	}
}

func TestACrowdAtTheDoorIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.MaxHashes, c.MaxWaiting, c.HashWait = 1, 1, time.Millisecond })
	if err := b.hasher.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := b.SignUp(t.Context(), ann())
	wantCode(t, "SignUp after the wait", err, errs.CodeUnavailable)
	if e, _ := errors.AsType[*errs.Error](err); e == nil || e.RetryAfter == 0 {
		t.Errorf("SignUp = %v, want a hint when to retry", err)
	}
	b.hasher.queue <- struct{}{}
	_, _, err = b.SignIn(t.Context(), Credentials{Email: "ann@example.com", Password: password, Jurisdiction: nj})
	wantCode(t, "SignIn when the line is full", err, errs.CodeUnavailable)
	<-b.hasher.queue
	b.hasher.leave()
	b.signUp(t, ann())
}

// A revoked session must not come back from a look-up that began before it was revoked.
func TestTheCacheNeverKeepsWhatWasRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	c := newCache(2)
	h := hashToken("a")
	_, _, generation := c.find(h, start)
	c.drop([]tokenHash{h})
	c.put(h, Session{ID: "a", ExpiresAt: start.Add(time.Hour)}, generation)
	if _, ok, _ := c.find(h, start); ok {
		t.Error("the cache kept a session that was revoked while it was read")
	}
}

func TestTheCacheIsBoundedAndForgetsTheLeastUsed(t *testing.T) {
	t.Parallel()
	c := newCache(2)
	put := func(name string) { c.put(hashToken(name), Session{ID: name, ExpiresAt: start.Add(time.Hour)}, 0) }
	has := func(name string) bool { _, ok, _ := c.find(hashToken(name), start); return ok }
	put("a")
	put("b")
	_ = has("a")
	put("c")
	if !has("a") || has("b") || !has("c") {
		t.Error("the cache should hold a and c: b was used least recently")
	}
	put("a") // known: replaced in place
	if len(c.byHash) != 2 || c.used.Len() != 2 {
		t.Errorf("the cache holds %d and %d entries, want 2", len(c.byHash), c.used.Len())
	}
	if _, ok, _ := c.find(hashToken("a"), start.Add(time.Hour)); ok || len(c.byHash) != 1 {
		t.Error("an expired session should leave the cache when it is found")
	}
}

func TestRevocationIsSeenUnderConcurrency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, ann())
	for range 10 {
		_, token := b.signIn(t, "ann@example.com", nj)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 20 {
					_, _ = b.Authenticate(t.Context(), token)
				}
			})
		}
		if err := b.SignOut(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		_, err := b.Authenticate(t.Context(), token)
		wantCode(t, "Authenticate after SignOut", err, errs.CodeUnauthenticated)
		group.Wait()
		_, err = b.Authenticate(t.Context(), token)
		wantCode(t, "Authenticate in the end", err, errs.CodeUnauthenticated)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	room := setup(b)
	room.signUp(b, ann())
	_, token := room.signIn(b, "ann@example.com", nj)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := room.Authenticate(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignIn measures everything but the cost of the hash.
func BenchmarkSignIn(b *testing.B) {
	room := setup(b)
	room.signUp(b, ann())
	for b.Loop() {
		room.signIn(b, "ann@example.com", nj)
	}
}
