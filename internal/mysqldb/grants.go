package mysqldb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Rights is what one account needs on the databases of a cluster: some things everywhere, some on single
// tables. A right on a table that is not there yet can only be given together with CREATE, and is: the
// right to create a table that exists lets nobody do anything.
type Rights struct {
	config Config
	host   string
	out    []string
}

// NewRights begins a script for the cluster's accounts, which connect from host as MySQL writes it.
func NewRights(c Config, host string) *Rights { return &Rights{config: c, host: host} }

// OnAll gives an account, the writing one if it is not named, rights on every database of the cluster. An
// underscore is a wildcard in the name of a database here, unless it is escaped.
func (r *Rights) OnAll(user, rights string) {
	all := "`" + strings.ReplaceAll(r.config.Database+"_", "_", "\\_") + "%`.*"
	r.give(rights, all, user)
}

// OnDatabase gives an account, the writing one if it is not named, rights on one database.
func (r *Rights) OnDatabase(user, rights, database string) {
	r.give(rights, "`"+strings.ReplaceAll(database, "_", "\\_")+"`.*", user)
}

// OnServer gives an account rights that belong to no database.
func (r *Rights) OnServer(user, rights string) { r.give(rights, "*.*", user) }

// OnTables gives the writing account a right on single tables of a database.
func (r *Rights) OnTables(right, database string, tables []string) {
	for _, table := range tables {
		r.give("CREATE, "+right, Quote(database)+"."+Quote(table), r.config.User)
	}
}

func (r *Rights) give(rights, on, user string) {
	r.out = append(r.out, fmt.Sprintf("GRANT %s ON %s TO %s", rights, on, grantee(cmp.Or(user, r.config.User), r.host)))
}

// Script returns the statements for an administrator to run, under the cluster's name, which say first what
// accounts there must be. It runs before there is any table, and does no harm when it is run again.
func (r *Rights) Script(cluster string, users ...string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "-- Cluster %s. The accounts must exist; where they do not, make them first, each with its password:\n", cluster)
	var named []string
	for _, user := range users {
		if user != "" && !slices.Contains(named, user) {
			named = append(named, user)
			fmt.Fprintf(&out, "--   CREATE USER %s IDENTIFIED BY '...';\n", grantee(user, r.host))
		}
	}
	for _, statement := range r.out {
		out.WriteString(statement + ";\n")
	}
	return out.String()
}

// grantee writes an account as SQL has it.
func grantee(user, host string) string {
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	return quoted(user) + "@" + quoted(host)
}
