-- How far callers of each shard were answered, as this machine last knew it: a copy of what the directory
-- notes, for when the directory goes back together with the shards.
CREATE TABLE mark (
	shard INTEGER PRIMARY KEY CHECK (shard >= 0),
	epoch INTEGER NOT NULL CHECK (epoch >= 0),
	seq   INTEGER NOT NULL CHECK (seq >= 0),
	seal  BLOB NOT NULL
) STRICT;
