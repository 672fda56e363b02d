package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"matchday/errs"
	"matchday/stream"
)

// replay answers a key that the log has already.
func (b *builder) replay(ctx context.Context, e *entry, old *storedTransfer) error {
	if old.print != e.print {
		field, err := b.differs(ctx, e.t, old)
		if err != nil {
			return err
		}
		e.out.Err = conflict(e.t.Key, field)
		return nil
	}
	*e.out = old.result(b.shard)
	return nil
}

// conflict is the answer to a key used for another request.
func conflict(key, field string) error {
	return errs.New(errs.CodeConflict, "key %s was used for another request: %s differs", key, field)
}

// differsInBatch names the first field in which two requests of one batch differ.
func differsInBatch(t, first *Transfer) string {
	old := storedTransfer{
		kind: first.Kind, player: first.Player, jurisdiction: first.Jurisdiction, currency: first.Currency,
	}
	if field := differsInHead(t, &old); field != "" {
		return field
	}
	switch {
	case len(t.Request) > 0 || len(first.Request) > 0:
		return "request"
	case kinds[t.Kind].internal:
		return "change"
	case t.HoldKey != first.HoldKey:
		return "hold_key"
	case t.AmountMinor != first.AmountMinor:
		return "amount_minor"
	case len(t.Postings) != len(first.Postings):
		return "postings"
	}
	for i := range t.Postings {
		if t.Postings[i].Account != first.Postings[i].Account {
			return postingField(i, "account")
		}
		if t.Postings[i].AmountMinor != first.Postings[i].AmountMinor {
			return postingField(i, "amount_minor")
		}
	}
	if t.Hold != nil && !t.Hold.ExpiresAt.Equal(first.Hold.ExpiresAt) {
		return "hold.expires_at"
	}
	if !maps.Equal(t.Metadata, first.Metadata) {
		return "metadata"
	}
	if first.Record == nil {
		return "record"
	}
	return differsInRecord(t.Record, first.Record.Type, first.Record.Subject, first.Record.Data)
}

// differsInHead compares what every row keeps as columns; "" if nothing differs.
func differsInHead(t *Transfer, old *storedTransfer) string {
	switch {
	case t.Kind != old.kind:
		return "kind"
	case t.Player != old.player:
		return "player"
	case t.Jurisdiction != old.jurisdiction:
		return "jurisdiction"
	case t.Currency != old.currency:
		return "currency"
	}
	return ""
}

// differs names the first field in which the request is not the one the key was first used with.
func (b *builder) differs(ctx context.Context, t *Transfer, old *storedTransfer) (string, error) {
	if field := differsInHead(t, old); field != "" {
		return field, nil
	}
	if len(t.Request) > 0 || old.print[0] == tagRequest {
		return "request", nil
	}
	var field string
	var err error
	switch {
	case kinds[t.Kind].internal:
		return "change", nil
	case kinds[t.Kind].resolves:
		field, err = b.differsInResolution(ctx, t, old)
	case t.Kind == KindHold && old.code == "":
		field, err = b.differsInHold(ctx, t, old)
	default:
		field, err = b.differsInPostings(ctx, t, old)
	}
	if err != nil || field != "" {
		return field, err
	}
	x, err := decodeExtra(old.extra)
	if err != nil || !maps.Equal(t.Metadata, x.Metadata) {
		return "metadata", err
	}
	if old.code != "" {
		return "hold or record", nil // a refusal keeps only the digest of these
	}
	return differsInRecord(t.Record, old.recordType, old.subject, old.data), nil
}

// differsInResolution compares what ends a hold.
func (b *builder) differsInResolution(ctx context.Context, t *Transfer, old *storedTransfer) (string, error) {
	h, err := b.store.hold(ctx, t.HoldKey)
	switch {
	case errs.Is(err, errs.CodeNotFound):
		return "hold_key", nil
	case err != nil:
		return "", err
	case h.seq != old.holdSeq:
		return "hold_key", nil
	}
	asked := t.AmountMinor
	if asked == 0 {
		asked = h.amount
	}
	if t.Kind == KindPost && asked != h.posted {
		return "amount_minor", nil
	}
	return "", nil
}

// differsInHold compares what a hold reserves.
func (b *builder) differsInHold(ctx context.Context, t *Transfer, old *storedTransfer) (string, error) {
	h, err := b.store.hold(ctx, old.key)
	if err != nil {
		return "", err
	}
	names, err := b.store.addresses(ctx, []int64{h.account, h.counter})
	if err != nil {
		return "", err
	}
	for i, p := range t.Postings {
		want, amount := names[h.account], -h.amount
		if p.AmountMinor > 0 {
			want, amount = names[h.counter], h.amount
		}
		if p.Account != want {
			return postingField(i, "account"), nil
		}
		if p.AmountMinor != amount {
			return postingField(i, "amount_minor"), nil
		}
	}
	if t.Hold.ExpiresAt.UnixMicro() != h.expires.UnixMicro() {
		return "hold.expires_at", nil
	}
	return "", nil
}

// differsInPostings compares the lines.
func (b *builder) differsInPostings(ctx context.Context, t *Transfer, old *storedTransfer) (string, error) {
	if len(old.lines) != len(t.Postings) {
		return "postings", nil
	}
	ids := make([]int64, len(old.lines))
	for i := range old.lines {
		ids[i] = old.lines[i].account
	}
	names, err := b.store.addresses(ctx, ids)
	if err != nil {
		return "", err
	}
	for i, p := range t.Postings {
		if p.Account != names[ids[i]] {
			return postingField(i, "account"), nil
		}
		if p.AmountMinor != old.lines[i].amount {
			return postingField(i, "amount_minor"), nil
		}
	}
	return "", nil
}

// differsInRecord is the last comparison: the fingerprints differ, so something here does, or the
// two requests are equal but for the order in which they were written.
func differsInRecord(d *stream.Draft, kind, subject string, data []byte) string {
	switch {
	case d == nil || kind == "":
		return "record"
	case d.Type != kind:
		return "record.type"
	case d.Subject != subject:
		return "record.subject"
	case !bytes.Equal(d.Data, data):
		return "record.data"
	}
	return "postings"
}

func postingField(i int, name string) string { return fmt.Sprintf("postings[%d].%s", i, name) }

// asAnswer tells an answer to one transfer from an error of the store, which fails the batch.
func asAnswer(err error) (*errs.Error, bool) {
	var a answered
	if errors.As(err, &a) {
		return a.err, true
	}
	return nil, false
}
