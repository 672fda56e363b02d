-- One shard of the ledger: the tables of ../migrations/0001_init.sql with the same names, for MariaDB
-- and MySQL 8. Every statement may run again: MySQL commits each CREATE and ALTER by itself.
--
-- Texts are VARBINARY: compared and kept byte by byte. A character set would pad keys that end in
-- spaces, and BINARY would lose trailing zeros in the binlog.

CREATE TABLE IF NOT EXISTS shard (
	id       TINYINT NOT NULL PRIMARY KEY CHECK (id = 1),
	shard    INT NOT NULL CHECK (shard >= 0),
	shards   INT NOT NULL,
	epoch    BIGINT NOT NULL CHECK (epoch >= 0),
	seq      BIGINT NOT NULL CHECK (seq >= 0),
	accounts BIGINT NOT NULL CHECK (accounts >= 0),
	at_us    BIGINT NOT NULL,
	CHECK (shards > shard)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS account (
	id           BIGINT NOT NULL PRIMARY KEY,
	address      VARBINARY(255) NOT NULL UNIQUE,
	jurisdiction VARBINARY(6) NOT NULL CHECK (LENGTH(jurisdiction) >= 2),
	currency     VARBINARY(3) NOT NULL CHECK (LENGTH(currency) = 3)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS transfer (
	seq          BIGINT NOT NULL PRIMARY KEY,
	`key`        VARBINARY(240) NOT NULL UNIQUE,
	kind         TINYINT NOT NULL CHECK (kind BETWEEN 1 AND 99),
	state        TINYINT NOT NULL CHECK (state IN (1, 2)),
	code         VARBINARY(40),
	detail       VARBINARY(4000),
	player       VARBINARY(64) NOT NULL,
	jurisdiction VARBINARY(6) NOT NULL CHECK (LENGTH(jurisdiction) >= 2),
	currency     VARBINARY(3) NOT NULL CHECK (LENGTH(currency) = 3),
	fingerprint  VARBINARY(17) NOT NULL CHECK (LENGTH(fingerprint) = 17),
	hold_seq     BIGINT,
	`lines`      VARBINARY(1000) NOT NULL,
	record_type  VARBINARY(100),
	subject      VARBINARY(255),
	data         MEDIUMBLOB,
	CHECK (LENGTH(`key`) >= 1),
	CHECK ((code IS NULL) = (state = 1)),
	CHECK ((detail IS NULL) = (state = 1)),
	CHECK (data IS NULL OR record_type IS NOT NULL)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS posting (
	account_id    BIGINT NOT NULL,
	seq           BIGINT NOT NULL,
	amount_minor  BIGINT NOT NULL,
	balance_minor BIGINT NOT NULL,
	held_minor    BIGINT NOT NULL CHECK (held_minor >= 0),
	rule          TINYINT NOT NULL,
	PRIMARY KEY (account_id, seq),
	CHECK (CASE rule
		WHEN 0 THEN held_minor = 0
		WHEN 1 THEN balance_minor >= held_minor
		WHEN 2 THEN balance_minor <= 0 AND held_minor = 0
		WHEN 3 THEN held_minor >= 0
		ELSE FALSE END)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS hold (
	seq          BIGINT NOT NULL PRIMARY KEY,
	account_id   BIGINT NOT NULL,
	counter_id   BIGINT NOT NULL,
	jurisdiction VARBINARY(6) NOT NULL CHECK (LENGTH(jurisdiction) >= 2),
	currency     VARBINARY(3) NOT NULL CHECK (LENGTH(currency) = 3),
	amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
	expires_us   BIGINT NOT NULL,
	state        TINYINT NOT NULL CHECK (state BETWEEN 1 AND 4),
	posted_minor BIGINT NOT NULL,
	resolved_seq BIGINT,
	CHECK (posted_minor BETWEEN 0 AND amount_minor),
	CHECK ((resolved_seq IS NULL) = (state = 1)),
	KEY hold_open (state, expires_us),
	KEY hold_open_account (account_id, state, expires_us)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS batch (
	last_seq  BIGINT NOT NULL PRIMARY KEY,
	first_seq BIGINT NOT NULL,
	at_us     BIGINT NOT NULL,
	epoch     BIGINT NOT NULL,
	accounts  BIGINT NOT NULL,
	records   BIGINT NOT NULL,
	seal      VARBINARY(32) NOT NULL CHECK (LENGTH(seal) = 32),
	CHECK (first_seq <= last_seq),
	KEY batch_at (at_us, last_seq)
) ENGINE = InnoDB;
