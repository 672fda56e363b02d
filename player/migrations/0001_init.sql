-- A person in one jurisdiction. Rows are never deleted; status, password and sign-in time change.
CREATE TABLE player (
	id              TEXT    PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
	jurisdiction    TEXT    NOT NULL CHECK (length(jurisdiction) BETWEEN 4 AND 6),
	email           TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 254 AND email = lower(email)),
	display_name    TEXT    NOT NULL CHECK (length(display_name) BETWEEN 1 AND 40),
	birth_date      TEXT    NOT NULL CHECK (length(birth_date) = 10),
	password_hash   TEXT    NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
	status          INTEGER NOT NULL CHECK (status BETWEEN 1 AND 4),
	created_us      INTEGER NOT NULL CHECK (created_us > 0),
	last_sign_in_us INTEGER CHECK (last_sign_in_us > 0),
	UNIQUE (jurisdiction, email),
	UNIQUE (jurisdiction, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE staff (
	name            TEXT    PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 40),
	role            INTEGER NOT NULL CHECK (role BETWEEN 1 AND 3),
	password_hash   TEXT    NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
	created_us      INTEGER NOT NULL CHECK (created_us > 0),
	updated_us      INTEGER NOT NULL CHECK (updated_us >= created_us),
	last_sign_in_us INTEGER CHECK (last_sign_in_us > 0)
) STRICT, WITHOUT ROWID;

-- Where a member of staff may act.
CREATE TABLE staff_jurisdiction (
	staff_name   TEXT NOT NULL REFERENCES staff (name),
	jurisdiction TEXT NOT NULL CHECK (length(jurisdiction) BETWEEN 4 AND 6),
	PRIMARY KEY (staff_name, jurisdiction)
) STRICT, WITHOUT ROWID;

-- Open sessions, of a player or of a member of staff. Revoking deletes the row.
CREATE TABLE session (
	token_hash   BLOB    PRIMARY KEY CHECK (length(token_hash) = 32),
	id           TEXT    NOT NULL UNIQUE,
	player_id    TEXT,
	jurisdiction TEXT,
	staff_name   TEXT    REFERENCES staff (name),
	created_us   INTEGER NOT NULL CHECK (created_us > 0),
	expires_us   INTEGER NOT NULL CHECK (expires_us > created_us),
	previous_us  INTEGER CHECK (previous_us > 0),
	FOREIGN KEY (jurisdiction, player_id) REFERENCES player (jurisdiction, id),
	CHECK ((player_id IS NULL) <> (staff_name IS NULL)),
	CHECK ((player_id IS NULL) = (jurisdiction IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX session_by_player ON session (player_id, created_us) WHERE player_id IS NOT NULL;
CREATE INDEX session_by_staff ON session (staff_name, created_us) WHERE staff_name IS NOT NULL;
CREATE INDEX session_by_expiry ON session (expires_us);

-- Failed sign-ins, also of addresses that nobody has: the subject is a hash of who was tried.
-- Rows go with the next success or some time after the last failure.
CREATE TABLE sign_in_failure (
	subject         BLOB    PRIMARY KEY CHECK (length(subject) = 32),
	failures        INTEGER NOT NULL CHECK (failures > 0),
	last_us         INTEGER NOT NULL CHECK (last_us > 0),
	locked_until_us INTEGER NOT NULL CHECK (locked_until_us >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_in_failure_by_time ON sign_in_failure (last_us);
