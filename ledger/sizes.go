package ledger

import "slices"

// What a shard keeps in memory is sized by how many shards the process may have to write: up to four
// have all they can use, several hundred share about as much between them. Measured by
// TestManyShards.

// share returns a shard's part of a total, within bounds.
func (c Config) share(total, least, most int) int {
	return min(max(total/c.shards(), least), most)
}

// sized returns the configuration with every size filled in.
//
// The writer's page cache is 6 MiB at most. More is slower: after a page split SQLite walks its whole
// cache at the commit. With 64 MiB that was a third of a small batch's time, with 16 MiB 6 % of all that a
// million payouts cost. What the cache misses the system's own cache has.
func (c Config) sized() Config {
	c.PageCacheKiB = orDefault(c.PageCacheKiB, c.share(64<<10, 512, 6<<10))
	c.CachedAccounts = orDefault(c.CachedAccounts, c.share(800_000, 4_000, 200_000))
	c.QueuedInteractive = orDefault(c.QueuedInteractive, c.share(80_000, 2_000, 20_000))
	c.QueuedBulk = orDefault(c.QueuedBulk, c.share(400_000, 10_000, 100_000))
	return c
}

// knownKeys is how many of the keys seen last a shard remembers.
func (c Config) knownKeys() int { return c.share(128<<10, 1<<10, 32<<10) }

// ringBytes is how many bytes of records a shard keeps for relays that keep up.
func (c Config) ringBytes() int { return c.share(128<<20, 1<<20, 32<<20) }

// WithDefaults returns the configuration with everything filled in that was left out, as a process runs
// with it. What only several processes need stays empty without internal_listen.
func (c Config) WithDefaults() Config {
	c.Shards = c.shards()
	c = c.sized()
	c.BatchRows, c.Readers = c.batchRows(), c.readers()
	c.SweepEvery, c.SlowBatch, c.FailoverWait = c.sweepEvery(), c.slowBatch(), c.failoverWait()
	c.MaxReplicaLag = orDefault(c.MaxReplicaLag, defaultReplicaLag)
	if c.isShared() {
		c.Lease, c.InternalSecretFile = c.lease(), c.secretFile()
	}
	c.Clusters = slices.Clone(c.Clusters)
	for i := range c.Clusters {
		c.Clusters[i].Config = c.Clusters[i].Config.WithDefaults()
	}
	return c
}
