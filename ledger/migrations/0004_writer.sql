-- Who holds the epoch: a name made anew at each take-over. A writer that has raised its own epoch, and
-- lost the answer, knows by it that the epoch is still its own.
ALTER TABLE shard ADD COLUMN writer TEXT NOT NULL DEFAULT '';
