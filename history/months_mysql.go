package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"matchday/internal/mysqldb"
)

// monthTables are the tables that a cluster keeps by month of placement, that of the bets last: a month is
// there as long as its bets are.
var monthTables = []string{"slip", "bet_change", "bet"}

const (
	monthsAhead = 3   // months that are made before anybody bets in them
	monthsMost  = 600 // partitions of a table; a month beyond has none of its own
	lastMonth   = "plast"
)

// makeMonths makes the months that are missing up to some ahead of now, in a history without any from the
// first on. A bet of a month that has no partition goes to the next one that is there: to the first if it is
// older than all, to the last if it is newer.
func (s *mysqlStore) makeMonths(ctx context.Context, now, first time.Time) error {
	upTo := monthOf(now) + monthsAhead
	for _, table := range monthTables {
		if err := s.makeMonthsOf(ctx, table, min(monthOf(first), monthOf(now)), upTo); err != nil {
			return fmt.Errorf("make months of %s: %w", table, err)
		}
	}
	return nil
}

// makeMonthsOf is makeMonths of one table. Another process may do the same at the same moment: what counts is
// that the months are there.
func (s *mysqlStore) makeMonthsOf(ctx context.Context, table string, first, upTo month) error {
	const tries = 3
	var problem error
	for range tries {
		have, err := s.months(ctx, table)
		if err != nil {
			return err
		}
		next := first
		if len(have) > 0 {
			next = have[len(have)-1] + 1
		}
		next = max(next, upTo-monthsMost+month(len(have))+1)
		if next > upTo {
			return nil
		}
		if problem = s.cluster.Alter(ctx, s.database, splitLast(table, next, upTo)); problem == nil {
			return nil
		}
	}
	return problem
}

// splitLast returns the statement that makes months of the last partition. It is quick while no bet is in
// there.
func splitLast(table string, next, upTo month) string {
	var q strings.Builder
	fmt.Fprintf(&q, "ALTER TABLE %s REORGANIZE PARTITION %s INTO (", table, lastMonth)
	for m := next; m <= upTo; m++ {
		fmt.Fprintf(&q, "PARTITION %s VALUES LESS THAN ('%s'),", m, (m + 1).first())
	}
	fmt.Fprintf(&q, "PARTITION %s VALUES LESS THAN (MAXVALUE))", lastMonth)
	return q.String()
}

// months returns the months that have a partition of their own, in order.
func (s *mysqlStore) months(ctx context.Context, table string) ([]month, error) {
	const q = `
		SELECT partition_name
		FROM information_schema.partitions
		WHERE table_schema = ?
		  AND table_name = ?
		ORDER BY partition_ordinal_position`
	pool, _, err := s.cluster.PrimaryReads(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := pool.QueryContext(ctx, q, s.database, table)
	if err != nil {
		return nil, mysqldb.Wrap("list months", err)
	}
	defer rows.Close()
	var out []month
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, mysqldb.Wrap("list months", err)
		}
		if m, ok := parseMonth(name); ok {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out, mysqldb.Wrap("list months", rows.Err())
}
