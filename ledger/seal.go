package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"matchday/stream"
)

// seal is the hash over a batch and the seal of the batch before it. The first batch follows the
// zero seal. Changing any row of the log, or leaving one out, changes every later seal.
type seal [sha256.Size]byte

// sealer computes seals. The encoding under the hash is canonical: every text with its length,
// every number as a varint, in the order of the columns.
type sealer struct {
	hash  hash.Hash
	buf   []byte
	holds []byte // encoded holds, which follow the rows
}

func newSealer() *sealer { return &sealer{hash: sha256.New()} }

// begin starts the seal of the batch that follows previous.
func (s *sealer) begin(previous seal, first, last, atMicros, epoch, accounts int64) {
	s.hash.Reset()
	s.holds = s.holds[:0]
	s.buf = append(s.buf[:0], "matchday ledger batch 1\n"...)
	s.buf = append(s.buf, previous[:]...)
	for _, n := range [...]int64{first, last, atMicros, epoch, accounts} {
		s.buf = binary.AppendVarint(s.buf, n)
	}
}

// account adds an account opened by the batch. Accounts come first, in the order of their ids.
func (s *sealer) account(id int64, address, jurisdiction, currency string) {
	s.buf = append(s.buf, 'a')
	s.buf = binary.AppendVarint(s.buf, id)
	s.buf = appendText(s.buf, address)
	s.buf = appendText(s.buf, jurisdiction)
	s.buf = appendText(s.buf, currency)
	s.flush()
}

// row adds a transfer. Rows come in the order of their sequences.
func (s *sealer) row(r *row) {
	b := append(s.buf, 't')
	b = binary.AppendVarint(b, r.seq)
	b = appendText(b, r.key)
	b = append(b, byte(r.kind))
	b = appendText(b, string(r.code))
	b = appendText(b, r.detail)
	b = appendText(b, string(r.player))
	b = appendText(b, string(r.jurisdiction))
	b = appendText(b, string(r.currency))
	b = append(b, r.print[:]...)
	b = binary.AppendVarint(b, r.holdSeq)
	b = appendText(b, string(r.lines))
	if r.record != nil {
		b = appendRecord(b, r.record)
	}
	if r.origin.copied() {
		b = append(b, 'o')
		for _, n := range [...]int64{int64(r.origin.shard), r.origin.seq, r.origin.atUS} {
			b = binary.AppendVarint(b, n)
		}
	}
	if r.extra != nil {
		b = appendText(append(b, 'x'), string(r.extra))
	}
	s.buf = b
	s.flush()
}

func appendRecord(b []byte, r *stream.Draft) []byte {
	b = append(b, 'r')
	b = appendText(b, r.Type)
	b = appendText(b, r.Subject)
	return appendText(b, string(r.Data))
}

// later adds a hold made by the batch. Holds are hashed after the rows, in the order they were made.
func (s *sealer) later(h *storedHold) {
	s.holds = append(s.holds, 'h')
	for _, n := range [...]int64{h.seq, h.account, h.counter, h.amount, h.expires.UnixMicro()} {
		s.holds = binary.AppendVarint(s.holds, n)
	}
	s.holds = appendText(s.holds, string(h.jurisdiction))
	s.holds = appendText(s.holds, string(h.currency))
}

// flush hands full buffers to the hash.
func (s *sealer) flush() {
	if len(s.buf) >= 16<<10 {
		s.hash.Write(s.buf)
		s.buf = s.buf[:0]
	}
}

// end returns the seal.
func (s *sealer) end() seal {
	s.hash.Write(s.buf)
	s.hash.Write(s.holds)
	s.buf = s.buf[:0]
	var out seal
	s.hash.Sum(out[:0])
	return out
}
