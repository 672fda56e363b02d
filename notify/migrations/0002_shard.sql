-- The shard whose log a delivery is of: where several processes deliver, each has shards of its own. The id of
-- an event begins with it.
ALTER TABLE delivery ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;
UPDATE delivery SET shard = CAST(substr(event_id, 1, instr(event_id, '-') - 1) AS INTEGER);
