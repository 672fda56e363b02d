-- Under which epoch of the ledger's shard the history is written, where several processes share it: the DBTx of
-- any other is rolled back. Every statement may run again.
CREATE TABLE IF NOT EXISTS tenure (
	one   INT NOT NULL PRIMARY KEY CHECK (one = 1),
	epoch BIGINT NOT NULL CHECK (epoch >= 0)
) ENGINE = InnoDB;

INSERT IGNORE INTO tenure (one, epoch) VALUES (1, 0);
