-- Players whose digest a process wants that reads the shard and does not write it: who writes it makes them. A file is read
-- by one process, so ../migrations has no such table.
CREATE TABLE IF NOT EXISTS digest_ask (
	player_id VARBINARY(64) NOT NULL PRIMARY KEY CHECK (player_id <> '')
) ENGINE = InnoDB;
