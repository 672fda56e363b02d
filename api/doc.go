// Package api is the REST edge of Matchday: JSON under /v1, its OpenAPI 3.1 document at
// /openapi.json, the same as pages at /docs, and health, readiness and metrics.
//
// Everything a request goes through is in one place and one order: request id, time limit, who is
// calling, may they call this route, one strict decoder for every body, the room that does the work,
// and one table from error code to HTTP status. A route says who may call it; a route that does not
// say so cannot be registered.
//
// Invariants:
//   - Strings become money, prices, ids and times here, and nowhere below. A body with an unknown
//     field, a repeated field, invalid UTF-8 or anything after its end changes nothing.
//   - A player's jurisdiction is that of the session, never a parameter. Staff and services act in
//     the jurisdictions of their account or key only.
//   - A service cannot move money in the accounts that a room keeps: stakes and revenue of the
//     sportsbook, and a player's accounts beside cash.
//   - An error of code internal leaves the process without detail; its cause is logged once, with the
//     request id that the caller sees.
//   - Everything is bounded: bodies, lists, batches, live clients and their queues, time.
//
// Not promised: the live stream replays nothing that was missed while a client was away (it says so,
// and the client reads again), rates are counts of this process only, and a transfer of a service is
// not refused because nobody has signed up under its player id: that is for the service to know.
//
// The schemas and the document come from huma; decoding, authorisation and errors are our own,
// because huma decodes every body twice and lets repeated fields pass.
package api
