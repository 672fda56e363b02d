package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"matchday/errs"
	"matchday/id"
	"matchday/player"
)

// Words of generated_access.
const (
	AccessOn  = "on"  // the generated staff account and service key work
	AccessOff = "off" // only configured staff and keys have access
)

// StaffConfig is one staff account of an operator. The password is in a file of its own, read at
// the start; a changed file or entry changes the account. An entry that is taken out leaves its
// account behind: change the password first.
type StaffConfig struct {
	Name          string            `yaml:"name"`          // what they sign in with
	PasswordFile  string            `yaml:"password_file"` // its first line is the password
	Role          string            `yaml:"role"`          // viewer, operator (default) or admin
	Jurisdictions []id.Jurisdiction `yaml:"jurisdictions"` // where it may act; empty is everywhere
}

const (
	maxStaff        = 1_000
	maxPasswordFile = 4 << 10
)

// staffRoles are the roles by name.
var staffRoles = map[string]player.Role{
	"": player.RoleOperator, player.RoleViewer.String(): player.RoleViewer,
	player.RoleOperator.String(): player.RoleOperator, player.RoleAdmin.String(): player.RoleAdmin,
}

// hasGeneratedAccess reports whether the generated account and key work. Nothing set means no.
func (c Config) hasGeneratedAccess() bool { return c.GeneratedAccess == AccessOn }

// validateAccess checks generated_access and the staff section. Passwords are read at the start.
func (c Config) validateAccess() error {
	var check errs.Check
	if len(c.Staff) > maxStaff {
		check.Add("staff", "has %d entries, at most %d are supported", len(c.Staff), maxStaff)
	}
	var known []id.Jurisdiction
	for _, j := range c.Jurisdictions.Jurisdictions {
		known = append(known, j.Code)
	}
	seen := map[string]bool{}
	if c.hasGeneratedAccess() {
		seen[StaffName] = true
	}
	for i, s := range c.Staff {
		at := fmt.Sprintf("staff[%d].", i)
		switch name := strings.ToLower(s.Name); {
		case s.Name == "":
			check.Add(at+"name", "is required")
		case seen[name]:
			check.Add(at+"name", "%.40q is listed twice, or is the generated account", s.Name)
		default:
			seen[name] = true
		}
		if s.PasswordFile == "" {
			check.Add(at+"password_file", "is required")
		}
		if _, ok := staffRoles[s.Role]; !ok {
			check.Add(at+"role", "%.40q is unknown; want viewer, operator or admin", s.Role)
		}
		for _, j := range s.Jurisdictions {
			if !slices.Contains(known, j) {
				check.Add(at+"jurisdictions", "%.10q is not configured", j)
			}
		}
	}
	if c.GeneratedAccess != "" && c.GeneratedAccess != AccessOn && c.GeneratedAccess != AccessOff {
		check.Add("generated_access", "%.40q: want %s or %s", c.GeneratedAccess, AccessOn, AccessOff)
	}
	return check.Err()
}

// addStaff makes the accounts of the configuration, and the generated one where it is wanted.
func (a *App) addStaff(ctx context.Context) error {
	var all []id.Jurisdiction
	for _, j := range a.Jurisdictions.List() {
		all = append(all, j.Code)
	}
	accounts, err := a.Config.staffAccounts(all)
	if err != nil {
		return err
	}
	if a.Config.hasGeneratedAccess() {
		accounts = append(accounts, player.StaffAccount{Name: StaffName, Password: a.Secrets.StaffPassword, Role: player.RoleAdmin, Jurisdictions: all})
	} else if !slices.ContainsFunc(accounts, func(s player.StaffAccount) bool { return strings.EqualFold(s.Name, StaffName) }) {
		// A folder that once ran with it may still have the account: nobody knows its password now,
		// and changing it ends its sessions.
		accounts = append(accounts, player.StaffAccount{Name: StaffName, Password: randomWord(40), Role: player.RoleViewer, Jurisdictions: all})
	}
	for _, s := range accounts {
		if err := a.Players.AddStaff(ctx, s); err != nil {
			return fmt.Errorf("staff account %s: %w", s.Name, err)
		}
	}
	return nil
}

// staffAccounts returns the configured accounts with their passwords.
func (c Config) staffAccounts(all []id.Jurisdiction) ([]player.StaffAccount, error) {
	var accounts []player.StaffAccount
	for _, s := range c.Staff {
		password, err := readPassword(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("staff account %s: %w", s.Name, err)
		}
		account := player.StaffAccount{Name: s.Name, Password: password, Role: staffRoles[s.Role], Jurisdictions: s.Jurisdictions}
		if len(account.Jurisdictions) == 0 {
			account.Jurisdictions = all
		}
		accounts = append(accounts, account)
	}
	return accounts, nil
}

// readPassword returns the first line of a file.
func readPassword(path string) (password string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := io.ReadAll(io.LimitReader(f, maxPasswordFile))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
