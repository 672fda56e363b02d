// Package faults breaks a ledger under load and counts what it cost: writer processes killed, hung and
// cut off, disks full, databases killed and promoted. For each fault it reports how long the ledger was away, and proves from outside
// that no acknowledged operation was lost, none was done twice, every refusal stayed refused, the
// history of all operations is strictly serialisable (package serial), and the audit finds nothing.
//
// A second table does the same for the bet history: relays, streams, the process and the history's database are
// broken while players bet, settle and settle again. Watchers look at the bets meanwhile, and in the end every bet
// is compared with the ledger's log, record by record, and with what its player was told.
//
// The ledger runs in writer processes of its own, started from this program's binary, so that they can
// be killed as a power cut would. Clients talk to them over loopback, give each try a second, and send
// the same key again until they have an answer, as any client of the ledger must.
//
// Invariants:
//   - What a client was told is kept on our side and compared; nothing is taken from the ledger's word.
//   - A row without figures is an error of the row, never a pass.
//
// Not guaranteed: that times repeat. They depend on the moment of the fault and on the machine.
package faults
