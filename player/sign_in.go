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
	proof, err := s.prove(ctx, kindPlayer, subject(kindPlayer, string(c.Jurisdiction), email), found.hash, c.Password)
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
	proof, err := s.prove(ctx, kindStaff, subject(kindStaff, name), found.hash, password)
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
func (s *Service) prove(ctx context.Context, kind string, subject [sha256.Size]byte, stored, password string) (proof, error) {
	if err := s.hasher.enter(ctx); err != nil {
		return proof{}, err
	}
	defer s.hasher.leave()
	until, err := s.store.lockedUntil(ctx, subject)
	if err != nil {
		return proof{}, err
	}
	if wait := until.Sub(s.clock.Now()); wait > 0 {
		s.metrics.signIns.WithLabelValues(kind, "locked").Inc()
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
		return proof{}, s.countFailure(ctx, kind, subject)
	}
	p := proof{subject: subject, oldHash: stored, newHash: stored}
	if hash.cost != s.hasher.cost {
		p.newHash = hashPassword(password, s.hasher.cost).String()
	}
	return p, nil
}

// countFailure stores one more failure, even for a caller who has hung up: otherwise guessing
// without waiting for the answer would cost nothing.
func (s *Service) countFailure(ctx context.Context, kind string, subject [sha256.Size]byte) error {
	s.metrics.signIns.WithLabelValues(kind, "wrong").Inc()
	now := s.clock.Now()
	forgetBefore := now.Add(-s.config.FailureMemory)
	failures, err := s.store.addFailure(context.WithoutCancel(ctx), subject, now, forgetBefore, s.lockTime)
	if err != nil {
		return err
	}
	if failures >= s.config.LockAfter {
		s.log.WarnContext(ctx, "sign-in locked", "kind", kind, "failures", failures)
	}
	return errWrongCredentials
}

// lockTime returns how long a number of failures in a row locks the next try out.
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
	s.metrics.signIns.WithLabelValues(kind, "ok").Inc()
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
