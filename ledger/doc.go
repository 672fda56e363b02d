// Package ledger keeps the money: accounts, transfers, holds and the log of everything that
// happened to them, in shards with one writer each.
//
// # Chart of accounts
//
// Player accounts are credit-normal: positive is what the house owes the player. Product is a name
// such as sportsbook.
//
//	player/{player}/{jurisdiction}/cash         the player's own money; never below zero available
//	player/{player}/{jurisdiction}/withdrawing  on its way out; never below zero
//	player/{player}/{jurisdiction}/owed         what the player owes; never above zero
//	bets/{jurisdiction}/{product}               escrow of open stakes
//	revenue/{jurisdiction}/{product}            settled stakes less payouts, and what rounding leaves
//	psp/{provider}/{jurisdiction}               money at a payment provider; normally negative
//	adjustments/{jurisdiction}                  counter-account of corrections by staff
//	transit/{jurisdiction}                      on its way between players of a group
//
// House accounts exist once per shard, so that every transfer stays on the shard of its player; the
// balance of a house account is the sum over the shards. Which kind of transfer may debit and credit
// which type of account is the table in kind.go.
//
// # Invariants
//
//   - The postings of a transfer are in one currency and one jurisdiction and sum to zero.
//   - A balance is the sum of its account's postings, and each posting keeps the balance after it.
//   - Cash and withdrawing are never below zero available (posted less held), unless the account has
//     limits that say otherwise; owed is never above zero.
//   - The transfers of a group all commit or none, also on several shards; once begun, a group ends.
//     Over all shards the transits sum to zero when no group is open.
//   - Limits and metadata of accounts change by rows of the log only.
//   - The sequences of a shard's log have no gap. A refusal is part of the log.
//   - A key is answered once: the same request gets the first answer again for ever, refusals
//     included; another request is a conflict and changes nothing.
//   - A transfer and its record commit together or not at all.
//   - A hold ends once. It ends at its expiry by the shard's clock even if nobody looks: a debit that
//     needs the money ends it first.
//   - Every batch is sealed with a hash over its rows and the seal before it.
//   - Only the writer with the highest epoch can commit.
//   - An answer is given only when what it says is on disk.
//
// [Audit] proves all of these from the files, except the last two.
//
// # Where a shard lives
//
// In a SQLite file in the folder, or in a database of a MySQL-protocol cluster ([Cluster]); one
// service may mix them. All shards of a cluster share its connections, at most MaxConns (16) for
// writing and as many for reading to each node, so hundreds of shards may live on one server. A
// shard's own memory is its queues, its cached accounts and its last batches: a few MiB.
//
// A database that is lost is waited for (Config.FailoverWait) while the callers wait, and a commit
// of unknown outcome is settled by what its log says. A log that lacks commits which were answered
// is written by nobody until it has them again or an operator gives them up, see [AcceptLoss].
//
// # Errors
//
//   - invalid: the transfer is wrong; or its account has another currency. Nothing is stored.
//   - insufficient_funds, limit_reached: refused by the balances or the account's limits. Stored, final
//     under the key.
//   - excluded: the account is frozen. Stored, final under the key.
//   - linked_failed: another transfer of the group was refused. Stored, final under the key.
//   - conflict: the key was used for another request, or the hold has ended. Nothing is stored.
//   - not_found: there is no such hold (of this player). Nothing is stored.
//   - too_large: a call with too many transfers.
//   - unavailable: overload, time-out, shutdown, lost shard, or the database cannot write. With
//     [ErrNotTaken] in its chain nothing was done; otherwise the outcome is open: ask again with the
//     same key.
//
// # Not guaranteed
//
//   - Atomicity across the transfers of one [Service.CommitBatch]; [Service.CommitGroup] has it.
//   - That readers of two shards see a group on both at the same moment.
//   - An order between transfers of concurrent calls.
//   - That an audit notices a log cut off at its end: heads must be kept elsewhere for that.
//   - That a caller of the same Go process leaves alone what it shares: record payloads passed in
//     and read out must not be changed.
package ledger
