package ledger

import (
	"cmp"
	"fmt"

	"matchday/internal/mysqldb"
)

// updated are the tables whose rows change; all others are append-only, and nobody may change or
// delete in them.
var updated = []string{"shard", "hold", "bucket", "bucket_share", "grp"}

// Grants returns the statements that give each of the cluster's accounts the rights of its role, and
// no more. The accounts exist already. Run the migrator's first and start the process once with it,
// or run `matchday up` as the migrator: rights on a table need the table.
func Grants(c Cluster, host string) ([]string, error) {
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
	for _, n := range numbers {
		for _, table := range updated {
			out = append(out, fmt.Sprintf("GRANT UPDATE ON %s.%s TO %s", mysqldb.Quote(c.DatabaseOf(n)), mysqldb.Quote(table), account(c.User)))
		}
	}
	return out, nil
}
