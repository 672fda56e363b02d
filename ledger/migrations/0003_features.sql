-- Groups, limits and metadata; see docs/decisions/0011-groups.md.

-- What a row has besides its columns (metadata, limits, group), as JSON. Sealed as it is stored.
ALTER TABLE transfer ADD COLUMN extra TEXT;

-- Limits of an account from a row of the log on; the newest counts. Append-only. Freeze 1 refuses
-- debits, 2 everything.
CREATE TABLE account_limit (
	account_id INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	version    INTEGER NOT NULL CHECK (version >= 1),
	min_minor  INTEGER,
	max_minor  INTEGER CHECK (max_minor >= 0),
	freeze     INTEGER NOT NULL CHECK (freeze BETWEEN 0 AND 2),
	PRIMARY KEY (account_id, seq),
	CHECK (min_minor IS NULL OR max_minor IS NULL OR min_minor <= max_minor)
) STRICT, WITHOUT ROWID;

-- Metadata of an account from a row of the log on, as JSON; the newest counts. Append-only.
CREATE TABLE account_metadata (
	account_id INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	data       TEXT NOT NULL,
	PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;

-- Groups over several shards, by the sequence of the row that began them, on the shard that decides
-- them. State 1 open, 2 ended by the row ended_seq.
CREATE TABLE grp (
	seq       INTEGER PRIMARY KEY,
	state     INTEGER NOT NULL CHECK (state IN (1, 2)),
	ended_seq INTEGER CHECK ((ended_seq IS NULL) = (state = 1))
) STRICT;

CREATE INDEX grp_open ON grp (seq) WHERE state = 1;

-- Rule 3 is new: an account with limits of its own. What they allow depends on the kind and on the
-- time, so the audit proves it from the log. The check is edited in place because it only widens.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'WHEN 2 THEN balance_minor <= 0 AND held_minor = 0',
	'WHEN 2 THEN balance_minor <= 0 AND held_minor = 0
		WHEN 3 THEN held_minor >= 0')
WHERE type = 'table' AND name = 'posting';
PRAGMA writable_schema = RESET;
