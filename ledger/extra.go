package ledger

import (
	"encoding/json"
	"fmt"

	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// extra is what a row of the log has besides its columns, as JSON in the column extra. Most rows have
// none. It is sealed as it is stored, byte for byte.
type extra struct {
	Metadata map[string]string `json:"metadata,omitempty"` // the transfer's
	Group    string            `json:"group,omitempty"`    // the key of the group the row belongs to

	Limits  *limitsExtra      `json:"limits,omitempty"`           // with KindLimits: from here on
	Account map[string]string `json:"account_metadata,omitempty"` // with KindMetadata: all of it, from here on
	Outcome *outcomeExtra     `json:"outcome,omitempty"`          // with KindGroup
	Members []groupTransfer   `json:"members,omitempty"`          // with KindGroupBegin
}

// limitsExtra are the limits of an account from the row on.
type limitsExtra struct {
	Version  int64  `json:"version"`
	MinMinor *int64 `json:"min_minor,omitempty"`
	MaxMinor *int64 `json:"max_minor,omitempty"`
	Freeze   Freeze `json:"freeze,omitempty"`
}

// outcomeExtra says what a group's row decides about.
type outcomeExtra struct {
	Members int  `json:"members"`          // rows of the group right before this one
	Failed  *int `json:"failed,omitempty"` // index, in the group, of the transfer that was refused for its own sake
}

// groupTransfer is a transfer as a group's first row keeps it until the group has ended everywhere.
type groupTransfer struct {
	Key          string            `json:"key"`
	Kind         string            `json:"kind"`
	Player       id.Player         `json:"player"`
	Jurisdiction id.Jurisdiction   `json:"jurisdiction"`
	Currency     money.Currency    `json:"currency"`
	Postings     []groupPosting    `json:"postings"`
	Record       *groupRecord      `json:"record,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	Request      []byte            `json:"request,omitempty"`
}

type groupPosting struct {
	Account     Address `json:"account"`
	AmountMinor int64   `json:"amount_minor"`
}

// groupRecord keeps the payload as bytes: as JSON inside JSON it could come back spelled otherwise.
type groupRecord struct {
	Type    string `json:"type"`
	Subject string `json:"subject"`
	Data    []byte `json:"data"`
}

func groupTransferOf(t *Transfer) groupTransfer {
	out := groupTransfer{
		Key: t.Key, Kind: t.Kind.String(), Player: t.Player, Jurisdiction: t.Jurisdiction, Currency: t.Currency,
		Metadata: t.Metadata, Request: t.Request, Postings: make([]groupPosting, len(t.Postings)),
	}
	for i, p := range t.Postings {
		out.Postings[i] = groupPosting(p)
	}
	if t.Record != nil {
		out.Record = &groupRecord{t.Record.Type, t.Record.Subject, t.Record.Data}
	}
	return out
}

func (g *groupTransfer) transfer() (Transfer, error) {
	kind, err := ParseKind(g.Kind)
	out := Transfer{
		Key: g.Key, Kind: kind, Player: g.Player, Jurisdiction: g.Jurisdiction, Currency: g.Currency,
		Metadata: g.Metadata, Request: g.Request, Postings: make([]Posting, len(g.Postings)),
	}
	for i, p := range g.Postings {
		out.Postings[i] = Posting(p)
	}
	if g.Record != nil {
		out.Record = &stream.Draft{Type: g.Record.Type, Subject: g.Record.Subject, Data: g.Record.Data}
	}
	return out, err
}

// derive adds to a batch what the tables beside the log keep of a committed row: limits, metadata and
// groups. Everything in them follows from the log. Account is that of the row's only line, 0 if it has
// none.
func (b *batch) derive(r *row, account int64) (extra, error) {
	x, err := decodeExtra(r.extra)
	if err != nil || r.code != "" {
		return x, err
	}
	switch r.kind {
	case KindLimits:
		if x.Limits == nil {
			return x, fmt.Errorf("transfer %d changes limits and has none", r.seq)
		}
		b.limits = append(b.limits, accountLimits{account: account, seq: r.seq, limitsExtra: *x.Limits})
	case KindMetadata:
		b.notes = append(b.notes, accountNote{account: account, seq: r.seq, data: encodeMetadata(x.Account)})
	case KindGroupBegin:
		b.begun = append(b.begun, r.seq)
	case KindGroupEnd:
		b.ended = append(b.ended, endedGroup{began: beginKey(x.Group), seq: r.seq})
	}
	return x, nil
}

// encodeExtra never fails: every field is a plain value.
func encodeExtra(x extra) []byte {
	b, err := json.Marshal(x)
	if err != nil {
		return nil
	}
	return b
}

// decodeExtra reads what encodeExtra wrote; nothing is the zero value.
func decodeExtra(b []byte) (extra, error) {
	var x extra
	if len(b) == 0 {
		return x, nil
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return x, fmt.Errorf("read extra of a transfer: %w", err)
	}
	return x, nil
}
