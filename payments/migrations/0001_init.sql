-- One deposit or withdrawal. Rows are never deleted and never change once final.
-- direction: 1 deposit, 2 withdrawal
-- status:    1 pending, 2 completed, 3 declined, 4 returned
-- step:      1 charge, 2 credit (deposits); 3 withhold, 4 pay, 5 complete, 6 return (withdrawals); 7 done
CREATE TABLE payment (
	id           TEXT    PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
	jurisdiction TEXT    NOT NULL CHECK (length(jurisdiction) BETWEEN 4 AND 6),
	player_id    TEXT    NOT NULL CHECK (length(player_id) BETWEEN 1 AND 64),
	key          TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
	direction    INTEGER NOT NULL CHECK (direction IN (1, 2)),
	amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
	currency     TEXT    NOT NULL CHECK (length(currency) = 3),
	method       TEXT    NOT NULL CHECK (length(method) BETWEEN 1 AND 40),
	provider     TEXT    NOT NULL CHECK (length(provider) BETWEEN 1 AND 40),
	status       INTEGER NOT NULL CHECK (status BETWEEN 1 AND 4),
	step         INTEGER NOT NULL CHECK (step BETWEEN 1 AND 7),
	reason       TEXT    NOT NULL DEFAULT '' CHECK (length(reason) <= 200),
	attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
	due_us       INTEGER NOT NULL CHECK (due_us > 0),
	created_us   INTEGER NOT NULL CHECK (created_us > 0),
	updated_us   INTEGER NOT NULL CHECK (updated_us > 0),
	shard        INTEGER NOT NULL DEFAULT 0 CHECK (shard >= 0),
	seq          INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),
	UNIQUE (jurisdiction, player_id, key),
	CHECK ((status = 1) = (step < 7)),
	CHECK ((direction = 1 AND step IN (1, 2, 7)) OR (direction = 2 AND step IN (3, 4, 5, 6, 7))),
	CHECK (status NOT IN (2, 4) OR seq > 0),
	CHECK (status <> 4 OR direction = 2),
	CHECK (status NOT IN (3, 4) OR reason <> '')
) STRICT, WITHOUT ROWID;

CREATE INDEX payment_due ON payment (due_us) WHERE status = 1;
CREATE INDEX payment_by_player ON payment (jurisdiction, player_id, id);

-- Final is final, whatever the program does.
CREATE TRIGGER payment_final
BEFORE UPDATE ON payment
WHEN OLD.status <> 1
BEGIN
	SELECT RAISE(ABORT, 'a final payment cannot change');
END;
