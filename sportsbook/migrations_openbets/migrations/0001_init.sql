-- Open bets of one ledger shard: a projection of its log that settlement grades from. Everything
-- here can be rebuilt by reading the log from its start.

-- Insert only. A bet's row number is the log sequence of its BetPlaced record.
CREATE TABLE bet (
	seq             INTEGER PRIMARY KEY,
	bet_id          TEXT    NOT NULL UNIQUE,
	player_id       TEXT    NOT NULL,
	jurisdiction    TEXT    NOT NULL,
	currency        TEXT    NOT NULL,
	stake_minor     INTEGER NOT NULL CHECK (stake_minor > 0),
	potential_minor INTEGER NOT NULL CHECK (potential_minor >= stake_minor),
	placed_us       INTEGER NOT NULL,
	legs            TEXT    NOT NULL -- one leg a line, fields separated by tabs; see leg.text
) STRICT;

-- Market ids as numbers, so that the leg index stays small.
CREATE TABLE market (
	market    INTEGER PRIMARY KEY,
	market_id TEXT    NOT NULL UNIQUE
) STRICT;

-- Which bets have a leg in a market, oldest first.
CREATE TABLE bet_leg (
	market INTEGER NOT NULL,
	seq    INTEGER NOT NULL,
	PRIMARY KEY (market, seq)
) STRICT, WITHOUT ROWID;

-- The last settlement of a bet. No row, or the outcome '', is an open bet. It is a table of its own
-- because settling a bet then writes some 60 bytes, not the whole row again.
CREATE TABLE bet_settled (
	bet_id       TEXT    PRIMARY KEY,
	jurisdiction TEXT    NOT NULL,
	version      INTEGER NOT NULL CHECK (version > 0),
	outcome      TEXT    NOT NULL CHECK (outcome IN ('won', 'lost', 'push', 'void', '')),
	payout_minor INTEGER NOT NULL CHECK (payout_minor >= 0),
	settled_us   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
