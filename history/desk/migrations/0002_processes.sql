-- The same tables as ../migrations_mysql has, where several processes share a history.
INSERT OR IGNORE INTO choice (one, next, shown, share, players, dropped) VALUES (1, '', 'first', 0, '[]', '');

ALTER TABLE act RENAME COLUMN by TO by_whom;

-- How far the second history of a shard is, as the process that feeds it said last: it says so anew each second.
DROP TABLE report;

CREATE TABLE report (
	shard INTEGER PRIMARY KEY CHECK (shard >= 0),
	next  TEXT    NOT NULL,
	at_us INTEGER NOT NULL,
	body  TEXT    NOT NULL
) STRICT;

-- When each process looked here last, and up to which act it went by what was chosen.
CREATE TABLE look (
	process TEXT    PRIMARY KEY CHECK (process <> ''),
	next    TEXT    NOT NULL,
	at_us   INTEGER NOT NULL,
	acts    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
