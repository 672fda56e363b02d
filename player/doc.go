// Package player keeps who may enter: players and staff, their passwords and their sessions.
//
// Invariants:
//   - A player belongs to one jurisdiction for ever; every query names the jurisdiction, and a
//     player of another one is not found.
//   - An e-mail address is unique within a jurisdiction, in lower case.
//   - Passwords exist only as argon2id hashes, session tokens only as SHA-256: a stolen database
//     opens no session.
//   - A revoked session, or a changed status, is seen by the next Authenticate of this process.
//   - Signing in costs the same work and gives the same answer whether or not the address is known,
//     also when it is locked after repeated failures.
//
// Not guaranteed: that SignUp hides which addresses exist (it answers conflict); that a player is
// who he says he is, or the only account of that person. One process at a time owns players.db.
package player
