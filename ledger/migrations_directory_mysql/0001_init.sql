-- The tables of ../migrations_directory for a cluster: where each bucket lives, who writes each shard,
-- who is alive. The directory holds no money, and what it says about buckets can be made again from the shards themselves.

-- Version is raised with every change of a bucket, so that a process sees with one row whether to
-- read them all. First is the number of shards that the books began with.
CREATE TABLE IF NOT EXISTS placement (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	first   INTEGER NOT NULL CHECK (first > 0),
	version BIGINT NOT NULL CHECK (version > 0)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS bucket (
	bucket  INTEGER PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
	shard   INTEGER NOT NULL CHECK (shard >= 0),
	version BIGINT NOT NULL CHECK (version > 0)
) ENGINE = InnoDB;

-- Owner is the process that writes the shard, empty if nobody does. The epoch is a copy for people
-- to look at: the one that counts is in the shard.
CREATE TABLE IF NOT EXISTS shard (
	shard      INTEGER PRIMARY KEY CHECK (shard >= 0),
	owner      VARBINARY(64) NOT NULL,
	epoch      BIGINT NOT NULL CHECK (epoch >= 0),
	changed_us BIGINT NOT NULL
) ENGINE = InnoDB;

-- Processes that may write shards. A process is alive while its beat changes. Run tells two starts
-- under one name apart; host and pid are where it runs; seen_us is its own clock, for people to look at.
CREATE TABLE IF NOT EXISTS process (
	process VARBINARY(64) PRIMARY KEY,
	run     VARBINARY(64) NOT NULL,
	address VARBINARY(255) NOT NULL,
	host    VARBINARY(255) NOT NULL,
	pid     INTEGER NOT NULL,
	beat    BIGINT NOT NULL,
	seen_us BIGINT NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS replica (
	shard      INTEGER NOT NULL CHECK (shard >= 0),
	node       VARBINARY(255) NOT NULL,
	state      VARBINARY(16) NOT NULL CHECK (state IN ('on', 'off')),
	changed_us BIGINT NOT NULL,
	PRIMARY KEY (shard, node)
) ENGINE = InnoDB;

-- Moves of buckets and how far each has come. Buckets is a list such as 0-99,120.
CREATE TABLE IF NOT EXISTS move (
	id         VARBINARY(64) PRIMARY KEY,
	from_shard INTEGER NOT NULL CHECK (from_shard >= 0),
	to_shard   INTEGER NOT NULL,
	buckets    MEDIUMBLOB NOT NULL,
	step       VARBINARY(32) NOT NULL,
	detail     MEDIUMBLOB NOT NULL,
	rate       BIGINT NOT NULL CHECK (rate >= 0),
	created_by VARBINARY(255) NOT NULL,
	created_us BIGINT NOT NULL,
	updated_us BIGINT NOT NULL,
	version    BIGINT NOT NULL CHECK (version > 0),
	CHECK (to_shard <> from_shard)
) ENGINE = InnoDB;
