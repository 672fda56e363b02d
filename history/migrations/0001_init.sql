-- slip holds what never changes of a bet, written once in log order: wide rows at the end of the
-- file. Append-only.
CREATE TABLE slip (
	seq             INTEGER PRIMARY KEY CHECK (seq > 0), -- log sequence of the placement
	jurisdiction    TEXT    NOT NULL CHECK (jurisdiction <> ''),
	product         TEXT    NOT NULL,
	currency        TEXT    NOT NULL CHECK (length(currency) = 3),
	placed_us       INTEGER NOT NULL,
	stake_minor     INTEGER NOT NULL CHECK (stake_minor > 0),
	potential_minor INTEGER NOT NULL CHECK (potential_minor >= 0),
	legs            TEXT    NOT NULL -- JSON array, as in the record
) STRICT;

-- bet holds what a settlement changes, narrow, ordered by player and then by time, since bet ids
-- are: a page of history is one range, and a payout surge rewrites small rows only.
CREATE TABLE bet (
	player_id    TEXT    NOT NULL CHECK (player_id <> ''),
	bet_id       TEXT    NOT NULL CHECK (bet_id <> ''),
	jurisdiction TEXT    NOT NULL CHECK (jurisdiction <> ''),
	slip_seq     INTEGER NOT NULL,
	seq          INTEGER NOT NULL CHECK (seq >= slip_seq),         -- log sequence of the last change
	status       INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5),  -- open, won, lost, push, void
	version      INTEGER NOT NULL CHECK (version >= 0),            -- of the settlement, 0 before the first
	settled_us   INTEGER NOT NULL,                                 -- 0 while open
	payout_minor INTEGER NOT NULL CHECK (payout_minor >= 0),
	outcomes     TEXT    NOT NULL,                                 -- one letter a leg, or '' before a settlement
	PRIMARY KEY (player_id, bet_id),
	CHECK (status = 1 OR version > 0),
	CHECK (status > 1 OR (settled_us = 0 AND payout_minor = 0))
) STRICT, WITHOUT ROWID;
