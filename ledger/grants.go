package ledger

import (
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
func Grants(c Config, host string) (string, error) {
	var out strings.Builder
	for _, one := range c.Clusters {
		rights, err := one.rights(host, one.Name == c.Directory.Cluster)
		if err != nil {
			return "", err
		}
		out.WriteString(rights.Script(one.Name, one.User, one.Reader, one.Migrator, one.Capture))
	}
	return out.String(), nil
}

// rights are those on one cluster: first on all tables, then on single ones.
func (c *Cluster) rights(host string, hasDirectory bool) (*mysqldb.Rights, error) {
	numbers, err := c.Shards.Numbers()
	if err != nil {
		return nil, err
	}
	r := mysqldb.NewRights(c.Config, host)
	r.OnAll(c.Migrator, "CREATE, ALTER, INDEX, SELECT, INSERT")
	r.OnAll(c.Reader, "SELECT")
	r.OnServer(c.Capture, "REPLICATION SLAVE, REPLICATION CLIENT")
	r.OnAll(c.User, "SELECT, INSERT")
	for _, n := range numbers {
		r.OnTables("UPDATE", c.DatabaseOf(n), updated)
	}
	if hasDirectory {
		r.OnTables("UPDATE", directoryDatabase(c.Database), directoryUpdated)
		r.OnTables("DELETE", directoryDatabase(c.Database), directoryDeleted)
	}
	return r, nil
}
