-- What operators chose about a second history. One row, which is always there.
CREATE TABLE IF NOT EXISTS choice (
	one     TINYINT NOT NULL PRIMARY KEY CHECK (one = 1),
	next    MEDIUMBLOB NOT NULL,                                         -- the place of the second history that it is about
	shown   VARBINARY(10) NOT NULL CHECK (shown IN ('first', 'share', 'second')),
	share   INT NOT NULL CHECK (share BETWEEN 0 AND 100),                -- of the players who see the second, in a hundred
	players MEDIUMBLOB NOT NULL,                                         -- JSON array: these see it besides
	dropped VARBINARY(10) NOT NULL CHECK (dropped IN ('', 'first', 'second'))
) ENGINE = InnoDB;

INSERT IGNORE INTO choice (one, next, shown, share, players, dropped) VALUES (1, '', 'first', 0, '[]', '');

-- Every step with who took it, when and why. Append-only.
CREATE TABLE IF NOT EXISTS act (
	number  BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	at_us   BIGINT NOT NULL,
	by_whom VARBINARY(200) NOT NULL CHECK (by_whom <> ''),
	what    VARBINARY(500) NOT NULL,
	reason  VARBINARY(500) NOT NULL CHECK (reason <> '')
) ENGINE = InnoDB;

-- How far the second history of a shard is, as the process that feeds it said last.
CREATE TABLE IF NOT EXISTS report (
	shard INT NOT NULL PRIMARY KEY CHECK (shard >= 0),
	next  MEDIUMBLOB NOT NULL,
	at_us BIGINT NOT NULL,
	body  MEDIUMBLOB NOT NULL
) ENGINE = InnoDB;

-- When each process looked here last, and up to which act it went by what was chosen.
CREATE TABLE IF NOT EXISTS look (
	process VARBINARY(300) NOT NULL PRIMARY KEY CHECK (process <> ''),
	next    MEDIUMBLOB NOT NULL,
	at_us   BIGINT NOT NULL,
	acts    BIGINT NOT NULL
) ENGINE = InnoDB;
