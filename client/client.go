package client

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config says where the ledger is and how patient the client is. URL and Key are required.
type Config struct {
	URL  string // of the server, without /v1
	Key  string // the service's API key
	HTTP *http.Client

	Attempts int           // of one call, 0 is 5
	Timeout  time.Duration // of one attempt, 0 is 10 s; exports have none
	Pause    time.Duration // before the second attempt, 0 is 50 ms; it doubles up to MaxPause
	MaxPause time.Duration // 0 is 2 s
}

// Client is a service's way to the ledger. It may be used by many goroutines.
type Client struct {
	config Config
	base   string
	seen   positions
}

// New returns a client. It does no I/O.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("client: Config.URL is not the address of a server")
	}
	if c.Key == "" {
		return nil, errors.New("client: Config.Key is required")
	}
	if c.Attempts < 0 || c.Timeout < 0 || c.Pause < 0 || c.MaxPause < 0 {
		return nil, errors.New("client: Config has a number below zero")
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{}
	}
	c.Attempts = orElse(c.Attempts, 5)
	c.Timeout = orElse(c.Timeout, 10*time.Second)
	c.Pause = orElse(c.Pause, 50*time.Millisecond)
	c.MaxPause = orElse(c.MaxPause, 2*time.Second)
	return &Client{config: c, base: strings.TrimSuffix(c.URL, "/") + "/v1/ledger"}, nil
}

func orElse[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// NewKey returns a fresh random key. Store it with the work it is for before the first call: a key that
// is lost cannot be asked about.
func NewKey() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // crypto/rand.Read never fails
	return hex.EncodeToString(raw[:])
}

// Saw tells the client of a position that another process was answered for a player, so that reads
// here include it. Positions that are not well-formed are ignored.
func (c *Client) Saw(player, position string) { c.seen.note(player, position) }

// positions are the latest positions seen, of players and of shards.
type positions struct {
	mu       sync.Mutex
	byPlayer map[string]string
	byShard  map[int]int64
}

// maxPlayers bounds the memory of positions. When it is full all is forgotten: reads then may be a
// moment old, no more.
const maxPlayers = 100_000

func (p *positions) note(player, position string) {
	shard, seq, ok := parsePosition(position)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byPlayer == nil || len(p.byPlayer) >= maxPlayers {
		p.byPlayer, p.byShard = map[string]string{}, orEmpty(p.byShard)
	}
	if oldShard, oldSeq, _ := parsePosition(p.byPlayer[player]); oldShard != shard || oldSeq < seq {
		p.byPlayer[player] = position
	}
	p.byShard[shard] = max(p.byShard[shard], seq)
}

func orEmpty(m map[int]int64) map[int]int64 {
	if m == nil {
		return map[int]int64{}
	}
	return m
}

// of returns the latest position of the player of an address, or "".
func (p *positions) of(address string) string {
	rest, ok := strings.CutPrefix(address, "player/")
	if !ok {
		return ""
	}
	player, _, _ := strings.Cut(rest, "/")
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byPlayer[player]
}

// all returns the latest position of each shard.
func (p *positions) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]string, 0, len(p.byShard))
	for shard, seq := range p.byShard {
		out = append(out, strconv.Itoa(shard)+"-"+strconv.FormatInt(seq, 10))
	}
	return out
}

// parsePosition reads shard-sequence.
func parsePosition(text string) (shard int, seq int64, ok bool) {
	left, right, ok := strings.Cut(text, "-")
	if !ok {
		return 0, 0, false
	}
	shard, err := strconv.Atoi(left)
	if err != nil {
		return 0, 0, false
	}
	seq, err = strconv.ParseInt(right, 10, 64)
	return shard, seq, err == nil
}
