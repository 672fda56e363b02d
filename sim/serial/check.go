package serial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"matchday/id"
	"matchday/stream"
)

// Verdict is what a check found.
type Verdict struct {
	Operations int    `json:"operations"`
	Unanswered int    `json:"unanswered"` // operations among them that nobody answered
	Players    int    `json:"players"`
	Longest    int    `json:"longest"` // operations of the player with the most
	Violation  string `json:"violation,omitempty"`
}

// Sound reports whether the history is strictly serialisable.
func (v *Verdict) Sound() bool { return v.Violation == "" }

// ErrUndecided is in the chain of the error of a check that did not end in time.
var ErrUndecided = errors.New("the check did not end in time")

// Check decides whether the history is strictly serialisable. It looks at each player for at most
// limit; a player that takes longer is an error, never a pass.
func Check(ctx context.Context, history []Op, limit time.Duration) (Verdict, error) {
	parts := byPlayer(history)
	v := Verdict{Operations: len(history), Players: len(parts)}
	for i := range history {
		if history[i].Answer.Unknown {
			v.Unanswered++
		}
	}
	if v.Violation = realTime(history); v.Violation != "" {
		return v, nil
	}
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		v.Longest = max(v.Longest, len(parts[p]))
		operations, keys := prepare(parts[p])
		result, info := porcupine.CheckOperationsVerbose(modelOf(keys), operations, limit)
		switch result {
		case porcupine.Ok:
		case porcupine.Illegal:
			v.Violation = explain(p, operations, info)
			return v, nil
		default:
			return v, fmt.Errorf("history of player %s, %d operations: %w", p, len(operations), ErrUndecided)
		}
	}
	return v, nil
}

func byPlayer(history []Op) map[id.Player][]*Op {
	parts := map[id.Player][]*Op{}
	for i := range history {
		o := &history[i]
		parts[o.Player] = append(parts[o.Player], o)
	}
	return parts
}

// modelOf returns the model of one player with so many keys.
func modelOf(keys int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return &account{keys: make([]keyState, keys)} },
		Step: func(state, input, _ any) (bool, any) {
			next, ok := state.(*account).apply(input.(*step)) //nolint:forcetypeassert // ours, by Init and prepare
			return ok, next
		},
		Equal: func(x, y any) bool { return x.(*account).same(y.(*account)) }, //nolint:forcetypeassert // as above
	}
}

// prepare numbers the keys of one player's operations and notes on those without an answer what other
// calls of their key were told. It returns those that matter and how many keys there are.
func prepare(ops []*Op) ([]porcupine.Operation, int) {
	numbers := map[string]int{}
	number := func(key string) int {
		if key == "" {
			return -1
		}
		if _, ok := numbers[key]; !ok {
			numbers[key] = len(numbers)
		}
		return numbers[key]
	}
	fresh := map[string]bool{}
	known := map[string]*Answer{}
	for _, o := range ops {
		if a := &o.Answer; isStored(o) {
			known[o.Key] = a
			fresh[o.Key] = fresh[o.Key] || !a.Replayed
		}
	}
	ops = thatMatter(ops, fresh)
	list := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		s := &step{op: o, key: number(o.Key), holdKey: number(o.HoldKey), fresh: fresh[o.Key], known: known[o.Key]}
		list[i] = porcupine.Operation{ClientId: o.Client, Input: s, Call: o.Call, Return: o.Return}
	}
	return list, len(numbers)
}

// request is what a call asks for: calls of one key may ask for different things.
type request struct {
	key, holdKey string
	action       Action
	minor        int64
}

func requestOf(o *Op) request { return request{o.Key, o.HoldKey, o.Action, o.Minor} }

// thatMatter leaves out calls without an answer that change nothing, wherever they come: reads, and calls of a key that
// an answered call was the first of. Of calls that asked for the same under one key at most one took effect, so one
// stands for them all, asked when the first was; and if it can be none but these that took effect, it had when the key
// was answered as one that is known. The time that a check takes grows with the number of subsets of what is open at
// once, and whoever asks a slow ledger again and again leaves many open.
func thatMatter(ops []*Op, fresh map[string]bool) []*Op {
	var out []*Op
	first := map[request]*Op{}
	asked := map[string]int{} // requests without an answer, by key
	for _, o := range ops {
		if !o.Answer.Unknown {
			out = append(out, o)
			continue
		}
		if o.Action == Read || o.Action == Lookup || fresh[o.Key] {
			continue
		}
		if one := first[requestOf(o)]; one != nil {
			one.Call = min(one.Call, o.Call)
			continue
		}
		one := *o
		first[requestOf(o)] = &one
		asked[o.Key]++
		out = append(out, &one)
	}
	for _, o := range ops {
		if one := first[requestOf(o)]; isStored(o) && one != nil && asked[o.Key] == 1 && o.Return >= one.Call {
			one.Return = min(one.Return, o.Return)
		}
	}
	return out
}

