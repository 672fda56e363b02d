-- Who holds the epoch; see ../migrations/0004_writer.sql.

ALTER TABLE shard ADD COLUMN writer VARBINARY(64) NOT NULL DEFAULT '';
