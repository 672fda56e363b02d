-- The tables of ../migrations with the same names. The history is filled again from the log, with what they
-- keep. Every statement may run again.
TRUNCATE TABLE bet;
TRUNCATE TABLE slip;

-- Every settlement of the bets that were settled more than once or left open by a settlement.
CREATE TABLE IF NOT EXISTS bet_change (
	player_id    VARBINARY(64) NOT NULL CHECK (player_id <> ''),
	bet_id       VARBINARY(64) NOT NULL CHECK (bet_id <> ''),
	version      INT NOT NULL CHECK (version > 0),
	seq          BIGINT NOT NULL CHECK (seq > 0),
	status       TINYINT NOT NULL CHECK (status BETWEEN 1 AND 5),
	at_us        BIGINT NOT NULL,
	payout_minor BIGINT NOT NULL CHECK (payout_minor >= 0),
	outcomes     VARBINARY(255) NOT NULL,
	PRIMARY KEY (player_id, bet_id, version)
) ENGINE = InnoDB
PARTITION BY RANGE COLUMNS (bet_id) (PARTITION plast VALUES LESS THAN (MAXVALUE));

-- A day of a player who has many bets.
CREATE TABLE IF NOT EXISTS digest (
	player_id      VARBINARY(64) NOT NULL CHECK (player_id <> ''),
	jurisdiction   VARBINARY(16) NOT NULL CHECK (jurisdiction <> ''),
	day            INT NOT NULL,
	month          INT NOT NULL,
	product        VARBINARY(64) NOT NULL,
	currency       VARBINARY(3) NOT NULL CHECK (LENGTH(currency) = 3),
	first_bet      VARBINARY(64) NOT NULL,
	last_bet       VARBINARY(64) NOT NULL,
	bets_open      BIGINT NOT NULL CHECK (bets_open >= 0),
	bets_won       BIGINT NOT NULL CHECK (bets_won >= 0),
	bets_lost      BIGINT NOT NULL CHECK (bets_lost >= 0),
	bets_push      BIGINT NOT NULL CHECK (bets_push >= 0),
	bets_void      BIGINT NOT NULL CHECK (bets_void >= 0),
	staked_minor   BIGINT NOT NULL CHECK (staked_minor >= 0),
	at_stake_minor BIGINT NOT NULL CHECK (at_stake_minor >= 0),
	returned_minor BIGINT NOT NULL CHECK (returned_minor >= 0),
	least_minor    BIGINT NOT NULL,
	most_minor     BIGINT NOT NULL,
	tags           VARBINARY(4096) NOT NULL,
	PRIMARY KEY (player_id, jurisdiction, day, product, currency)
) ENGINE = InnoDB;

-- Up to which bet a player's bets are in digest, without a gap.
CREATE TABLE IF NOT EXISTS digested (
	player_id VARBINARY(64) NOT NULL PRIMARY KEY CHECK (player_id <> ''),
	bet_id    VARBINARY(64) NOT NULL CHECK (bet_id <> '')
) ENGINE = InnoDB;

DELETE FROM left_bucket;
UPDATE sink_position SET seq = 0, at_us = 0;
