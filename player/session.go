package player

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

const (
	tokenBytes = 32
	tokenChars = 43 // of tokenBytes in base64 without padding
)

// tokenHash is what is stored of a token. A plain hash is enough: a token is random, so there is
// no dictionary to try.
type tokenHash [sha256.Size]byte

// newToken returns a fresh token and its hash.
func newToken() (string, tokenHash) {
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw) // crypto/rand.Read never fails
	token := base64.RawURLEncoding.EncodeToString(raw)
	return token, hashToken(token)
}

func hashToken(token string) tokenHash { return sha256.Sum256([]byte(token)) }

// cache keeps the sessions used last in memory, bounded, the one not used for longest leaving
// first. It never holds a session that has been revoked: see put.
type cache struct {
	mu         sync.Mutex
	size       int
	byHash     map[tokenHash]*list.Element
	used       *list.List // of *cached, last used first
	generation uint64     // raised by each drop
}

type cached struct {
	hash    tokenHash
	session Session
}

func newCache(size int) *cache {
	return &cache{size: size, byHash: map[tokenHash]*list.Element{}, used: list.New()}
}

// find returns a session that is open at now. If there is none it returns the generation, to be
// given to put with what the database says.
func (c *cache) find(h tokenHash, now time.Time) (s Session, ok bool, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byHash[h]
	if !ok {
		return Session{}, false, c.generation
	}
	entry := e.Value.(*cached)
	if !now.Before(entry.session.ExpiresAt) {
		c.remove(e)
		return Session{}, false, c.generation
	}
	c.used.MoveToFront(e)
	return entry.session, true, c.generation
}

// put keeps a session that was read from the database after find returned the generation. If
// anything was dropped since, what was read may be a revoked session and is not kept.
func (c *cache) put(h tokenHash, s Session, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if e, ok := c.byHash[h]; ok {
		e.Value.(*cached).session = s
		return
	}
	c.byHash[h] = c.used.PushFront(&cached{hash: h, session: s})
	if c.used.Len() > c.size {
		c.remove(c.used.Back())
	}
}

// drop forgets sessions. It is called after the database has forgotten or changed them.
func (c *cache) drop(hashes []tokenHash) {
	if len(hashes) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for _, h := range hashes {
		if e, ok := c.byHash[h]; ok {
			c.remove(e)
		}
	}
}

func (c *cache) remove(e *list.Element) {
	delete(c.byHash, e.Value.(*cached).hash)
	c.used.Remove(e)
}
