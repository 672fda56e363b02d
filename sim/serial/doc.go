// Package serial decides whether a history of concurrent ledger operations is strictly serialisable:
// whether there is one order of all operations that explains every answer and in which no operation
// comes before another that had been answered when it was asked.
//
// A history is what callers saw: what each operation asked, when it was asked and answered, and the
// answer. Operations that nobody answered are part of it. They may have happened at any moment after
// they were asked, or not at all; asking again under the same key later tells which.
//
// Two checks, both must pass:
//   - Per player, the porcupine checker looks for an order that a ledger of one account, too simple to
//     be wrong, would answer the same way. An operation touches the accounts of one player only and
//     strict serialisability is a local property, so a history is sound if each player's part of it is.
//   - Per shard, positions are in the order of real time, for all players together, and no two transfers
//     have the same.
//
// Invariants: an operation whose outcome is unknown constrains nothing that it need not; a check that
// ran out of time is not a pass.
//
// Not checked: holds that expire (give them a far expiry), balances of house accounts, and the records of
// transfers; the audit and the log have those.
package serial
