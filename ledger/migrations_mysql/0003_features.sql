-- Groups, limits and metadata; see ../migrations/0003_features.sql. Kinds and posting rules were wide
-- enough from the start here. The ALTER comes last: a second run ends there, and nothing is left undone.

CREATE TABLE IF NOT EXISTS account_limit (
	account_id BIGINT NOT NULL,
	seq        BIGINT NOT NULL,
	version    BIGINT NOT NULL CHECK (version >= 1),
	min_minor  BIGINT,
	max_minor  BIGINT CHECK (max_minor >= 0),
	freeze     TINYINT NOT NULL CHECK (freeze BETWEEN 0 AND 2),
	PRIMARY KEY (account_id, seq),
	CHECK (min_minor IS NULL OR max_minor IS NULL OR min_minor <= max_minor)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS account_metadata (
	account_id BIGINT NOT NULL,
	seq        BIGINT NOT NULL,
	data       MEDIUMBLOB NOT NULL,
	PRIMARY KEY (account_id, seq)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS grp (
	seq       BIGINT NOT NULL PRIMARY KEY,
	state     TINYINT NOT NULL CHECK (state IN (1, 2)),
	ended_seq BIGINT,
	CHECK ((ended_seq IS NULL) = (state = 1)),
	KEY grp_open (state, seq)
) ENGINE = InnoDB;

ALTER TABLE transfer ADD COLUMN extra MEDIUMBLOB;
