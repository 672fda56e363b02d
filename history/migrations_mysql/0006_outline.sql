-- The table of ../migrations with the same name. Digests are made from the bets whenever a reader wants one, so
-- those that are there go. Every statement may run again.
DELETE FROM digest;
DELETE FROM digested;

CREATE TABLE IF NOT EXISTS outline (
	player_id VARBINARY(64) NOT NULL CHECK (player_id <> ''),
	last_bet  VARBINARY(64) NOT NULL,
	after_bet VARBINARY(64) NOT NULL,
	bets      MEDIUMBLOB NOT NULL,
	PRIMARY KEY (player_id, last_bet),
	CHECK (after_bet < last_bet)
) ENGINE = InnoDB;
