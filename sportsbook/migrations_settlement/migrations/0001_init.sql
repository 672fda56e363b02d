-- How far the settlement of each decision has come, per ledger shard. The numbers are for people;
-- only done_us decides anything: a pass without it runs again after a restart. A decision belongs to
-- an event, which may be offered in several jurisdictions, so there is no jurisdiction here.
CREATE TABLE settlement_pass (
	settlement_id TEXT    NOT NULL,
	shard         INTEGER NOT NULL CHECK (shard >= 0),
	event_id      TEXT    NOT NULL,
	version       INTEGER NOT NULL CHECK (version > 0),
	head_seq      INTEGER NOT NULL CHECK (head_seq >= 0), -- the log's end after the market closed
	bets          INTEGER NOT NULL CHECK (bets >= 0),
	settled       INTEGER NOT NULL CHECK (settled >= 0 AND settled <= bets),
	paid          INTEGER NOT NULL CHECK (paid >= 0 AND paid <= settled),
	started_us    INTEGER NOT NULL,
	done_us       INTEGER, -- NULL while it runs
	PRIMARY KEY (settlement_id, shard)
) STRICT, WITHOUT ROWID;
