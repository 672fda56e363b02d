-- What the pretended provider knows. Append-only.
-- kind: 1 charge, 2 payout
CREATE TABLE sandbox_payment (
	reference    TEXT    PRIMARY KEY CHECK (length(reference) BETWEEN 1 AND 64),
	kind         INTEGER NOT NULL CHECK (kind IN (1, 2)),
	jurisdiction TEXT    NOT NULL,
	player_id    TEXT    NOT NULL,
	amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
	currency     TEXT    NOT NULL CHECK (length(currency) = 3),
	method       TEXT    NOT NULL,
	decline      TEXT    NOT NULL, -- reason, empty if approved
	ready_us     INTEGER NOT NULL CHECK (ready_us > 0), -- pending until then
	created_us   INTEGER NOT NULL CHECK (created_us > 0)
) STRICT, WITHOUT ROWID;
