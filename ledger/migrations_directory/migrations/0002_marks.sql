-- Epoch, seq and seal of a shard are how far its callers were answered when its writer last said so, about
-- each second: whoever takes the shard over must find them in its log. A shard whose log lacked what
-- was answered is quarantined: lost_* is what it lacked, problem says so, and nobody writes it.
ALTER TABLE shard ADD COLUMN seq INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0);
ALTER TABLE shard ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE shard ADD COLUMN lost_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shard ADD COLUMN lost_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shard ADD COLUMN lost_seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE shard ADD COLUMN problem TEXT NOT NULL DEFAULT '';
ALTER TABLE shard ADD COLUMN problem_us INTEGER NOT NULL DEFAULT 0;

-- Losses that operators have accepted: what was answered and given up, and where the log goes on. What
-- epochs up to this one answered beyond that is not asked for any more. Append-only.
CREATE TABLE loss (
	shard       INTEGER NOT NULL CHECK (shard >= 0),
	at_us       INTEGER NOT NULL,
	epoch       INTEGER NOT NULL CHECK (epoch >= 0),
	kept_epoch  INTEGER NOT NULL,
	kept_seq    INTEGER NOT NULL CHECK (kept_seq >= 0),
	kept_seal   BLOB NOT NULL,
	lost_epoch  INTEGER NOT NULL,
	lost_seq    INTEGER NOT NULL,
	lost_seal   BLOB NOT NULL,
	accepted_by TEXT NOT NULL CHECK (accepted_by <> ''),
	reason      TEXT NOT NULL CHECK (reason <> ''),
	PRIMARY KEY (shard, at_us)
) STRICT, WITHOUT ROWID;
