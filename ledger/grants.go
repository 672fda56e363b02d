package ledger

import (
	"cmp"
	"fmt"

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

// Grants returns the statements that give the accounts of the config's clusters the rights of their
// roles, and no more, by cluster. The accounts exist already. Run the migrators' first and start the
// process once with them, or run `matchday up` as the migrator: rights on a table need the table.
func Grants(c Config, host string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, one := range c.Clusters {
		list, err := one.grants(host, one.Name == c.Directory.Cluster)
		if err != nil {
			return nil, err
		}
		out[one.Name] = list
	}
	return out, nil
}

// grants returns the rights on one cluster: first those on all tables, then those on single ones.
func (c *Cluster) grants(host string, hasDirectory bool) ([]string, error) {
	numbers, err := c.Shards.Numbers()
	if err != nil {
		return nil, err
	}
	all := "`" + c.Database + "\\_%`.*"
	account := func(user string) string { return fmt.Sprintf("'%s'@'%s'", cmp.Or(user, c.User), host) }
	out := []string{
		fmt.Sprintf("GRANT CREATE, ALTER, INDEX, SELECT, INSERT ON %s TO %s", all, account(c.Migrator)),
		fmt.Sprintf("GRANT SELECT ON %s TO %s", all, account(c.Reader)),
		fmt.Sprintf("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO %s", account(c.Capture)),
		fmt.Sprintf("GRANT SELECT, INSERT ON %s TO %s", all, account(c.User)),
	}
	writer := func(right, database string, tables []string) {
		for _, table := range tables {
			out = append(out, fmt.Sprintf("GRANT %s ON %s.%s TO %s", right, mysqldb.Quote(database), mysqldb.Quote(table), account(c.User)))
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
