-- Where the bets that are kept begin: those of the jurisdiction with a smaller id are over once they are
-- settled, and are deleted some at a time. It never goes back.
CREATE TABLE kept_from (
	jurisdiction TEXT NOT NULL PRIMARY KEY CHECK (jurisdiction <> ''),
	bet_id       TEXT NOT NULL CHECK (bet_id <> '')
) STRICT, WITHOUT ROWID;
