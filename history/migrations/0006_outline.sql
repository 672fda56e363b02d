-- outline has what never changes of the bets of a digest, a few bytes each, so that a list which looks for a stake,
-- a product or a name need not read bet by bet. Digests are made from the bets whenever a reader wants one, so
-- those that are there go.
DELETE FROM digest;
DELETE FROM digested;

CREATE TABLE outline (
	player_id TEXT NOT NULL CHECK (player_id <> ''),
	last_bet  TEXT NOT NULL,
	after_bet TEXT NOT NULL, -- it is of all bets behind this one, up to last_bet
	bets      TEXT NOT NULL, -- a line each, newest first: id, stake, hashes of what a list can be filtered by
	PRIMARY KEY (player_id, last_bet),
	CHECK (after_bet < last_bet)
) STRICT;
