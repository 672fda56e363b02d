-- digest has rows for months beside those for days, and digest_zone says whose they are: see ../migrations.
-- Digests are made from the bets whenever a reader wants one, so those that are there go. Every statement may
-- run again.
DROP TABLE IF EXISTS digest;
DELETE FROM digested;

CREATE TABLE digest (
	player_id      VARBINARY(64) NOT NULL CHECK (player_id <> ''),
	jurisdiction   VARBINARY(16) NOT NULL CHECK (jurisdiction <> ''),
	grain          TINYINT NOT NULL CHECK (grain IN (1, 2)),
	period         INT NOT NULL,
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
	PRIMARY KEY (player_id, jurisdiction, grain, period, product, currency)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS digest_zone (
	jurisdiction VARBINARY(16) NOT NULL PRIMARY KEY CHECK (jurisdiction <> ''),
	zone         VARBINARY(64) NOT NULL CHECK (zone <> '')
) ENGINE = InnoDB;
