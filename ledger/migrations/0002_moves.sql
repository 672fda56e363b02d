-- Moving buckets of players between shards; see docs/decisions/0009-moving-buckets.md.

-- Kinds 15 and 16 are new, and the numbers up to 63 are left to what comes. The check is edited in
-- place, the way SQLite's own manual describes for checks that only widen: copying a log of many
-- millions of rows would keep the books shut for minutes.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'kind BETWEEN 1 AND 14', 'kind BETWEEN 1 AND 63')
WHERE type = 'table' AND name = 'transfer';
PRAGMA writable_schema = RESET;

-- A row with an origin is the copy of a row of another shard, made there at that time.
ALTER TABLE transfer ADD COLUMN origin_shard INTEGER;
ALTER TABLE transfer ADD COLUMN origin_seq INTEGER;
ALTER TABLE transfer ADD COLUMN origin_at_us INTEGER CHECK ((origin_at_us IS NULL) = (origin_seq IS NULL)
	AND (origin_shard IS NULL) = (origin_seq IS NULL));

-- The buckets that this shard has or had something of. State 1 live (players are served here),
-- 2 fenced (still counted here, no longer served), 3 away (lives on the peer, our rows are kept),
-- 4 copying (lives on the peer, its rows are on their way here). Seq is a sequence of our log where
-- the bucket came (1), was fenced (2) or left (3), and for 4 how far the peer's log has been copied.
CREATE TABLE bucket (
	bucket  INTEGER PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
	state   INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
	peer    INTEGER CHECK (peer IS NOT NULL OR state = 1),
	move_id TEXT NOT NULL,
	seq     INTEGER NOT NULL CHECK (seq >= 0)
) STRICT;

-- What the copied rows of a bucket add up to, by house account, and by elsewhere account for the
-- players' own. It is what changes sides when the bucket does.
CREATE TABLE bucket_share (
	bucket       INTEGER NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
	account_id   INTEGER NOT NULL,
	amount_minor INTEGER NOT NULL,
	PRIMARY KEY (bucket, account_id)
) STRICT, WITHOUT ROWID;
