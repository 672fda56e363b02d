-- One shard of the bet history: the tables of ../migrations with the same names, for MariaDB and MySQL 8.
-- Every statement may run again: MySQL commits each CREATE by itself. Texts are VARBINARY: compared byte
-- by byte, so ids sort as they do in Go.

-- slip holds what never changes of a bet. Append-only.
CREATE TABLE IF NOT EXISTS slip (
	seq             BIGINT NOT NULL PRIMARY KEY CHECK (seq > 0),
	jurisdiction    VARBINARY(16) NOT NULL CHECK (jurisdiction <> ''),
	product         VARBINARY(64) NOT NULL,
	currency        VARBINARY(3) NOT NULL CHECK (LENGTH(currency) = 3),
	placed_us       BIGINT NOT NULL,
	stake_minor     BIGINT NOT NULL CHECK (stake_minor > 0),
	potential_minor BIGINT NOT NULL CHECK (potential_minor >= 0),
	legs            MEDIUMBLOB NOT NULL
) ENGINE = InnoDB;

-- bet holds what a settlement changes. slip_seq is 0 only inside a DBTx that is then rolled back: an upsert
-- of a settlement whose bet was never placed.
CREATE TABLE IF NOT EXISTS bet (
	player_id    VARBINARY(64) NOT NULL CHECK (player_id <> ''),
	bet_id       VARBINARY(64) NOT NULL CHECK (bet_id <> ''),
	jurisdiction VARBINARY(16) NOT NULL CHECK (jurisdiction <> ''),
	slip_seq     BIGINT NOT NULL CHECK (slip_seq >= 0),
	seq          BIGINT NOT NULL,
	status       TINYINT NOT NULL CHECK (status BETWEEN 1 AND 5),
	version      INT NOT NULL CHECK (version >= 0),
	settled_us   BIGINT NOT NULL,
	payout_minor BIGINT NOT NULL CHECK (payout_minor >= 0),
	outcomes     VARBINARY(255) NOT NULL,
	PRIMARY KEY (player_id, bet_id),
	CHECK (seq >= slip_seq),
	CHECK (status = 1 OR version > 0),
	CHECK (status > 1 OR (settled_us = 0 AND payout_minor = 0))
) ENGINE = InnoDB;

-- Buckets of players that left the shard, for the players of each writer.
CREATE TABLE IF NOT EXISTS left_bucket (
	part   INT NOT NULL,
	bucket INT NOT NULL,
	PRIMARY KEY (part, bucket)
) ENGINE = InnoDB;

-- The position of each writer: players are divided between them by a hash.
CREATE TABLE IF NOT EXISTS sink_position (
	name  VARBINARY(64) NOT NULL PRIMARY KEY,
	shard INT NOT NULL CHECK (shard >= 0),
	part  INT NOT NULL CHECK (part >= 0),
	seq   BIGINT NOT NULL CHECK (seq >= 0),
	at_us BIGINT NOT NULL
) ENGINE = InnoDB;
