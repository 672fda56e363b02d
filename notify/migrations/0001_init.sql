-- Where webhooks go. Secrets are kept readable: each request is signed with them.
CREATE TABLE subscription (
	id               TEXT    NOT NULL PRIMARY KEY,
	url              TEXT    NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
	types            TEXT    NOT NULL CHECK (types <> ''), -- with spaces between
	jurisdiction     TEXT    NOT NULL,                     -- '' is every one
	secret           TEXT    NOT NULL,
	old_secret       TEXT    NOT NULL DEFAULT '',
	old_until_us     INTEGER NOT NULL DEFAULT 0,
	state            INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3), -- 1 active, 2 paused, 3 disabled
	reason           TEXT    NOT NULL DEFAULT '',
	failing_since_us INTEGER NOT NULL DEFAULT 0,
	created_by       TEXT    NOT NULL,
	created_us       INTEGER NOT NULL
) STRICT;

-- One record on its way to one subscription. Delivered rows are kept for a while, for staff.
CREATE TABLE delivery (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	subscription_id TEXT    NOT NULL REFERENCES subscription (id) ON DELETE CASCADE,
	event_id        TEXT    NOT NULL,
	type            TEXT    NOT NULL,
	player          TEXT    NOT NULL,
	body            BLOB    NOT NULL,
	state           INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3), -- 1 queued, 2 delivered, 3 dead
	attempts        INTEGER NOT NULL DEFAULT 0,
	queued_us       INTEGER NOT NULL,
	next_us         INTEGER NOT NULL,
	done_us         INTEGER NOT NULL DEFAULT 0,
	status          INTEGER NOT NULL DEFAULT 0, -- of the last answer; 0 is none
	detail          TEXT    NOT NULL DEFAULT '',
	UNIQUE (subscription_id, event_id)
) STRICT;

CREATE INDEX delivery_by_state ON delivery (subscription_id, state, player, id);
