-- digest has rows for months beside those for days: a summary of years adds up a few of them, and a list that
-- looks for something rare skips whole months. Digests are made from the bets whenever a reader wants one, so
-- those that are there go.
DROP TABLE digest;
DELETE FROM digested;

CREATE TABLE digest (
	player_id      TEXT    NOT NULL CHECK (player_id <> ''),
	jurisdiction   TEXT    NOT NULL CHECK (jurisdiction <> ''),
	grain          INTEGER NOT NULL CHECK (grain IN (1, 2)), -- day, month
	period         INTEGER NOT NULL, -- of placement, by the jurisdiction's clock: days counted from 1970, months from year 0
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
	PRIMARY KEY (player_id, jurisdiction, grain, period, product, currency)
) STRICT, WITHOUT ROWID;

-- digest_zone is the time zone whose days the digests of a jurisdiction go by. With another zone they go.
CREATE TABLE digest_zone (
	jurisdiction TEXT NOT NULL PRIMARY KEY CHECK (jurisdiction <> ''),
	zone         TEXT NOT NULL CHECK (zone <> '')
) STRICT, WITHOUT ROWID;
