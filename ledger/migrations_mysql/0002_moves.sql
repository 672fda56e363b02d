-- Moving buckets of players between shards; see ../migrations/0002_moves.sql. The ALTER comes last:
-- a second run ends there, and nothing is left undone.

CREATE TABLE IF NOT EXISTS bucket (
	bucket  INT NOT NULL PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
	state   TINYINT NOT NULL CHECK (state BETWEEN 1 AND 4),
	peer    INT,
	move_id VARBINARY(100) NOT NULL,
	seq     BIGINT NOT NULL CHECK (seq >= 0),
	CHECK (peer IS NOT NULL OR state = 1)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS bucket_share (
	bucket       INT NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
	account_id   BIGINT NOT NULL,
	amount_minor BIGINT NOT NULL,
	PRIMARY KEY (bucket, account_id)
) ENGINE = InnoDB;

ALTER TABLE transfer
	ADD COLUMN origin_shard INT,
	ADD COLUMN origin_seq BIGINT,
	ADD COLUMN origin_at_us BIGINT,
	ADD CHECK ((origin_at_us IS NULL) = (origin_seq IS NULL)),
	ADD CHECK ((origin_shard IS NULL) = (origin_seq IS NULL));
