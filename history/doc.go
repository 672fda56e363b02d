// Package history keeps every player's bets for reading: filtered, paged, summed up, exported. It is a
// projection of the ledger's log, one database per ledger shard, a SQLite file or a database of a
// cluster, and can be deleted at any time: it fills itself again from the log.
//
// Invariants:
//   - A bet is shown exactly as the log's records up to the shard's position say.
//   - A row changes only for a later sequence and a higher settlement version.
//   - A read names player and jurisdiction; a bet of another one is not found.
//   - A placement is written once, to the end of a table; a settlement rewrites one narrow row.
//   - What is shown and how far it is shown change in one DBTx. On a cluster that holds for each of a
//     shard's writers, and the shard is as far as the last of them.
//   - A bet is shown for as long as its jurisdiction asks, and while it is open; then it is over for good.
//   - A summary is the sum of the player's bets at one moment, whether a digest was made before or not.
//
// Not guaranteed: a position common to several shards; durability of its own after a power loss,
// since what is lost is read again.
package history
