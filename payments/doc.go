// Package payments moves players' money in and out through a payment provider.
//
// A payment is a row with a state machine that is driven to an end whatever happens between: the
// provider answers late or not at all, the books are busy, the process is killed. Each step can be
// repeated: the books know a transfer by its key, the provider a payment by its reference.
//
// Invariants:
//   - A deposit is completed exactly when the books are credited, and they are credited once.
//   - A withdrawal's money leaves the player's cash before the provider hears of it, and either goes
//     out or comes back, never both.
//   - A provider that has been asked and did not answer is queried; the payment is asked for again
//     only if the provider says that it never heard of it, and then under the same reference.
//   - The caller's key is kept for ever: the same request answers with the same payment, another
//     one is a conflict, a refusal stays refused.
//
// Not guaranteed: when a pending payment ends; that depends on the provider. Responsible-gaming
// deposit limits are not judged here. One process at a time owns payments.db.
package payments
