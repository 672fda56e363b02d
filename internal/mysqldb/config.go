package mysqldb

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"matchday/errs"
)

// Config names a cluster. The zero value of every field but Nodes, Database and User is a safe
// default.
type Config struct {
	Nodes    []string `yaml:"nodes"`    // host:port of each; any of them may be the primary
	Database string   `yaml:"database"` // prefix: shard n lives in the database <prefix>_<n>

	User         string `yaml:"user"`          // writes; `matchday config grants` prints the rights of each account
	PasswordFile string `yaml:"password_file"` // file with its password; or
	PasswordEnv  string `yaml:"password_env"`  // environment variable with it

	Reader             string `yaml:"reader"`               // reads; "" is User
	ReaderPasswordFile string `yaml:"reader_password_file"` // as password_file
	ReaderPasswordEnv  string `yaml:"reader_password_env"`  // as password_env

	Migrator             string `yaml:"migrator"`               // creates databases and tables; "" is User
	MigratorPasswordFile string `yaml:"migrator_password_file"` // as password_file
	MigratorPasswordEnv  string `yaml:"migrator_password_env"`  // as password_env

	Capture             string `yaml:"capture"`               // reads the binlog; "" is User
	CapturePasswordFile string `yaml:"capture_password_file"` // as password_file
	CapturePasswordEnv  string `yaml:"capture_password_env"`  // as password_env

	Replication string        `yaml:"replication"` // semi_sync refuses a primary without it; "" is none
	TLS         string        `yaml:"tls"`         // off, preferred or verify; "" is preferred
	MaxConns    int           `yaml:"max_conns"`   // for writing and for reading, to each node, 0 is 16
	Timeout     time.Duration `yaml:"timeout"`     // after which a silent node is given up, 0 is 10 s
}

// The ways in which a commit reaches a second node.
const (
	ReplicationNone     = "none"
	ReplicationSemiSync = "semi_sync" // a commit is answered when a replica has it
)

var databaseName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Validate adds every field that is wrong, under the field's name. It connects to nothing and opens
// no file.
func (c Config) Validate(check *errs.Check, field string) {
	name := func(f string) string { return strings.TrimPrefix(field+"."+f, ".") }
	if len(c.Nodes) == 0 || len(c.Nodes) > 32 {
		check.Add(name("nodes"), "must name 1 to 32 nodes")
	}
	seen := map[string]bool{}
	for i, n := range c.Nodes {
		host, port, err := net.SplitHostPort(n)
		if err != nil || host == "" || port == "" {
			check.Add(fmt.Sprintf("%s[%d]", name("nodes"), i), "must be host:port")
		}
		if seen[n] {
			check.Add(fmt.Sprintf("%s[%d]", name("nodes"), i), "is there twice")
		}
		seen[n] = true
	}
	if !databaseName.MatchString(c.Database) {
		check.Add(name("database"), "must be 1 to 40 small letters, digits and underscores, a letter first")
	}
	if c.User == "" {
		check.Add(name("user"), "is required")
	}
	for _, s := range []secret{
		{name("password"), c.User, c.PasswordFile, c.PasswordEnv},
		{name("reader_password"), c.Reader, c.ReaderPasswordFile, c.ReaderPasswordEnv},
		{name("migrator_password"), c.Migrator, c.MigratorPasswordFile, c.MigratorPasswordEnv},
		{name("capture_password"), c.Capture, c.CapturePasswordFile, c.CapturePasswordEnv},
	} {
		s.validate(check)
	}
	switch c.Replication {
	case "", ReplicationNone, ReplicationSemiSync:
	default:
		check.Add(name("replication"), "must be %s or %s", ReplicationSemiSync, ReplicationNone)
	}
	if _, ok := tlsModes[c.TLS]; !ok {
		check.Add(name("tls"), "must be off, preferred or verify")
	}
	if c.MaxConns < 0 || c.MaxConns > 1000 {
		check.Add(name("max_conns"), "must be 0 to 1000")
	}
	if c.Timeout < 0 || c.Timeout > 0 && c.Timeout < time.Second || c.Timeout > time.Hour {
		check.Add(name("timeout"), "must be 0, or 1s to 1h")
	}
}

// secret is where the password of one account comes from.
type secret struct{ field, user, file, env string }

func (s secret) validate(check *errs.Check) {
	if s.file != "" && s.env != "" {
		check.Add(s.field+"_file", "and %s_env exclude each other", s.field)
	}
	if s.user == "" && (s.file != "" || s.env != "") {
		check.Add(s.field+"_file", "belongs to an account that is not named")
	}
}

// read returns the password; "" if there is none.
func (s secret) read() (string, error) {
	switch {
	case s.file != "":
		text, err := os.ReadFile(s.file)
		if err != nil {
			return "", fmt.Errorf("read %s_file: %w", s.field, err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	case s.env != "":
		text, ok := os.LookupEnv(s.env)
		if !ok {
			return "", errs.New(errs.CodeInvalid, "%s_env: %s is not set", s.field, s.env)
		}
		return text, nil
	}
	return "", nil
}

// tlsModes are the driver's names for ours.
var tlsModes = map[string]string{"": "preferred", "off": "false", "preferred": "preferred", "verify": "true"}

// WithDefaults returns the configuration with everything filled in that was left out: an account that is
// not named is the writing one.
func (c Config) WithDefaults() Config {
	c.Replication = cmp.Or(c.Replication, ReplicationNone)
	c.TLS = cmp.Or(c.TLS, "preferred")
	c.MaxConns, c.Timeout = c.maxConns(), c.timeout()
	return c
}

func (c Config) maxConns() int {
	if c.MaxConns == 0 {
		return 16
	}
	return c.MaxConns
}

func (c Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return 10 * time.Second
	}
	return c.Timeout
}

// DatabaseOf returns the database of a shard.
func (c Config) DatabaseOf(shard int) string { return fmt.Sprintf("%s_%d", c.Database, shard) }
