package ledger

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// Bounds of metadata, of a transfer and of an account.
const (
	// MaxMetadata is how many entries there may be.
	MaxMetadata = 16
	// MaxMetadataNameBytes bounds a name, which is printable ASCII.
	MaxMetadataNameBytes = 64
	// MaxMetadataValueBytes bounds a value, which is UTF-8.
	MaxMetadataValueBytes = 512
)

// MetadataChange asks to change the metadata of a player account: Set adds and overwrites, Remove takes
// away, in one row of the log under Key. An account has at most MaxMetadata entries.
type MetadataChange struct {
	Key      string
	Account  Address
	Currency money.Currency // opens the account if nobody has used it yet
	Set      map[string]string
	Remove   []string
}

// SetMetadata changes an account's metadata.
//
// Idempotency: Key is kept as a transfer's.
//
// Errors: invalid; limit_reached if the account would have too many entries (final under Key);
// conflict for a key used before; unavailable as for Commit.
func (s *Service) SetMetadata(ctx context.Context, c MetadataChange) error {
	e, err := c.prepare()
	if err != nil {
		return err
	}
	return s.change(ctx, e, opMetadata, &c)
}

// prepare checks the change and makes it an entry for the writer.
func (c *MetadataChange) prepare() (entry, error) {
	e, check := prepareChange(c.Key, KindMetadata, c.Account, c.Currency)
	checkMetadata(check, "set", c.Set)
	if len(c.Set)+len(c.Remove) == 0 {
		check.Add("set", "or remove must name an entry")
	}
	if len(c.Remove) > MaxMetadata {
		check.Add("remove", "must be at most %d", MaxMetadata)
	}
	for _, name := range c.Remove {
		if _, both := c.Set[name]; both {
			check.Add("remove", "names %.64q, which is also set", name)
		}
	}
	if err := check.Err(); err != nil {
		return e, err
	}
	remove := slices.Clone(c.Remove)
	slices.Sort(remove)
	e.asked.metadata = &metadataChange{c.Set, remove}
	content := appendMetadata(nil, c.Set)
	for _, name := range remove {
		content = appendText(content, name)
	}
	e.digest(content)
	return e, nil
}

// metadataChange is what a row of kind metadata does.
type metadataChange struct {
	set    map[string]string
	remove []string
}

// Metadata returns the metadata of an account; an account without any has an empty map.
func (s *Service) Metadata(ctx context.Context, a Address) (map[string]string, error) {
	parts, err := playerAddress(a)
	if err != nil {
		return nil, err
	}
	return atHome(ctx, s, parts.player, func() (map[string]string, error) {
		one, err := s.home(parts.player)
		if err != nil {
			return nil, err
		}
		return one.store.metadata(ctx, a)
	})
}

// TransferMetadata returns the metadata that a player's transfer was committed with; not_found if there
// is no transfer with the key.
func (s *Service) TransferMetadata(ctx context.Context, p id.Player, key string) (map[string]string, error) {
	_, old, found, err := s.answered(ctx, p, key)
	if err != nil {
		return nil, err
	}
	if !found || old.player != p {
		return nil, errs.New(errs.CodeNotFound, "there is no transfer %s", key)
	}
	x, err := decodeExtra(old.extra)
	if x.Metadata == nil {
		x.Metadata = map[string]string{}
	}
	return x.Metadata, err
}

// checkMetadata adds what is wrong with names and values.
func checkMetadata(check *errs.Check, location string, list map[string]string) {
	if len(list) > MaxMetadata {
		check.Add(location, "must have at most %d entries", MaxMetadata)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if name == "" || len(name) > MaxMetadataNameBytes || !isPrintable(name) {
			check.Add(location, "has the name %.64q: names are 1 to %d bytes of printable ASCII", name, MaxMetadataNameBytes)
		}
		if value := list[name]; len(value) > MaxMetadataValueBytes || !utf8.ValidString(value) {
			check.Add(location+"."+name, "must be at most %d bytes of UTF-8", MaxMetadataValueBytes)
		}
	}
}

func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// appendMetadata appends names and values in order, for a fingerprint.
func appendMetadata(b []byte, list map[string]string) []byte {
	b = append(b, 'm')
	for _, name := range slices.Sorted(maps.Keys(list)) {
		b = appendText(b, name)
		b = appendText(b, list[name])
	}
	return b
}

// after returns the metadata that the change makes of before.
func (m *metadataChange) after(before map[string]string) map[string]string {
	out := maps.Clone(before)
	if out == nil {
		out = make(map[string]string, len(m.set))
	}
	for _, name := range m.remove {
		delete(out, name)
	}
	maps.Copy(out, m.set)
	return out
}

// noMetadata is an account without any. A row of the log says so by having none.
var noMetadata = []byte("{}")

// encodeMetadata is how the table of account metadata has it: JSON with the names in order.
func encodeMetadata(list map[string]string) []byte {
	if len(list) == 0 {
		return noMetadata
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil // cannot be: texts only
	}
	return b
}

// describe changes an account's metadata.
func (b *builder) describe(ctx context.Context, e *entry) error {
	a, err := b.changed(e)
	if err != nil {
		return err
	}
	before, known := b.notes[e.asked.address]
	if !known && a != nil {
		if before, err = b.store.accountMetadata(ctx, a.id); err != nil {
			return err
		}
	}
	after := e.asked.metadata.after(before)
	if len(after) > MaxMetadata {
		b.refuse(e, nil, errs.New(errs.CodeLimitReached, "an account has at most %d entries of metadata", MaxMetadata))
		return nil
	}
	a = b.openChanged(a, e)
	b.notes[a.address] = after
	e.extra = encodeExtra(extra{Account: after})
	r := b.begin(e)
	b.post(r, a, 0, 0)
	b.out.notes = append(b.out.notes, accountNote{account: a.id, seq: r.seq, data: encodeMetadata(after)})
	b.finish(r, e)
	return nil
}
