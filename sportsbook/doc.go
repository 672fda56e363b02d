// Package sportsbook is the offer (sports, competitions, events, markets, selections and prices),
// the placement of bets on it, the exposure they make, and their settlement.
//
// Invariants:
//   - A change of the offer is durable in the catalogue before anybody sees it, and every change of
//     a price, line or status is in the change log with its actor.
//   - A bet and its stake are one ledger transfer, so neither exists without the other. The caller's
//     key names the bet: a retry answers with the first acceptance, whatever the offer is by then.
//   - Exposure is reserved before the money moves, and given back if it does not move.
//   - A payout is computed exactly and rounded once, down; the residue stays in the house's books.
//   - Results are appended as decisions with a version, never edited: a corrected result settles
//     again by new transfers.
//
// Not guaranteed: exposure is kept in memory and rebuilt from the open bets at start, so it is a
// limit on risk and not a book of money; subscribers may miss nothing while the process lives, but
// get nothing from before they subscribed.
package sportsbook
