package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"matchday/internal/mysqldb"
)

// updated are a shard's tables whose rows change; all others are append-only, and nobody may change or
// delete in them.
var updated = []string{"shard", "hold", "bucket", "bucket_share", "grp"}

// directoryUpdated and directoryDeleted are the tables of the directory, of which the same is true.
var (
	directoryUpdated = []string{"placement", "bucket", "shard", "process", "move"}
	directoryDeleted = []string{"process", "replica"}
)

// Grants returns a script for the administrator of the clusters' databases, that gives the config's
// accounts the rights of their roles and no more. It runs at once, before there is any table, and does
// no harm when it is run again. Host is where the accounts connect from.
//
// A right on a table that is not there yet can only be given together with CREATE, and is: the right
// to create a table that exists lets nobody do anything.
func Grants(c Config, host string) (string, error) {
	var out strings.Builder
	for _, one := range c.Clusters {
		statements, err := one.grants(host, one.Name == c.Directory.Cluster)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "-- Cluster %s. The accounts must exist; where they do not, make them first, each with its password:\n", one.Name)
		for _, user := range one.accounts() {
			fmt.Fprintf(&out, "--   CREATE USER %s IDENTIFIED BY '...';\n", grantee(user, host))
		}
		for _, statement := range statements {
			out.WriteString(statement + ";\n")
		}
	}
	return out.String(), nil
}

// accounts returns the names of the cluster's accounts, once each.
func (c *Cluster) accounts() []string {
	var out []string
	for _, user := range []string{c.User, c.Reader, c.Migrator, c.Capture} {
		if user != "" && !slices.Contains(out, user) {
			out = append(out, user)
		}
	}
	return out
}

// grantee writes an account as SQL has it.
func grantee(user, host string) string {
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	return quoted(user) + "@" + quoted(host)
}

// grants returns the rights on one cluster: first those on all tables, then those on single ones.
// An underscore is a wildcard in the name of a database here, unless it is escaped.
func (c *Cluster) grants(host string, hasDirectory bool) ([]string, error) {
	numbers, err := c.Shards.Numbers()
	if err != nil {
		return nil, err
	}
	all := "`" + strings.ReplaceAll(c.Database+"_", "_", "\\_") + "%`.*"
	to := func(user string) string { return grantee(cmp.Or(user, c.User), host) }
	out := []string{
		fmt.Sprintf("GRANT CREATE, ALTER, INDEX, SELECT, INSERT ON %s TO %s", all, to(c.Migrator)),
		fmt.Sprintf("GRANT SELECT ON %s TO %s", all, to(c.Reader)),
		fmt.Sprintf("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO %s", to(c.Capture)),
		fmt.Sprintf("GRANT SELECT, INSERT ON %s TO %s", all, to(c.User)),
	}
	writer := func(right, database string, tables []string) {
		for _, table := range tables {
			out = append(out, fmt.Sprintf("GRANT CREATE, %s ON %s.%s TO %s", right, mysqldb.Quote(database), mysqldb.Quote(table), to(c.User)))
		}
	}
	for _, n := range numbers {
		writer("UPDATE", c.DatabaseOf(n), updated)
	}
	if hasDirectory {
		writer("UPDATE", directoryDatabase(c.Database), directoryUpdated)
		writer("DELETE", directoryDatabase(c.Database), directoryDeleted)
	}
	return out, nil
}
