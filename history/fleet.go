package history

import (
	"context"
	"errors"
	"fmt"

	"matchday/internal/mysqldb"
	"matchday/ledger"
)

// fleet is the clusters that shards are on, by shard.
type fleet map[int]*mysqldb.Cluster

// openFleet opens every cluster.
func openFleet(ctx context.Context, list []ledger.Cluster, d mysqldb.Deps) (fleet, error) {
	f := fleet{}
	for _, one := range list {
		numbers, err := one.Shards.Numbers()
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		opened, err := mysqldb.Open(ctx, one.Config, d)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open cluster %s: %w", one.Name, err), f.close())
		}
		for _, n := range numbers {
			f[n] = opened
		}
	}
	return f, nil
}

// close closes every cluster. It may be called twice.
func (f fleet) close() error {
	var list []error
	for _, c := range f {
		list = append(list, c.Close())
	}
	return errors.Join(list...)
}
