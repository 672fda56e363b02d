package mariadb

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
)

// T is what this package needs of a test; a testing.TB has it.
type T interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// shared is the server of [Shared].
var shared struct {
	mu     sync.Mutex
	server *Server
}

// Shared returns the one server that the tests of a process share; each test takes databases of its
// own. It ends with the process; a TestMain that calls [Cleanup] leaves no folder behind.
func Shared(t T) *Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		shared.server = New(t, Options{})
	}
	return shared.server
}

// New starts a server for a test; where MariaDB is missing the test is skipped, or fails if the
// environment says CI=true. With -short the test is skipped: a server takes seconds of a slow machine.
// The caller stops it.
func New(t T, o Options) *Server {
	t.Helper()
	if short() {
		t.Skipf("starts a MariaDB server: left out with -short")
	}
	s, err := Start(context.WithoutCancel(t.Context()), o)
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CI") != "true":
		t.Skipf("skipped: %v", err)
	case err != nil:
		t.Fatalf("start MariaDB: %v", err)
	}
	return s
}

// short says whether go test runs with -short; package testing stays out of the binary of production,
// which starts servers too.
func short() bool {
	f := flag.Lookup("test.short")
	return f != nil && f.Value.String() == "true"
}

// Database returns a fresh name; the databases whose names begin with it and an underscore are
// dropped at the test's end.
func (s *Server) Database(t T) string {
	t.Helper()
	name := fmt.Sprintf("t%d", s.number.Add(1))
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := s.dropAll(ctx, name); err != nil && s.running() {
			t.Fatalf("drop databases %s_*: %v", name, err)
		}
	})
	return name
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.command != nil
}

// dropAll drops the databases of a prefix.
func (s *Server) dropAll(ctx context.Context, name string) error {
	const q = `
		SELECT schema_name
		FROM information_schema.schemata
		WHERE schema_name LIKE ?`
	rows, err := s.admin.QueryContext(ctx, q, name+`\_%`)
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var list []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return fmt.Errorf("list databases: %w", err)
		}
		list = append(list, one)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	for _, one := range list {
		if _, err := s.admin.ExecContext(ctx, "DROP DATABASE `"+strings.ReplaceAll(one, "`", "``")+"`"); err != nil {
			return fmt.Errorf("drop %s: %w", one, err)
		}
	}
	return nil
}
