package player

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
)

// Kinds of people who sign in, as metrics and failure subjects name them.
const (
	kindPlayer = "player"
	kindStaff  = "staff"
)

var errWrongCredentials = errs.New(errs.CodeUnauthenticated, "no such account, or another password")

// SignIn opens a session for a player and returns it with its token, which exists nowhere else.
//
// Errors: unauthenticated, the same for an unknown address and a wrong password; rate_limited with
// RetryAfter while the address is locked after repeated failures; excluded for a closed player;
// unavailable when too many passwords are being hashed.
func (s *Service) SignIn(ctx context.Context, c Credentials) (Session, string, error) {
	email, err := ParseEmail(c.Email)
	if err != nil {
		return Session{}, "", errWrongCredentials // nobody can have it, so there is nothing to hide
	}
	found, err := s.store.findAccount(ctx, c.Jurisdiction, email)
	if err != nil {
		return Session{}, "", fmt.Errorf("sign in: %w", err)
	}
	proof, err := s.prove(ctx, s.playerAttempt(c.Jurisdiction, email), found.hash, c.Password)
	if err != nil {
		return Session{}, "", fmt.Errorf("sign in: %w", err)
	}
	if found.status == StatusClosed {
		return Session{}, "", errs.New(errs.CodeExcluded, "this account is closed")
	}
	now := s.clock.Now()
	session := Session{
		ID: s.ids.New(id.KindSession), Player: found.player, Status: found.status, Jurisdiction: c.Jurisdiction,
		CreatedAt: now, ExpiresAt: now.Add(s.config.SessionTTL), PreviousSignIn: found.lastSignIn,
	}
	return s.open(ctx, session, proof)
}

// SignInStaff opens a session for a member of staff; it is shorter than a player's. Errors are
// those of SignIn.
func (s *Service) SignInStaff(ctx context.Context, name, password string) (Session, string, error) {
	var check errs.Check
	if checkStaffName(&check, name); check.Err() != nil {
		return Session{}, "", errWrongCredentials
	}
	found, err := s.store.findStaff(ctx, name)
	if err != nil {
		return Session{}, "", fmt.Errorf("sign in staff: %w", err)
	}
	proof, err := s.prove(ctx, s.staffAttempt(name), found.hash, password)
	if err != nil {
		return Session{}, "", fmt.Errorf("sign in staff: %w", err)
	}
	now := s.clock.Now()
	session := Session{
		ID: s.ids.New(id.KindSession), Staff: name, Role: found.role, Jurisdictions: found.jurisdictions,
		CreatedAt: now, ExpiresAt: now.Add(s.config.StaffSessionTTL), PreviousSignIn: found.lastSignIn,
	}
	return s.open(ctx, session, proof)
}

// attempt is one try to sign in, before it is known whether the password is right.
type attempt struct {
	subject      [sha256.Size]byte
	kind         string
	jurisdiction string // for metrics: empty for staff, who have several, and for one that is not served
	lockTime     func(failures int) time.Duration
}

func (s *Service) playerAttempt(j id.Jurisdiction, email string) attempt {
	a := attempt{subject: subject(kindPlayer, string(j), email), kind: kindPlayer, lockTime: s.lockTime}
	now := s.clock.Now()
	if _, err := s.rules.OldEnough(j, now, now); err == nil { // anything may be asked for, labels are bounded
		a.jurisdiction = string(j)
	}
	return a
}

func (s *Service) staffAttempt(name string) attempt {
	return attempt{subject: subject(kindStaff, name), kind: kindStaff, lockTime: s.staffLockTime}
}

// subject names who is trying to sign in, without keeping the address.
func subject(parts ...string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join(parts, "\x00")))
}

// proof is a password that was right.
type proof struct {
	subject [sha256.Size]byte
	oldHash string // as it was checked: a password changed meanwhile makes the proof void
	newHash string // the same, or hashed again because the cost has changed
}

