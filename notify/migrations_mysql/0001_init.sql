-- The tables of ../migrations with the same names, for MariaDB and MySQL 8, and what several processes need
-- that share them. Every statement may run again: MySQL commits each CREATE by itself. Texts are VARBINARY:
-- compared byte by byte.

-- Where webhooks go. Secrets are kept readable: each request is signed with them.
CREATE TABLE IF NOT EXISTS subscription (
	id               VARBINARY(64) NOT NULL PRIMARY KEY,
	url              VARBINARY(2000) NOT NULL CHECK (url <> ''),
	types            VARBINARY(4000) NOT NULL CHECK (types <> ''), -- with spaces between
	jurisdiction     VARBINARY(16) NOT NULL,                       -- '' is every one
	secret           VARBINARY(100) NOT NULL,
	old_secret       VARBINARY(100) NOT NULL DEFAULT '',
	old_until_us     BIGINT NOT NULL DEFAULT 0,
	state            TINYINT NOT NULL CHECK (state BETWEEN 1 AND 3), -- 1 active, 2 paused, 3 disabled
	reason           VARBINARY(500) NOT NULL DEFAULT '',
	failing_since_us BIGINT NOT NULL DEFAULT 0,
	created_by       VARBINARY(255) NOT NULL,
	created_us       BIGINT NOT NULL
) ENGINE = InnoDB;

-- One record on its way to one subscription. Delivered rows are kept for a while, for staff. There is no
-- foreign key: a DBTx that queues holds its subscriptions' rows instead, and a key would need one right more.
CREATE TABLE IF NOT EXISTS delivery (
	id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	subscription_id VARBINARY(64) NOT NULL,
	event_id        VARBINARY(64) NOT NULL,
	shard           INT NOT NULL CHECK (shard >= 0),
	type            VARBINARY(100) NOT NULL,
	player          VARBINARY(64) NOT NULL,
	body            MEDIUMBLOB NOT NULL,
	state           TINYINT NOT NULL CHECK (state BETWEEN 1 AND 3), -- 1 queued, 2 delivered, 3 dead
	attempts        INT NOT NULL DEFAULT 0,
	queued_us       BIGINT NOT NULL,
	next_us         BIGINT NOT NULL,
	done_us         BIGINT NOT NULL DEFAULT 0,
	status          INT NOT NULL DEFAULT 0, -- of the last answer; 0 is none
	detail          VARBINARY(255) NOT NULL DEFAULT '',
	UNIQUE KEY delivery_of_event (subscription_id, event_id),
	KEY delivery_by_state (subscription_id, state, player, id)
) ENGINE = InnoDB;

-- How far each shard's log is queued.
CREATE TABLE IF NOT EXISTS sink_position (
	name  VARBINARY(64) NOT NULL PRIMARY KEY,
	shard INT NOT NULL CHECK (shard >= 0),
	seq   BIGINT NOT NULL CHECK (seq >= 0),
	at_us BIGINT NOT NULL
) ENGINE = InnoDB;

-- The epoch under which each shard's deliveries are written: that of the process that writes the shard.
CREATE TABLE IF NOT EXISTS tenure (
	shard INT NOT NULL PRIMARY KEY CHECK (shard >= 0),
	epoch BIGINT NOT NULL CHECK (epoch >= 0)
) ENGINE = InnoDB;
