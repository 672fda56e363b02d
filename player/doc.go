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
//   - A lock ends by itself: a player's grows from 30 seconds to 15 minutes, one of staff comes only
//     with every twentieth failure and is over after a minute.
//
// Locks go by name, because this room is not told the caller's address; who calls it bounds the
// sign-ins of one address. So anybody may lock anybody out for a while. For staff, whose names are
// easily guessed, it is weighed the other way than for players: some 20 guesses a minute are let
// through, nothing against a long random password, and in return whoever keeps a lock up must send
// those 20 every minute and is over a minute after he stops. Sessions that are open go on. Who wants
// more keeps the staff's routes off the public network.
//
// Not guaranteed: that SignUp hides which addresses exist (it answers conflict); that a player is
// who he says he is, or the only account of that person. One process at a time owns players.db.
package player