// isStored reports whether the operation is a transfer with an answer that is part of the log.
func isStored(o *Op) bool {
	return !o.Answer.Unknown && o.Action != Read && o.Action != Lookup && stored(o.Answer.Code)
}

// explain names the operation at which every attempt to order the player's history ended.
func explain(p id.Player, ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, part := range info.PartialLinearizations() {
		for _, order := range part {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	placed := make([]bool, len(ops))
	for _, n := range longest {
		placed[n] = true
	}
	stuck := -1
	for n := range ops {
		if !placed[n] && (stuck < 0 || ops[n].Return < ops[stuck].Return) {
			stuck = n
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "player %s: no order explains all %d operations; after %d of them nothing explains", p, len(ops), len(longest))
	describe := func(n int) { fmt.Fprintf(&b, "\n  %s", ops[n].Input.(*step).op) } //nolint:forcetypeassert // ours
	if stuck >= 0 {
		describe(stuck)
	}
	b.WriteString("\nafter, newest last:")
	for _, n := range longest[max(0, len(longest)-8):] {
		describe(n)
	}
	return b.String()
}

// span is a stored transfer, or a read, of any player as real time sees it.
type span struct {
	op        *Op
	position  stream.Position
	call, end int64 // earliest call of its key, earliest answer
	read      bool
}

// realTime checks that positions are in the order of real time, for all players of a shard together,
// and returns what is wrong or "".
func realTime(history []Op) string {
	for _, shard := range spans(history) {
		slices.SortFunc(shard, func(a, b *span) int { return int(min(max(a.call-b.call, -1), 1)) })
		ends := slices.Clone(shard)
		slices.SortFunc(ends, func(a, b *span) int { return int(min(max(a.end-b.end, -1), 1)) })
		at := map[int64]*span{}
		var newest *span // of those answered so far
		next := 0
		for _, s := range shard {
			for next < len(ends) && ends[next].end < s.call {
				if newest == nil || ends[next].position.Seq > newest.position.Seq {
					newest = ends[next]
				}
				next++
			}
			if newest != nil && (s.position.Seq < newest.position.Seq || (!s.read && s.position == newest.position)) {
				return fmt.Sprintf("position %s was answered before this was asked, which then went to an earlier one:\n  %s\n  %s",
					newest.position, newest.op, s.op)
			}
			if other := at[s.position.Seq]; !s.read && other != nil {
				return fmt.Sprintf("two transfers at position %s:\n  %s\n  %s", s.position, other.op, s.op)
			}
			if !s.read {
				at[s.position.Seq] = s
			}
		}
	}
	return ""
}

// spans returns the reads and the stored transfers by shard. The answers of one key on one shard are one
// transfer: asked when its key first was, and there when it was first answered.
func spans(history []Op) map[int][]*span {
	type place struct {
		player id.Player
		key    string
	}
	asked := map[place]int64{}
	for i := range history {
		o := &history[i]
		key := place{o.Player, o.Key}
		if first, ok := asked[key]; !ok || o.Call < first {
			asked[key] = o.Call
		}
	}
	shards := map[int][]*span{}
	byKey := map[place]*span{}
	for i := range history {
		o := &history[i]
		shard := o.Answer.Position.Shard
		if o.Action == Read && !o.Answer.Unknown && o.Answer.Code == "" {
			shards[shard] = append(shards[shard], &span{op: o, position: o.Answer.Position, call: o.Call, end: o.Return, read: true})
			continue
		}
		if !isStored(o) {
			continue
		}
		key := place{o.Player, o.Key}
		s := byKey[key]
		if s == nil {
			s = &span{op: o, position: o.Answer.Position, call: asked[key], end: math.MaxInt64}
			byKey[key] = s
			shards[shard] = append(shards[shard], s)
		}
		if !o.Answer.Replayed {
			s.op = o
		}
		if o.Answer.Position == s.position {
			s.end = min(s.end, o.Return)
		}
	}
	return shards
}
