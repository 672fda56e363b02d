package app

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// StaffName is the name of the generated staff account.
const StaffName = "staff"

// Secrets are generated once for a data folder and kept in its file secrets.json, readable by its
// owner only. They work while generated_access is on; an operator turns it off and configures the
// sections staff and api.keys instead.
type Secrets struct {
	StaffPassword string `json:"staff_password"`
	ServiceKey    string `json:"service_key"` // of the service "local", which may use /v1/ledger
}

// loadSecrets reads the data folder's secrets, or makes them.
func loadSecrets(data string) (Secrets, error) {
	path := filepath.Join(data, "secrets.json")
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		var s Secrets
		if err := json.Unmarshal(text, &s); err != nil || s.StaffPassword == "" || s.ServiceKey == "" {
			return Secrets{}, fmt.Errorf("%s is damaged; move it away to have new secrets made", path)
		}
		return s, nil
	case !errors.Is(err, fs.ErrNotExist):
		return Secrets{}, fmt.Errorf("read secrets: %w", err)
	}
	s := Secrets{StaffPassword: randomWord(20), ServiceKey: "mdk_" + randomWord(40)}
	text, err = json.MarshalIndent(s, "", "  ")
	if err != nil {
		return Secrets{}, fmt.Errorf("write secrets: %w", err)
	}
	// Written beside and renamed, so that a crash leaves either no file or a whole one.
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return Secrets{}, fmt.Errorf("write secrets: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return Secrets{}, fmt.Errorf("write secrets: %w", err)
	}
	return s, nil
}

// randomWord returns n characters of lower-case base32: 5 random bits each.
func randomWord(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // crypto/rand.Read never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw))[:n]
}

// ReadSecrets returns the secrets of the data folder; it makes none.
func ReadSecrets(data string) (Secrets, error) {
	path := filepath.Join(data, "secrets.json")
	if _, err := os.Stat(path); err != nil {
		return Secrets{}, fmt.Errorf("read secrets: %w", err)
	}
	return loadSecrets(data)
}
