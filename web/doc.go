// Package web renders the pages of Matchday: the players' site and the staff's game-day board.
//
// Pages are rendered in Go with templ and are readable without scripts. Small modules from
// assets/js make them live: they follow GET /v1/live and call the REST API of room api with the
// session cookie, so that a page can do nothing that the public API cannot.
//
// Invariants:
//   - No inline script and no inline style; the content security policy forbids both, and nothing
//     is loaded from another host.
//   - A form that changes something is accepted only from our own origin.
//   - A page shows one jurisdiction: the session's, or for visitors the one they chose.
//
// Not guaranteed: the figures of a page are those of the moment it was rendered; the scripts keep
// them fresh, and every price is checked again when a bet is placed.
package web

//go:generate go tool templ generate -lazy