// prove checks a password. With no stored hash it does the same work on a decoy and fails alike.
// The lock is read after the caller's turn to hash has come, so that guesses sent at the same
// moment cannot all pass it before the first of them is counted.
func (s *Service) prove(ctx context.Context, a attempt, stored, password string) (proof, error) {
	if err := s.hasher.enter(ctx); err != nil {
		return proof{}, err
	}
	defer s.hasher.leave()
	until, err := s.store.lockedUntil(ctx, a.subject)
	if err != nil {
		return proof{}, err
	}
	if wait := until.Sub(s.clock.Now()); wait > 0 {
		s.metrics.signIns.WithLabelValues(a.jurisdiction, a.kind, "locked").Inc()
		return proof{}, &errs.Error{Code: errs.CodeRateLimited, Detail: "too many failed sign-ins, wait before the next", RetryAfter: wait}
	}
	known, hash := stored != "", s.hasher.decoy
	if known {
		if hash, err = parsePasswordHash(stored); err != nil {
			return proof{}, fmt.Errorf("stored password: %w", err)
		}
	}
	if len(password) > maxPasswordBytes {
		password = "" // bounds the work; too short to be anybody's
	}
	if !hash.matches(password) || !known {
		return proof{}, s.countFailure(ctx, a)
	}
	p := proof{subject: a.subject, oldHash: stored, newHash: stored}
	if hash.cost != s.hasher.cost {
		p.newHash = hashPassword(password, s.hasher.cost).String()
	}
	return p, nil
}

// countFailure stores one more failure, even for a caller who has hung up: otherwise guessing
// without waiting for the answer would cost nothing.
func (s *Service) countFailure(ctx context.Context, a attempt) error {
	s.metrics.signIns.WithLabelValues(a.jurisdiction, a.kind, "wrong").Inc()
	now := s.clock.Now()
	forgetBefore := now.Add(-s.config.FailureMemory)
	failures, err := s.store.addFailure(context.WithoutCancel(ctx), a.subject, now, forgetBefore, a.lockTime)
	if err != nil {
		return err
	}
	if a.lockTime(failures) > 0 {
		s.log.WarnContext(ctx, "sign-in locked", "kind", a.kind, "failures", failures)
	}
	return errWrongCredentials
}

// lockTime returns how long a number of failures in a row locks a player's next try out.
func (s *Service) lockTime(failures int) time.Duration {
	over := failures - s.config.LockAfter
	if over < 0 {
		return 0
	}
	lock := s.config.LockFirst
	for range over {
		if lock >= s.config.LockMost {
			break
		}
		lock *= 2
	}
	return min(lock, s.config.LockMost)
}

// staffLockTime is lockTime for staff: as long each time, and after a lock the count starts anew, so
// that a single try at the end of each lock cannot keep the only member of staff out.
func (s *Service) staffLockTime(failures int) time.Duration {
	if failures%s.config.StaffLockAfter != 0 {
		return 0
	}
	return s.config.StaffLock
}

// open stores a session and returns it with its token.
func (s *Service) open(ctx context.Context, session Session, p proof) (Session, string, error) {
	token, hash := newToken()
	dropped, err := s.store.insertSession(ctx, hash, session, p, s.config.MaxSessions)
	if err != nil {
		return Session{}, "", fmt.Errorf("open session: %w", err)
	}
	s.cache.drop(dropped)
	kind := kindPlayer
	if session.IsStaff() {
		kind = kindStaff
	}
	s.metrics.signIns.WithLabelValues(string(session.Jurisdiction), kind, "ok").Inc()
	return session, token, nil
}

var errNoSession = errs.New(errs.CodeUnauthenticated, "no valid session")

// Authenticate returns the open session of a token, with the player's present status. It is called
// for every request: a session in memory costs about a microsecond.
//
// Errors: unauthenticated for a token that is unknown, revoked, expired or no token at all.
func (s *Service) Authenticate(ctx context.Context, token string) (Session, error) {
	if len(token) != tokenChars {
		return Session{}, errNoSession
	}
	hash, now := hashToken(token), s.clock.Now()
	session, ok, generation := s.cache.find(hash, now)
	if ok {
		s.metrics.foundInMemory.Inc()
		return session, nil
	}
	session, ok, err := s.store.findSession(ctx, hash)
	if err != nil {
		return Session{}, fmt.Errorf("authenticate: %w", err)
	}
	if !ok || !now.Before(session.ExpiresAt) {
		s.metrics.foundNowhere.Inc()
		return Session{}, errNoSession
	}
	s.metrics.foundInDatabase.Inc()
	s.cache.put(hash, session, generation)
	return session, nil
}

// SignOut revokes the session of a token; a token without session is fine.
func (s *Service) SignOut(ctx context.Context, token string) error {
	hash := hashToken(token)
	if err := s.store.deleteSession(ctx, hash); err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	s.cache.drop([]tokenHash{hash})
	return nil
}

// SignOutAll revokes every session of a player.
func (s *Service) SignOutAll(ctx context.Context, p id.Player) error {
	hashes, err := s.store.deleteSessions(ctx, p)
	if err != nil {
		return fmt.Errorf("sign out player %s everywhere: %w", p, err)
	}
	s.cache.drop(hashes)
	return nil
}
