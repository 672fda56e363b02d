package ledger

import (
	"matchday/id"
)

// buckets is the number of parts the players are cut into. A bucket lives on one shard; moving one
// is how a shard is relieved, so there are many more of them than shards.
const buckets = 1024

// placement says which shard a bucket lives on.
type placement [buckets]uint16

// newPlacement spreads the buckets evenly over the shards.
func newPlacement(shards int) placement {
	var p placement
	for b := range p {
		p[b] = uint16(b * shards / buckets) // #nosec: below maxShards
	}
	return p
}

func (p *placement) shardOf(player id.Player) int { return int(p[bucketOf(player)]) }

// bucketOf hashes the player with FNV-1a, folded to the number of buckets. The result is stored by
// where rows are, so it may never change.
func bucketOf(player id.Player) int {
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset)
	for i := range len(player) {
		hash = (hash ^ uint64(player[i])) * prime
	}
	return int((hash ^ hash>>32) % buckets) // #nosec: below 1,024
}
