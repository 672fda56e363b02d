package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"matchday/errs"
	"matchday/money"
	"matchday/stream"
)

// Bounds of one transfer.
const (
	// MaxKeyBytes bounds a caller's key.
	MaxKeyBytes = 200
	// MinPostings and MaxPostings bound the lines of a transfer that moves money.
	MinPostings = 2
	// MaxPostings is the most lines a transfer may have.
	MaxPostings = 8
	// MaxRequestBytes bounds Transfer.Request.
	MaxRequestBytes = 64

	maxSubjectBytes = 100
	maxTypeBytes    = 100
)

// Keys that start so are those of transfers that the ledger makes itself.
const (
	expirePrefix = "expire:" // a hold ran out
	groupPrefix  = "group:"  // the rows of a group
	movePrefix   = "move:"   // buckets move
)

// fingerprint decides between replay and conflict: a tag saying what was hashed, and 16 bytes of
// SHA-256 over it.
type fingerprint [17]byte

const (
	tagPostings byte = 1 // kind, postings and record were hashed
	tagRequest  byte = 2 // the caller's own digest of its request was hashed
)

// entry is one transfer on its way to the writer, checked and fingerprinted in the caller's
// goroutine so that the writer only applies.
type entry struct {
	t      *Transfer
	types  [MaxPostings]accountType // of the postings' accounts
	print  fingerprint
	size   int
	extra  []byte         // what the row has besides its columns; nil for nearly all
	asked  *accountChange // with KindLimits and KindMetadata
	bucket int            // of the player
	out    *Result
}

// prepare checks everything about the transfer that needs no state.
func prepare(t *Transfer) (entry, error) {
	e, err := prepareMember(t, "")
	if err == nil && kinds[t.Kind].grouped {
		var check errs.Check
		check.Add("kind", "%s belongs in a group, with its counterpart", t.Kind)
		err = check.Err()
	}
	return e, err
}

// prepareMember is prepare for a transfer of the group with the key; "" is none.
func prepareMember(t *Transfer, group string) (entry, error) {
	e := entry{t: t, size: 256 + len(t.Key) + len(t.HoldKey)}
	var check errs.Check
	checkCallersKey(&check, "key", t.Key)
	if !t.Kind.valid() || kinds[t.Kind].internal {
		check.Add("kind", "is unknown")
		return e, check.Err()
	}
	if !isName(string(t.Player), 64) {
		check.Add("player", "must be 1 to 64 letters, digits, underscores or hyphens")
	}
	if !isJurisdiction(string(t.Jurisdiction)) {
		check.Add("jurisdiction", "must look like US-NJ")
	}
	if _, err := money.ParseCurrency(string(t.Currency)); err != nil {
		check.Add("currency", "is unknown")
	}
	if len(t.Request) > MaxRequestBytes {
		check.Add("request", "must be at most %d bytes", MaxRequestBytes)
	}
	if kinds[t.Kind].resolves {
		e.checkResolution(&check)
	} else {
		e.checkPostings(&check)
	}
	if t.Record != nil {
		checkRecord(&check, t.Record)
		e.size += len(t.Record.Data)
	}
	if len(t.Metadata) > 0 {
		checkMetadata(&check, "metadata", t.Metadata)
	}
	if err := check.Err(); err != nil {
		return e, err
	}
	e.print, e.bucket = t.fingerprint(), bucketOf(t.Player)
	if len(t.Metadata) > 0 || group != "" {
		e.extra = encodeExtra(extra{Metadata: t.Metadata, Group: group})
		e.size += len(e.extra)
	}
	return e, nil
}

// checkCallersKey is checkKey for keys that callers choose.
func checkCallersKey(check *errs.Check, location, key string) {
	checkKey(check, location, key)
	for _, own := range [...]string{expirePrefix, groupPrefix, movePrefix} {
		if strings.HasPrefix(key, own) {
			check.Add(location, "must not start with %q, which the ledger uses itself", own)
		}
	}
}

func checkKey(check *errs.Check, location, key string) {
	if key == "" || len(key) > MaxKeyBytes {
		check.Add(location, "must be 1 to %d bytes", MaxKeyBytes)
		return
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			check.Add(location, "must be printable ASCII")
			return
		}
	}
}

// checkResolution checks the kinds that end a hold.
func (e *entry) checkResolution(check *errs.Check) {
	t := e.t
	checkKey(check, "hold_key", t.HoldKey)
	if strings.HasPrefix(t.HoldKey, groupPrefix) {
		check.Add("hold_key", "is a group's reservation, which only its group ends")
	}
	if len(t.Postings) > 0 {
		check.Add("postings", "must be empty: those of the hold count")
	}
	if t.Hold != nil {
		check.Add("hold", "belongs to kind hold only")
	}
	if t.AmountMinor != 0 && t.Kind != KindPost {
		check.Add("amount_minor", "belongs to kind post only")
	}
	if t.AmountMinor < 0 || t.AmountMinor > money.MaxMinor {
		check.Add("amount_minor", "must be 0 (all of the hold) to %d", money.MaxMinor)
	}
}

