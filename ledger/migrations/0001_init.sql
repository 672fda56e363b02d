-- One shard of the ledger. Every table but shard and hold is append-only.

-- The shard's own state: who may write (epoch) and how far the log has come.
CREATE TABLE shard (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	shard    INTEGER NOT NULL CHECK (shard >= 0),
	shards   INTEGER NOT NULL CHECK (shards > shard),
	epoch    INTEGER NOT NULL CHECK (epoch >= 0),
	seq      INTEGER NOT NULL CHECK (seq >= 0),
	accounts INTEGER NOT NULL CHECK (accounts >= 0),
	at_us    INTEGER NOT NULL
) STRICT;

-- Addresses by the number that stands for them here. Numbers have no gap.
CREATE TABLE account (
	id           INTEGER PRIMARY KEY,
	address      TEXT NOT NULL UNIQUE,
	jurisdiction TEXT NOT NULL CHECK (length(jurisdiction) BETWEEN 2 AND 6),
	currency     TEXT NOT NULL CHECK (length(currency) = 3)
) STRICT;

-- The log: one row per sequence, committed (state 1) or refused (state 2). Lines holds the postings
-- with the balances after them, in the order of the request; see lines.go.
CREATE TABLE transfer (
	seq          INTEGER PRIMARY KEY,
	key          TEXT NOT NULL UNIQUE CHECK (length(key) BETWEEN 1 AND 207),
	kind         INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 14),
	state        INTEGER NOT NULL CHECK (state IN (1, 2)),
	code         TEXT CHECK ((code IS NULL) = (state = 1)),
	detail       TEXT CHECK ((detail IS NULL) = (state = 1)),
	player       TEXT NOT NULL,
	jurisdiction TEXT NOT NULL CHECK (length(jurisdiction) BETWEEN 2 AND 6),
	currency     TEXT NOT NULL CHECK (length(currency) = 3),
	fingerprint  BLOB NOT NULL CHECK (length(fingerprint) = 17),
	hold_seq     INTEGER,
	lines        BLOB NOT NULL,
	record_type  TEXT,
	subject      TEXT,
	data         TEXT CHECK (data IS NULL OR record_type IS NOT NULL)
) STRICT;

-- Postings by account: a balance, a balance at a time and a statement are each one range of this
-- key. A hold or its end is a posting of zero with another held amount. Rule 1: never below zero
-- available; rule 2: never above zero; rule 0: free. The row's jurisdiction is its account's.
CREATE TABLE posting (
	account_id    INTEGER NOT NULL,
	seq           INTEGER NOT NULL,
	amount_minor  INTEGER NOT NULL,
	balance_minor INTEGER NOT NULL,
	held_minor    INTEGER NOT NULL CHECK (held_minor >= 0),
	rule          INTEGER NOT NULL,
	PRIMARY KEY (account_id, seq),
	CHECK (CASE rule
		WHEN 0 THEN held_minor = 0
		WHEN 1 THEN balance_minor >= held_minor
		WHEN 2 THEN balance_minor <= 0 AND held_minor = 0
		ELSE FALSE END)
) STRICT, WITHOUT ROWID;

-- Holds, by the sequence of the transfer that made them. State 1 open, 2 posted, 3 released,
-- 4 expired; resolved_seq is the transfer that ended it.
CREATE TABLE hold (
	seq          INTEGER PRIMARY KEY,
	account_id   INTEGER NOT NULL,
	counter_id   INTEGER NOT NULL,
	jurisdiction TEXT NOT NULL CHECK (length(jurisdiction) BETWEEN 2 AND 6),
	currency     TEXT NOT NULL CHECK (length(currency) = 3),
	amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
	expires_us   INTEGER NOT NULL,
	state        INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
	posted_minor INTEGER NOT NULL CHECK (posted_minor BETWEEN 0 AND amount_minor),
	resolved_seq INTEGER CHECK ((resolved_seq IS NULL) = (state = 1))
) STRICT;

CREATE INDEX hold_open ON hold (expires_us) WHERE state = 1;
CREATE INDEX hold_open_account ON hold (account_id, expires_us) WHERE state = 1;

-- One row per commit: its sequences, its time, and the seal over its rows and the seal before it.
CREATE TABLE batch (
	last_seq  INTEGER PRIMARY KEY,
	first_seq INTEGER NOT NULL CHECK (first_seq <= last_seq),
	at_us     INTEGER NOT NULL,
	epoch     INTEGER NOT NULL,
	accounts  INTEGER NOT NULL,
	records   INTEGER NOT NULL,
	seal      BLOB NOT NULL CHECK (length(seal) = 32)
) STRICT;

CREATE INDEX batch_at ON batch (at_us, last_seq);
