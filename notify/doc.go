// Package notify tells other systems what happened: webhooks, signed HTTP requests with one record
// of the log each.
//
// A subscription names a URL, types of records and perhaps a jurisdiction. From its making on every
// matching record of the ledger's logs becomes a delivery, queued in the same DBTx that moves the
// position in the log. Deliveries are sent until the receiver answers 2xx, with growing pauses, and
// after a day they go to the list of dead deliveries, from where staff can send them again.
//
// # Promised
//
//   - At least once. A receiver that has answered may be asked again, with the same Matchday-Delivery
//     header and the same event id in the body: it should remember one of them.
//   - Order for a player: a subscription's deliveries about one player are sent in the order of the log,
//     the next when the one before was answered or is dead. Deliveries about nobody are one such row. What is
//     sent again may come after a younger one; what comes for the first time never does.
//   - A receiver that is slow or down holds up nobody but itself, and a request that hangs holds up its player:
//     those about others go on beside it, until 8 hang.
//   - A request is signed over its time and body (see [Sign]); a receiver should refuse what is older
//     than five minutes. During a rotation the old secret signs too, so no request is unverifiable.
//   - Several processes share the work if [Config].Cluster keeps it: who writes a shard of the ledger delivers its
//     records, and another takes that over, under the same ids, when it dies. Each process can change
//     subscriptions, and what it answered holds in all of them from then on.
//   - A process that was replaced, and does not know it, changes nothing, and makes no request but those that
//     were under way when it was: each is preceded by a look at who delivers, at most 8 for each subscription
//     (fence and look are the epoch of the shard: docs/decisions/0017).
//   - No request goes to an address that is not public unless Config.Allow names it, whatever a name
//     resolves to at that moment, and no redirect is followed.
//
// # Not promised
//
//   - An order between players, across a move of a player to another shard, or after sending again.
//   - Where exactly a subscription begins: a record that committed shortly before may come too.
//   - That a queue's bound is exact: processes that queue at once may exceed it by what they were at.
//   - Deliveries for a subscription that is disabled: one that failed for days or whose queue is full
//     gets nothing more until staff resume it, and what happened between is only in the log.
//
// # Errors
//
//   - invalid: a URL, type or jurisdiction that cannot be.
//   - not_found: no such subscription or delivery.
//   - limit_reached: too many subscriptions.
package notify
