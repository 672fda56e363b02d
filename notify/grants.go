package notify

import "matchday/internal/mysqldb"

// What the writer does with the tables besides inserting.
var (
	updated = []string{"subscription", "delivery", "sink_position", "tenure"}
	deleted = []string{"subscription", "delivery"}
)

// Grants returns a script for the administrator of the cluster of webhooks that gives the config's accounts the
// rights of their roles and no more; "" if webhooks are in a file. It runs at once, before there is any table,
// and does no harm when it is run again. Host is where the accounts connect from.
func Grants(c Config, host string) string {
	if !c.isOnCluster() {
		return ""
	}
	one, database := c.Cluster, databaseOf(c.Cluster)
	r := mysqldb.NewRights(one, host)
	r.OnDatabase(one.Migrator, "CREATE, ALTER, DROP, INDEX, SELECT, INSERT, UPDATE, DELETE", database)
	r.OnDatabase(one.Reader, "SELECT", database)
	r.OnDatabase(one.User, "SELECT, INSERT", database)
	r.OnTables("UPDATE", database, updated)
	r.OnTables("DELETE", database, deleted)
	return r.Script("webhooks", one.User, one.Reader, one.Migrator)
}
