package player

import (
	"context"
	"fmt"
	"slices"

	"matchday/errs"
	"matchday/id"
)

// AddStaff makes or replaces a staff account: password, role and jurisdictions become those given,
// and its open sessions end. An account that is already so is left alone with its sessions, so that
// it may be set up at every start.
//
// Errors: invalid with every field at fault; unavailable when too many passwords are being hashed.
func (s *Service) AddStaff(ctx context.Context, a StaffAccount) error {
	orDefault(&a.Role, RoleOperator)
	if err := a.validate(); err != nil {
		return err
	}
	same, err := s.isSameStaff(ctx, a)
	if err != nil || same {
		return err
	}
	hash, err := s.hasher.hash(ctx, a.Password)
	if err != nil {
		return fmt.Errorf("add staff: %w", err)
	}
	sessions, err := s.store.putStaff(ctx, a, hash, s.clock.Now())
	if err != nil {
		return fmt.Errorf("add staff: %w", err)
	}
	s.cache.drop(sessions)
	s.log.InfoContext(ctx, "staff account set", "staff", a.Name, "role", a.Role.String())
	return nil
}

func (a StaffAccount) validate() error {
	var check errs.Check
	checkStaffName(&check, a.Name)
	checkPassword(&check, a.Password, a.Name)
	if a.Role < RoleViewer || a.Role > RoleAdmin {
		check.Add("role", "is unknown")
	}
	if n := len(a.Jurisdictions); n < 1 || n > maxPage {
		check.Add("jurisdictions", "needs 1 to %d entries", maxPage)
	}
	return check.Err()
}

// isSameStaff reports whether the account exists exactly as given, at today's hashing cost.
func (s *Service) isSameStaff(ctx context.Context, a StaffAccount) (bool, error) {
	found, err := s.store.findStaff(ctx, a.Name)
	if err != nil {
		return false, fmt.Errorf("add staff: %w", err)
	}
	if found.hash == "" || found.role != a.Role || !slices.Equal(found.jurisdictions, sorted(a.Jurisdictions)) {
		return false, nil
	}
	hash, err := parsePasswordHash(found.hash)
	if err != nil {
		return false, nil // damaged: replacing it is the remedy
	}
	if err := s.hasher.enter(ctx); err != nil {
		return false, fmt.Errorf("add staff: %w", err)
	}
	defer s.hasher.leave()
	return hash.cost == s.hasher.cost && hash.matches(a.Password), nil
}

func sorted(list []id.Jurisdiction) []id.Jurisdiction {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
