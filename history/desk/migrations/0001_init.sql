-- What operators chose about a second history. One row.
CREATE TABLE choice (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	next    TEXT    NOT NULL,                                          -- the place of the second history that it is about
	shown   TEXT    NOT NULL CHECK (shown IN ('first', 'share', 'second')),
	share   INTEGER NOT NULL CHECK (share BETWEEN 0 AND 100),          -- of the players who see the second, in a hundred
	players TEXT    NOT NULL,                                          -- JSON array: these see it besides
	dropped TEXT    NOT NULL CHECK (dropped IN ('', 'first', 'second'))
) STRICT;

-- Every step with who took it, when and why. Append-only.
CREATE TABLE act (
	number INTEGER PRIMARY KEY,
	at_us  INTEGER NOT NULL,
	by     TEXT    NOT NULL CHECK (by <> ''),
	what   TEXT    NOT NULL,
	reason TEXT    NOT NULL CHECK (reason <> '')
) STRICT;

-- How far the second history is, as the process that feeds it said last. One row.
CREATE TABLE report (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	at_us INTEGER NOT NULL,
	body  TEXT    NOT NULL
) STRICT;
