-- Buckets of players that left the shard: their bets are in another file. It tells a reader who came
-- just before the rest of the process heard of it that no bets does not mean no bets.
CREATE TABLE left_bucket (
	bucket INTEGER PRIMARY KEY
) STRICT;
