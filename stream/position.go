package stream

import (
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in one shard's log: the transfer with sequence Seq and all before it.
// The zero Seq is the place before the first transfer.
type Position struct {
	Shard int
	Seq   int64
}

// String returns "shard-seq", the form of the Matchday-Position header.
func (p Position) String() string {
	return strconv.Itoa(p.Shard) + "-" + strconv.FormatInt(p.Seq, 10)
}

// ParsePosition reads the form of String.
func ParsePosition(text string) (Position, error) {
	left, right, ok := strings.Cut(text, "-")
	shard, err1 := strconv.ParseUint(left, 10, 16)
	seq, err2 := strconv.ParseUint(right, 10, 63)
	if !ok || err1 != nil || err2 != nil {
		return Position{}, fmt.Errorf("%.40q is not a position (shard-sequence, for example 0-42)", text)
	}
	return Position{Shard: int(shard), Seq: int64(seq)}, nil
}
