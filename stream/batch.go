package stream

import "slices"

// After returns the part of the batch that follows the sequence seq: the whole of it if it starts
// later.
func (b Batch) After(seq int64) Batch {
	if seq < b.First {
		return b
	}
	b.First = seq + 1
	b.Records = b.Records[firstAfter(b.Records, seq):]
	return b
}

// firstAfter returns the index of the first record after seq.
func firstAfter(records []Record, seq int64) int {
	i, _ := slices.BinarySearchFunc(records, seq+1, func(r Record, want int64) int {
		switch {
		case r.Position.Seq < want:
			return -1
		case r.Position.Seq > want:
			return 1
		}
		return 0
	})
	return i
}
