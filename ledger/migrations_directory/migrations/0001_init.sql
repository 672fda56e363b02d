-- The directory of a set of shards: where each bucket lives, who writes each shard, who is alive. It
-- holds no money, and what it says about buckets can be made again from the shards themselves.

-- Version is raised with every change of a bucket, so that a process sees with one row whether to
-- read them all. First is the number of shards that the books began with.
CREATE TABLE placement (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	first   INTEGER NOT NULL CHECK (first > 0),
	version INTEGER NOT NULL CHECK (version > 0)
) STRICT;

CREATE TABLE bucket (
	bucket  INTEGER PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
	shard   INTEGER NOT NULL CHECK (shard >= 0),
	version INTEGER NOT NULL CHECK (version > 0)
) STRICT;

-- Owner is the process that writes the shard, empty if nobody does. The epoch is a copy for people
-- to look at: the one that counts is in the shard.
CREATE TABLE shard (
	shard      INTEGER PRIMARY KEY CHECK (shard >= 0),
	owner      TEXT NOT NULL,
	epoch      INTEGER NOT NULL CHECK (epoch >= 0),
	changed_us INTEGER NOT NULL
) STRICT;

-- Processes that may write shards. A process is alive while its beat changes. Run tells two starts
-- under one name apart; host and pid are where it runs; seen_us is its own clock, for people to look at.
CREATE TABLE process (
	process TEXT PRIMARY KEY,
	run     TEXT NOT NULL,
	address TEXT NOT NULL,
	host    TEXT NOT NULL,
	pid     INTEGER NOT NULL,
	beat    INTEGER NOT NULL,
	seen_us INTEGER NOT NULL
) STRICT;

CREATE TABLE replica (
	shard      INTEGER NOT NULL CHECK (shard >= 0),
	node       TEXT NOT NULL,
	state      TEXT NOT NULL CHECK (state IN ('on', 'off')),
	changed_us INTEGER NOT NULL,
	PRIMARY KEY (shard, node)
) STRICT;

-- Moves of buckets and how far each has come. Buckets is a list such as 0-99,120.
CREATE TABLE move (
	id         TEXT PRIMARY KEY,
	from_shard INTEGER NOT NULL CHECK (from_shard >= 0),
	to_shard   INTEGER NOT NULL CHECK (to_shard <> from_shard),
	buckets    TEXT NOT NULL,
	step       TEXT NOT NULL,
	detail     TEXT NOT NULL,
	rate       INTEGER NOT NULL CHECK (rate >= 0),
	created_by TEXT NOT NULL,
	created_us INTEGER NOT NULL,
	updated_us INTEGER NOT NULL,
	version    INTEGER NOT NULL CHECK (version > 0)
) STRICT;