// checkPostings checks the kinds that bring their own postings.
func (e *entry) checkPostings(check *errs.Check) {
	t := e.t
	if t.HoldKey != "" || t.AmountMinor != 0 {
		check.Add("hold_key", "belongs to kinds post, release and expire only")
	}
	if (t.Hold != nil) != (t.Kind == KindHold) {
		check.Add("hold", "belongs to kind hold, which requires it")
	}
	if t.Kind == KindHold && len(t.Postings) != 2 {
		check.Add("postings", "of a hold must be exactly 2")
		return
	}
	if n := len(t.Postings); n < MinPostings || n > MaxPostings {
		check.Add("postings", "must be %d to %d", MinPostings, MaxPostings)
		return
	}
	var sum int64
	for i := range t.Postings {
		sum += e.checkPosting(check, i) // 8 amounts of at most MaxMinor cannot overflow
	}
	if sum != 0 {
		check.Add("postings", "must sum to zero, not %d", sum)
	}
}

// checkPosting checks line i and returns its amount, 0 if it is out of range.
func (e *entry) checkPosting(check *errs.Check, i int) int64 {
	t, p := e.t, &e.t.Postings[i]
	at := func(field string) string { return fmt.Sprintf("postings[%d].%s", i, field) }
	parts, ok := parseAddress(string(p.Account))
	if !ok {
		check.Add(at("account"), "is not an account address")
		return p.AmountMinor
	}
	e.types[i] = parts.kind
	e.size += 64
	if parts.jurisdiction != t.Jurisdiction {
		check.Add(at("account"), "is in jurisdiction %s, the transfer in %.8s", parts.jurisdiction, t.Jurisdiction)
	}
	if parts.player != "" && parts.player != t.Player {
		check.Add(at("account"), "belongs to another player")
	}
	if p.AmountMinor > money.MaxMinor || p.AmountMinor < -money.MaxMinor {
		check.Add(at("amount_minor"), "must be at most %d either way", money.MaxMinor)
		return 0
	}
	if p.AmountMinor == 0 && !kinds[t.Kind].zero {
		check.Add(at("amount_minor"), "must not be zero")
		return 0
	}
	allowed, verb := kinds[t.Kind].credits, "credit"
	if p.AmountMinor < 0 {
		allowed, verb = kinds[t.Kind].debits, "debit"
	}
	if !allowed.has(parts.kind) {
		check.Add(at("account"), "kind %s may not %s an account of type %s", t.Kind, verb, parts.kind)
	}
	for j := range i {
		if t.Postings[j].Account == p.Account {
			check.Add(at("account"), "appears twice")
		}
	}
	return p.AmountMinor
}

func checkRecord(check *errs.Check, r *stream.Draft) {
	if r.Type == "" || len(r.Type) > maxTypeBytes || !utf8.ValidString(r.Type) {
		check.Add("record.type", "must be 1 to %d bytes of UTF-8", maxTypeBytes)
	}
	if len(r.Subject) > maxSubjectBytes || !utf8.ValidString(r.Subject) {
		check.Add("record.subject", "must be at most %d bytes of UTF-8", maxSubjectBytes)
	}
	if len(r.Data) > stream.MaxRecordBytes {
		check.Add("record.data", "must be at most %d bytes", stream.MaxRecordBytes)
		return
	}
	// Names that appear twice are read differently by different readers, so no record has any.
	if len(r.Data) == 0 || r.Data[0] != '{' || !jsontext.Value(r.Data).IsValid() {
		check.Add("record.data", "must be a JSON object in UTF-8 without duplicate names")
	}
}

// fingerprint hashes what decides whether a second transfer with the key is the same request.
func (t *Transfer) fingerprint() fingerprint {
	var stack [1024]byte
	b := stack[:0]
	tag := tagPostings
	b = append(b, byte(t.Kind))
	b = appendText(b, string(t.Player))
	b = appendText(b, string(t.Jurisdiction))
	b = appendText(b, string(t.Currency))
	b = appendText(b, t.HoldKey)
	if len(t.Request) > 0 {
		tag = tagRequest
		b = appendText(b, string(t.Request))
	} else {
		b = t.appendContent(b)
	}
	if len(t.Metadata) > 0 {
		b = appendMetadata(b, t.Metadata)
	}
	var f fingerprint
	sum := sha256.Sum256(b)
	f[0] = tag
	copy(f[1:], sum[:])
	return f
}

// appendContent appends postings, hold terms and record.
func (t *Transfer) appendContent(b []byte) []byte {
	b = binary.AppendVarint(b, t.AmountMinor)
	b = binary.AppendUvarint(b, uint64(len(t.Postings)))
	for i := range t.Postings {
		b = appendText(b, string(t.Postings[i].Account))
		b = binary.AppendVarint(b, t.Postings[i].AmountMinor)
	}
	if t.Hold != nil {
		b = binary.AppendVarint(b, t.Hold.ExpiresAt.UnixMicro())
	}
	if t.Record != nil {
		b = appendText(b, t.Record.Type)
		b = appendText(b, t.Record.Subject)
		b = appendText(b, string(t.Record.Data))
	}
	return b
}
