package ledger

import (
	"encoding/binary"
	"errors"
)

// line is one posting as stored with its transfer: what moved and what the account then held.
type line struct {
	account int64
	amount  int64
	balance int64
	held    int64
}

var errLines = errors.New("stored postings are malformed")

// appendLines appends the canonical encoding of lines: their number, then account, amount, balance
// and held of each, as varints. Equal lines have one encoding, which the seals rely on.
func appendLines(b []byte, lines []line) []byte {
	b = append(b, byte(len(lines)))
	for i := range lines {
		b = binary.AppendUvarint(b, uint64(lines[i].account)) // #nosec: ids start at 1
		b = binary.AppendVarint(b, lines[i].amount)
		b = binary.AppendVarint(b, lines[i].balance)
		b = binary.AppendVarint(b, lines[i].held)
	}
	return b
}

// decodeLines reads what appendLines wrote, appending to into. It refuses trailing bytes.
func decodeLines(into []line, b []byte) ([]line, error) {
	if len(b) == 0 || int(b[0]) > MaxPostings {
		return nil, errLines
	}
	n := int(b[0])
	b = b[1:]
	for range n {
		account, used := binary.Uvarint(b)
		if used <= 0 || account == 0 || account > 1<<62 {
			return nil, errLines
		}
		b = b[used:]
		l := line{account: int64(account)}
		for _, field := range [...]*int64{&l.amount, &l.balance, &l.held} {
			value, used := binary.Varint(b)
			if used <= 0 {
				return nil, errLines
			}
			*field = value
			b = b[used:]
		}
		into = append(into, l)
	}
	if len(b) != 0 {
		return nil, errLines
	}
	return into, nil
}

// appendText appends the length of text and text, so that neighbouring texts cannot run together.
func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}
