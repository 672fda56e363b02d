-- Both tables by month of placement, which a bet's id begins with, so that a month that is over can be dropped
-- as a whole. The months' own partitions are made by the program, ahead of time; "plast" takes what is later.
--
-- The tables are made anew and are empty: a slip did not know its bet, and a history fills itself again from
-- the log. Positions go back last, so that this may run again.
DROP TABLE IF EXISTS slip;
DROP TABLE IF EXISTS bet;

CREATE TABLE slip (
	seq             BIGINT NOT NULL CHECK (seq > 0),
	bet_id          VARBINARY(64) NOT NULL CHECK (bet_id <> ''),
	jurisdiction    VARBINARY(16) NOT NULL CHECK (jurisdiction <> ''),
	product         VARBINARY(64) NOT NULL,
	currency        VARBINARY(3) NOT NULL CHECK (LENGTH(currency) = 3),
	placed_us       BIGINT NOT NULL,
	stake_minor     BIGINT NOT NULL CHECK (stake_minor > 0),
	potential_minor BIGINT NOT NULL CHECK (potential_minor >= 0),
	legs            MEDIUMBLOB NOT NULL,
	PRIMARY KEY (seq, bet_id)
) ENGINE = InnoDB
PARTITION BY RANGE COLUMNS (bet_id) (PARTITION plast VALUES LESS THAN (MAXVALUE));

CREATE TABLE bet (
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
) ENGINE = InnoDB
PARTITION BY RANGE COLUMNS (bet_id) (PARTITION plast VALUES LESS THAN (MAXVALUE));

-- Where the bets that are kept begin: those of the jurisdiction with a smaller id are over once they are
-- settled. It never goes back.
CREATE TABLE IF NOT EXISTS kept_from (
	jurisdiction VARBINARY(16) NOT NULL PRIMARY KEY CHECK (jurisdiction <> ''),
	bet_id       VARBINARY(64) NOT NULL CHECK (bet_id <> '')
) ENGINE = InnoDB;

DELETE FROM left_bucket;
UPDATE sink_position SET seq = 0, at_us = 0;
