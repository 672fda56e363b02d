package ledger

import (
	"fmt"
	"strings"

	"matchday/id"
	"matchday/money"
)

// readBuckets reads which buckets the shard serves, and checks that no other shard serves one too.
func (a *auditor) readBuckets() error {
	list, err := bucketsOn(a.ctx, a.on)
	if err != nil {
		return err
	}
	if a.report.homes == nil {
		a.report.homes = map[int]int{}
	}
	for b := range a.away {
		a.away[b] = len(list) > 0 // books from before buckets could move say nothing of them
	}
	for _, r := range list {
		if r.state != bucketLive && r.state != bucketFenced {
			continue
		}
		a.away[r.bucket] = false
		if other, ok := a.report.homes[r.bucket]; ok {
			return found("a bucket lives on one shard", "bucket", fmt.Sprintf("bucket %d", r.bucket), fmt.Sprintf("shard %d", other), fmt.Sprintf("shard %d", a.shard))
		}
		a.report.homes[r.bucket] = a.shard
	}
	return nil
}

// isAway reports whether the player's accounts here are copies. A house account is never one.
func (a *auditor) isAway(p id.Player) bool { return p != "" && a.away[bucketOf(p)] }

// elsewhereOf returns which type of account an elsewhere account balances; 0 for other accounts.
func elsewhereOf(address string) accountType {
	rest, ok := strings.CutPrefix(address, "elsewhere/")
	if !ok {
		return 0
	}
	name, _, _ := strings.Cut(rest, "/")
	return playerRole(name)
}

// movedSums are the balances of copied accounts, with those of the elsewhere accounts that balance
// them, by type, jurisdiction and currency: each must be zero.
type movedSums map[movedGroup]int64

type movedGroup struct {
	kind                   accountType
	jurisdiction, currency uint8
}

// add adds the last balance of an account.
func (m *movedSums) add(a auditAccount, balance int64) {
	if *m == nil {
		*m = movedSums{}
	}
	switch {
	case a.of != 0:
		(*m)[movedGroup{a.of, a.jurisdiction, a.currency}] += balance
	case a.away:
		(*m)[movedGroup{a.kind, a.jurisdiction, a.currency}] += balance
	}
}

// checkElsewhere checks that accounts kept as copies count for nothing.
func (a *auditor) checkElsewhere() error {
	for group, sum := range a.moved {
		if sum != 0 {
			address := elsewhere(group.kind, id.Jurisdiction(a.nameOf(group.jurisdiction)), money.Currency(a.nameOf(group.currency)))
			return found("copied accounts are balanced elsewhere", "account", string(address), 0, sum)
		}
	}
	return nil
}
