-- How far callers were answered, quarantined shards and accepted losses; see
-- ../migrations_directory/migrations/0002_marks.sql. The ALTER comes last: a second run ends there.

CREATE TABLE IF NOT EXISTS loss (
	shard       INTEGER NOT NULL CHECK (shard >= 0),
	at_us       BIGINT NOT NULL,
	epoch       BIGINT NOT NULL CHECK (epoch >= 0),
	kept_epoch  BIGINT NOT NULL,
	kept_seq    BIGINT NOT NULL CHECK (kept_seq >= 0),
	kept_seal   VARBINARY(32) NOT NULL,
	lost_epoch  BIGINT NOT NULL,
	lost_seq    BIGINT NOT NULL,
	lost_seal   VARBINARY(32) NOT NULL,
	accepted_by VARBINARY(255) NOT NULL CHECK (accepted_by <> ''),
	reason      VARBINARY(1000) NOT NULL CHECK (reason <> ''),
	PRIMARY KEY (shard, at_us)
) ENGINE = InnoDB;

ALTER TABLE shard
	ADD COLUMN seq        BIGINT NOT NULL DEFAULT 0 CHECK (seq >= 0),
	ADD COLUMN seal       VARBINARY(32) NOT NULL DEFAULT '',
	ADD COLUMN lost_epoch BIGINT NOT NULL DEFAULT 0,
	ADD COLUMN lost_seq   BIGINT NOT NULL DEFAULT 0,
	ADD COLUMN lost_seal  VARBINARY(32) NOT NULL DEFAULT '',
	ADD COLUMN problem    VARBINARY(1000) NOT NULL DEFAULT '',
	ADD COLUMN problem_us BIGINT NOT NULL DEFAULT 0;
