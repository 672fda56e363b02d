package ledger

import (
	"hash/maphash"

	"matchday/money"
)

// account is an account as the writer works with it. Posted and held include the batch being built;
// the saved fields are what a rolled-back batch restores.
type account struct {
	id           int64
	address      Address
	parts        addressParts
	currency     money.Currency
	posted, held int64
	limits       *limitsExtra // nil for nearly all; once set, never nil again

	batch                  uint64 // number of the last batch that touched it
	savedPosted, savedHeld int64
	savedLimits            *limitsExtra
	prev, next             *account // neighbours by last use
}

// rule is the bound that the account's postings are written with.
func (a *account) rule() rule {
	if a.limits != nil {
		return ruleLimited
	}
	return a.parts.kind.rule()
}

// accountCache keeps the accounts used last. It belongs to one writer. Balances of accounts that
// are not in it are in the store, so what is evicted between batches is never lost.
type accountCache struct {
	limit     int
	byAddress map[Address]*account
	root      account // ring: root.next is used last, root.prev first
}

func newAccountCache(limit int) *accountCache {
	c := &accountCache{limit: limit}
	c.clear()
	return c
}

// clear forgets everything.
func (c *accountCache) clear() {
	c.byAddress = make(map[Address]*account, min(c.limit, 1<<8))
	c.root.prev, c.root.next = &c.root, &c.root
}

// find returns the account and marks it used, or nil.
func (c *accountCache) find(a Address) *account {
	found := c.byAddress[a]
	if found != nil && c.root.next != found {
		found.prev.next, found.next.prev = found.next, found.prev
		c.link(found)
	}
	return found
}

// add puts a in front. The cache may exceed its limit until trim.
func (c *accountCache) add(a *account) {
	c.byAddress[a.address] = a
	c.link(a)
}

func (c *accountCache) link(a *account) {
	a.prev, a.next = &c.root, c.root.next
	a.prev.next, a.next.prev = a, a
}

// remove forgets one account.
func (c *accountCache) remove(a *account) {
	delete(c.byAddress, a.address)
	a.prev.next, a.next.prev = a.next, a.prev
}

// trim evicts down to the limit. Called between batches only: an account of the batch being built
// must stay.
func (c *accountCache) trim() {
	for len(c.byAddress) > c.limit {
		c.remove(c.root.prev)
	}
}

// keyRing remembers the keys seen last. A hit means "look in the store first"; a miss means
// nothing, so forgetting is harmless, and so are two keys that are taken for one another. It keeps no key itself but a hash of it:
// without pointers, garbage collection does not look into it, and need not follow a hundred thousand keys each time.
type keyRing struct {
	seed maphash.Seed
	keys []uint64
	set  map[uint64]struct{}
	next int
	full bool // every place of keys is taken
}

func newKeyRing(size int) *keyRing {
	return &keyRing{seed: maphash.MakeSeed(), keys: make([]uint64, size), set: make(map[uint64]struct{}, size)}
}

func (r *keyRing) add(key string) {
	hash := maphash.String(r.seed, key)
	if _, ok := r.set[hash]; ok {
		return
	}
	if r.full {
		delete(r.set, r.keys[r.next])
	}
	r.keys[r.next] = hash
	r.set[hash] = struct{}{}
	if r.next++; r.next == len(r.keys) {
		r.next, r.full = 0, true
	}
}

func (r *keyRing) has(key string) bool {
	_, ok := r.set[maphash.String(r.seed, key)]
	return ok
}
