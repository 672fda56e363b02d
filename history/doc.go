// Package history keeps every player's bets for reading: newest first, by status, paged.
package history
