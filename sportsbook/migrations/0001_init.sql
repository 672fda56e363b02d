-- The catalogue: what is offered, at what price, where. Current state in event, market, selection
-- and price; append-only history in market_change and decision.

CREATE TABLE sport (
	sport_id TEXT PRIMARY KEY CHECK (length(sport_id) BETWEEN 1 AND 100),
	name     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE competition (
	competition_id TEXT PRIMARY KEY CHECK (length(competition_id) BETWEEN 1 AND 200),
	sport_id       TEXT NOT NULL REFERENCES sport,
	name           TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
	event_id       TEXT PRIMARY KEY CHECK (length(event_id) BETWEEN 3 AND 80),
	competition_id TEXT NOT NULL REFERENCES competition,
	home           TEXT NOT NULL CHECK (home <> ''),
	away           TEXT NOT NULL CHECK (away <> ''),
	home_code      TEXT NOT NULL,
	away_code      TEXT NOT NULL,
	stadium        TEXT NOT NULL,
	starts_us      INTEGER NOT NULL,
	status         TEXT NOT NULL CHECK (status IN ('scheduled', 'live', 'ended')),
	home_score     INTEGER NOT NULL CHECK (home_score >= 0),
	away_score     INTEGER NOT NULL CHECK (away_score >= 0),
	week           INTEGER NOT NULL,
	season         INTEGER NOT NULL,
	version        INTEGER NOT NULL CHECK (version > 0),
	result_version INTEGER NOT NULL CHECK (result_version >= 0)
) STRICT, WITHOUT ROWID;

-- Where an event is offered; an event without a row is offered everywhere.
CREATE TABLE event_jurisdiction (
	event_id     TEXT NOT NULL REFERENCES event,
	jurisdiction TEXT NOT NULL CHECK (jurisdiction <> ''),
	PRIMARY KEY (event_id, jurisdiction)
) STRICT, WITHOUT ROWID;

-- line_hundredths is the line of the home or over selection.
CREATE TABLE market (
	market_id       TEXT PRIMARY KEY,
	event_id        TEXT NOT NULL REFERENCES event,
	ordinal         INTEGER NOT NULL,
	type            TEXT NOT NULL CHECK (type IN ('moneyline', 'spread', 'total')),
	status          TEXT NOT NULL CHECK (status IN ('open', 'suspended', 'closed', 'settled', 'void')),
	line_hundredths INTEGER,
	closed_us       INTEGER,
	version         INTEGER NOT NULL CHECK (version > 0),
	UNIQUE (event_id, ordinal),
	CHECK ((type = 'moneyline') = (line_hundredths IS NULL)),
	CHECK ((status IN ('open', 'suspended')) = (closed_us IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE selection (
	selection_id TEXT PRIMARY KEY,
	market_id    TEXT NOT NULL REFERENCES market,
	ordinal      INTEGER NOT NULL CHECK (ordinal IN (0, 1)),
	code         TEXT NOT NULL CHECK (code IN ('home', 'away', 'over', 'under')),
	version      INTEGER NOT NULL CHECK (version > 0),
	UNIQUE (market_id, ordinal)
) STRICT, WITHOUT ROWID;

-- The empty jurisdiction is the price everywhere; a jurisdiction's own price hides it.
CREATE TABLE price (
	selection_id TEXT NOT NULL REFERENCES selection,
	jurisdiction TEXT NOT NULL,
	american     INTEGER NOT NULL CHECK (american <= -100 OR american >= 100),
	version      INTEGER NOT NULL CHECK (version > 0),
	PRIMARY KEY (selection_id, jurisdiction)
) STRICT, WITHOUT ROWID;

-- Append only.
CREATE TABLE market_change (
	change_id    INTEGER PRIMARY KEY,
	at_us        INTEGER NOT NULL,
	actor        TEXT NOT NULL CHECK (actor <> ''),
	event_id     TEXT NOT NULL REFERENCES event,
	market_id    TEXT NOT NULL,
	selection_id TEXT NOT NULL,
	jurisdiction TEXT NOT NULL,
	field        TEXT NOT NULL,
	old          TEXT NOT NULL,
	new          TEXT NOT NULL,
	version      INTEGER NOT NULL
) STRICT;
CREATE INDEX market_change_by_event ON market_change (event_id, change_id);

-- Append only: results and voids, numbered per event. kind 1 is a result, 2 a void.
CREATE TABLE decision (
	event_id      TEXT NOT NULL REFERENCES event,
	version       INTEGER NOT NULL CHECK (version > 0),
	settlement_id TEXT NOT NULL UNIQUE,
	kind          INTEGER NOT NULL CHECK (kind IN (1, 2)),
	market_id     TEXT NOT NULL,
	home_score    INTEGER NOT NULL CHECK (home_score >= 0),
	away_score    INTEGER NOT NULL CHECK (away_score >= 0),
	reason        TEXT NOT NULL,
	entered_by    TEXT NOT NULL CHECK (entered_by <> ''),
	entered_us    INTEGER NOT NULL,
	PRIMARY KEY (event_id, version),
	CHECK ((kind = 2) = (market_id <> ''))
) STRICT, WITHOUT ROWID;
CREATE INDEX decision_by_time ON decision (entered_us);
