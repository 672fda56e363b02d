-- The history is filled again from the log, with what the tables below keep: earlier settlements cannot be
-- found in the tables above.
DELETE FROM bet;
DELETE FROM slip;
DELETE FROM left_bucket;
DROP TABLE IF EXISTS sink_position;

-- bet_change holds every settlement of the bets that were settled more than once or left open by a
-- settlement. A bet that was settled once, as nearly all are, has no row: its settlement is in bet.
CREATE TABLE bet_change (
	player_id    TEXT    NOT NULL CHECK (player_id <> ''),
	bet_id       TEXT    NOT NULL CHECK (bet_id <> ''),
	version      INTEGER NOT NULL CHECK (version > 0),
	seq          INTEGER NOT NULL CHECK (seq > 0),
	status       INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5),
	at_us        INTEGER NOT NULL, -- when it was settled so
	payout_minor INTEGER NOT NULL CHECK (payout_minor >= 0),
	outcomes     TEXT    NOT NULL,
	PRIMARY KEY (player_id, bet_id, version)
) STRICT, WITHOUT ROWID;

-- digest sums up a day of a player who has many bets, after the fact: summaries add up its rows, and lists
-- skip days that have nothing for them. What is in it follows from the bets.
CREATE TABLE digest (
	player_id      TEXT    NOT NULL CHECK (player_id <> ''),
	jurisdiction   TEXT    NOT NULL CHECK (jurisdiction <> ''),
	day            INTEGER NOT NULL, -- of placement, by the jurisdiction's clock, counted from 1970
	month          INTEGER NOT NULL, -- of the day, counted from year 0
	product        TEXT    NOT NULL,
	currency       TEXT    NOT NULL CHECK (length(currency) = 3),
	first_bet      TEXT    NOT NULL,
	last_bet       TEXT    NOT NULL,
	bets_open      INTEGER NOT NULL CHECK (bets_open >= 0),
	bets_won       INTEGER NOT NULL CHECK (bets_won >= 0),
	bets_lost      INTEGER NOT NULL CHECK (bets_lost >= 0),
	bets_push      INTEGER NOT NULL CHECK (bets_push >= 0),
	bets_void      INTEGER NOT NULL CHECK (bets_void >= 0),
	staked_minor   INTEGER NOT NULL CHECK (staked_minor >= 0),
	at_stake_minor INTEGER NOT NULL CHECK (at_stake_minor >= 0), -- of open bets
	returned_minor INTEGER NOT NULL CHECK (returned_minor >= 0),
	least_minor    INTEGER NOT NULL,
	most_minor     INTEGER NOT NULL,
	tags           TEXT    NOT NULL, -- hashes of events, sports and competitions, each between spaces; * is any
	PRIMARY KEY (player_id, jurisdiction, day, product, currency)
) STRICT, WITHOUT ROWID;

-- digested says up to which bet a player's bets are in digest, without a gap.
CREATE TABLE digested (
	player_id TEXT NOT NULL PRIMARY KEY CHECK (player_id <> ''),
	bet_id    TEXT NOT NULL CHECK (bet_id <> '')
) STRICT, WITHOUT ROWID;
