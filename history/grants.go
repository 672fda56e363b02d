package history

import (
	"slices"
	"strings"

	"matchday/internal/mysqldb"
	"matchday/ledger"
)

// What the writer does with the tables of a shard besides inserting. A slip, a settlement and a note never
// change: they come, and go when they are over or their player has moved. Nobody touches what the migrator
// noted.
var (
	updated = []string{"bet", "digest", "sink_position", "fill", "tenure"}
	deleted = []string{"slip", "bet", "bet_change", "left_bucket", "sink_position", "kept_from", "digest", "digested", "digest_zone", "outline", "digest_ask", "fill"}
)

// Grants returns a script for the administrator of the databases of the history's clusters, those of a second
// history too, that gives the config's accounts the rights of their roles and no more. It runs at once,
// before there is any table, and does no harm when it is run again. Host is where the accounts connect
// from.
func Grants(c Config, host string) (string, error) {
	var out strings.Builder
	for _, one := range slices.Concat(c.Clusters, c.Next.Clusters) {
		rights, err := rightsOn(one, host)
		if err != nil {
			return "", err
		}
		out.WriteString(rights.Script(one.Name+" (history)", one.User, one.Reader, one.Migrator))
	}
	if one, ok := c.deskCluster(); ok && c.Next.Dir != "" {
		r, database := mysqldb.NewRights(one.Config, host), deskDatabase(one.Config)
		r.OnTables("UPDATE", database, []string{"choice"})
		r.OnTables("DELETE", database, []string{"report", "look"})
		out.WriteString(r.Script(one.Name+" (choices about a second history)", one.User))
	}
	return out.String(), nil
}

// rightsOn are those on one cluster. The migrator makes and drops months besides, and its migrations empty
// tables, because a history fills itself again; the log is read through the streams, so nobody captures.
func rightsOn(c ledger.Cluster, host string) (*mysqldb.Rights, error) {
	numbers, err := c.Shards.Numbers()
	if err != nil {
		return nil, err
	}
	r := mysqldb.NewRights(c.Config, host)
	r.OnAll(c.Migrator, "CREATE, ALTER, DROP, INDEX, SELECT, INSERT, UPDATE, DELETE")
	r.OnAll(c.Reader, "SELECT")
	r.OnAll(c.User, "SELECT, INSERT")
	for _, n := range numbers {
		r.OnTables("UPDATE", c.DatabaseOf(n), updated)
		r.OnTables("DELETE", c.DatabaseOf(n), deleted)
	}
	return r, nil
}
