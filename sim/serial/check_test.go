package serial

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"matchday/id"
	"matchday/ledger"
	"matchday/ledger/ledgertest"
	"matchday/stream"
)

const checkLimit = 2 * time.Minute

var farAway = ledgertest.Start.Add(24 * time.Hour)

// reference answers operations one after another with the model of the conformance suite, which shares
// nothing with the one of this package.
type reference struct {
	model *ledgertest.Model
	seq   int64
	first map[string]stream.Position
}

func newReference() *reference {
	return &reference{model: ledgertest.NewModel(), first: map[string]stream.Position{}}
}

func (r *reference) answer(o *Op) Answer {
	cash := ledger.PlayerCash(o.Player, ledgertest.NJ)
	head := stream.Position{Seq: r.seq}
	switch o.Action {
	case Read:
		return Answer{Posted: r.model.Posted[cash], Held: r.model.Held[cash], HasPosted: true, Position: head}
	case Lookup:
		p, found := r.first[o.Key]
		if !found {
			return Answer{}
		}
		got := r.model.Commit(transferOf(o), ledgertest.Start)
		return Answer{Found: true, Code: got.Code, Position: p}
	}
	got := r.model.Commit(transferOf(o), ledgertest.Start)
	a := Answer{Code: got.Code, Replayed: got.Replayed}
	if !stored(got.Code) {
		return a
	}
	if !got.Replayed {
		r.seq++
		r.first[o.Key] = stream.Position{Seq: r.seq}
	}
	a.Position, a.HasPosted = r.first[o.Key], true
	at := 0
	if o.Action == Deposit {
		at = 1
	}
	a.Posted = got.Balances[at]
	return a
}

func transferOf(o *Op) ledger.Transfer {
	switch o.Action {
	case Deposit:
		return ledgertest.Deposit(o.Key, o.Player, o.Minor)
	case Hold:
		return ledgertest.Hold(o.Key, o.Player, o.Minor, farAway)
	case Post:
		return ledgertest.End(o.Key, ledger.KindPost, o.Player, o.HoldKey, o.Minor)
	case Release:
		return ledgertest.End(o.Key, ledger.KindRelease, o.Player, o.HoldKey, 0)
	default:
		return ledgertest.Stake(o.Key, o.Player, o.Minor)
	}
}

// sound makes a history that is strictly serialisable: operations take effect, one after another, at a
// moment between their call and their return. Some are unanswered; of those some never take effect, and
// all transfers among them are asked again.
func sound(rng *rand.Rand, players, n int) []Op {
	r := newReference()
	var history []Op
	var open []string
	again := []Op{}
	for i := range n {
		now := int64(i+1) * 1000
		var o Op
		if len(again) > 0 && rng.IntN(3) == 0 {
			o, again = again[0], again[1:]
		} else {
			o = draw(rng, i, players, open)
		}
		o.Call = max(1, now-int64(rng.IntN(6000)))
		if asked := askedAt(history, o.Key); o.Call <= asked { // a retry follows its first call
			o.Call = asked + 1
		}
		lost := rng.IntN(12) == 0 && o.Action != Read && o.Action != Lookup
		if lost {
			o.Return, again = math.MaxInt64, append(again, o)
			if rng.IntN(2) == 0 {
				_ = r.answer(&o)
			}
			o.Answer = Answer{Unknown: true}
		} else {
			o.Answer = r.answer(&o)
			o.Return = now + int64(rng.IntN(6000))
			if o.Action == Hold && o.Answer.Code == "" {
				open = append(open, o.Key)
			}
		}
		history = append(history, o)
	}
	return history
}

func askedAt(history []Op, key string) int64 {
	asked := int64(0)
	for i := range history {
		if key != "" && history[i].Key == key {
			asked = max(asked, history[i].Call)
		}
	}
	return min(asked, int64(len(history))*1000)
}

func draw(rng *rand.Rand, i, players int, open []string) Op {
	p := rng.IntN(players)
	o := Op{Client: i % 7, Player: id.Player(fmt.Sprintf("plr_%d", p)), Key: fmt.Sprintf("p%d-k%d", p, i), Minor: int64(1 + rng.IntN(40))}
	o.Action = []Action{Deposit, Deposit, Debit, Debit, Debit, Hold, Post, Release, Read, Read}[rng.IntN(10)]
	switch o.Action {
	case Read:
		o.Key, o.Minor = "", 0
	case Post, Release:
		mine := slices.DeleteFunc(slices.Clone(open), func(k string) bool { return !strings.HasPrefix(k, fmt.Sprintf("p%d-", p)) })
		if len(mine) == 0 {
			o.Action = Deposit
			return o
		}
		o.HoldKey, o.Minor = mine[rng.IntN(len(mine))], int64(rng.IntN(2)*3)
		if o.Action == Release {
			o.Minor = 0
		}
	}
	return o
}

func TestSoundHistoriesPass(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		history := sound(rand.New(rand.NewPCG(seed, 1)), 1+int(seed)%4, 60+10*int(seed))
		v, err := Check(t.Context(), history, checkLimit)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !v.Sound() {
			t.Fatalf("seed %d: %s", seed, v.Violation)
		}
		if v.Operations != len(history) || (seed > 5 && v.Unanswered == 0) {
			t.Errorf("seed %d: verdict %+v of %d operations", seed, v, len(history))
		}
	}
}

// TestBrokenHistoriesAreRejected breaks a sound history the way broken ledgers would.
func TestBrokenHistoriesAreRejected(t *testing.T) {
	t.Parallel()
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, err := Check(t.Context(), build(tt.ops), checkLimit)
			if err != nil {
				t.Fatal(err)
			}
			if v.Sound() != (tt.want == "") || !strings.Contains(v.Violation, tt.want) {
				t.Errorf("violation %q, want one with %q", v.Violation, tt.want)
			}
		})
	}
}

// build gives the operations that have no times an order without overlap.
func build(ops []Op) []Op {
	out := slices.Clone(ops)
	for i := range out {
		o := &out[i]
		if o.Player == "" {
			o.Player = "plr_a"
		}
		if o.Call == 0 {
			o.Call = int64(10*i + 1)
		}
		if o.Return == 0 {
			o.Return = int64(10*i + 6)
		}
		if o.Answer.Unknown {
			o.Return = math.MaxInt64
		}
	}
	return out
}

func done(posted, seq int64) Answer {
	return Answer{Posted: posted, HasPosted: true, Position: stream.Position{Seq: seq}}
}

func again(a Answer) Answer {
	a.Replayed = true
	return a
}

func refused(posted, seq int64) Answer {
	a := done(posted, seq)
	a.Code = "insufficient_funds"
	return a
}

func held(a Answer, minor int64) Answer {
	a.Held = minor
	return a
}

var (
	paidIn = Op{Action: Deposit, Key: "d", Minor: 100, Answer: done(100, 1)}
	silent = Answer{Unknown: true}
)

var broken = []struct {
	name string
	ops  []Op
	want string // "" is a sound history
}{
	{"plain order", []Op{paidIn, {Action: Debit, Key: "a", Minor: 60, Answer: done(40, 2)}, {Action: Read, Answer: done(40, 2)}}, ""},
	{"lost update", []Op{
		paidIn,
		{Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2), Call: 20, Return: 40},
		{Action: Debit, Key: "b", Minor: 10, Answer: done(90, 3), Call: 21, Return: 41},
	}, "no order explains"},
	{"stale read", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2)}, {Action: Read, Answer: done(100, 1)},
	}, "was answered before"},
	{"stale read that claims a new position", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2)}, {Action: Read, Answer: done(100, 2)},
	}, "no order explains"},
	{"read of a transfer that is answered later is sound", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2), Call: 11, Return: 50}, {Action: Read, Answer: done(90, 2)},
	}, ""},
	{"one key applied twice", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2)}, {Action: Debit, Key: "a", Minor: 10, Answer: done(80, 3)},
	}, "no order explains"},
	{"applied twice behind one answer", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: silent}, {Action: Debit, Key: "a", Minor: 10, Answer: again(done(90, 2))},
		{Action: Read, Answer: done(80, 3)},
	}, "no order explains"},
	{"acknowledged, then gone", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2)}, {Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2)},
	}, "no order explains"},
	{"refused, then done", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 200, Answer: refused(100, 2)},
		{Action: Deposit, Key: "e", Minor: 200, Answer: done(300, 3)}, {Action: Debit, Key: "a", Minor: 200, Answer: again(done(100, 4))},
	}, "no order explains"},
	{"refused although there was money", []Op{paidIn, {Action: Debit, Key: "a", Minor: 20, Answer: refused(100, 2)}}, "no order explains"},
	{"overdrawn", []Op{paidIn, {Action: Debit, Key: "a", Minor: 120, Answer: done(-20, 2)}}, "no order explains"},
	{"replay of what nobody asked", []Op{paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: again(done(90, 2))}}, "no order explains"},
	{"replay with another position", []Op{
		paidIn, {Action: Deposit, Key: "d", Minor: 100, Answer: again(done(100, 2))},
	}, "no order explains"},
	{"unanswered and done", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: silent}, {Action: Read, Answer: done(90, 2)},
		{Action: Debit, Key: "a", Minor: 10, Answer: again(done(90, 2))},
	}, ""},
	{"unanswered and not done", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: silent}, {Action: Read, Answer: done(100, 1)},
		{Action: Debit, Key: "a", Minor: 10, Answer: done(90, 2)},
	}, ""},
	{"unanswered, never asked again, done late", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: silent}, {Action: Read, Answer: done(100, 1)}, {Action: Read, Answer: done(90, 2)},
	}, ""},
	{"unanswered, done and undone", []Op{
		paidIn, {Action: Debit, Key: "a", Minor: 10, Answer: silent}, {Action: Read, Answer: done(90, 2)}, {Action: Read, Answer: done(100, 2)},
	}, "no order explains"},
	{"a hold that reserves nothing", []Op{
		paidIn, {Action: Hold, Key: "h", Minor: 80, Answer: done(100, 2)}, {Action: Debit, Key: "a", Minor: 50, Answer: done(50, 3)},
	}, "no order explains"},
	{"a hold posted twice", []Op{
		paidIn, {Action: Hold, Key: "h", Minor: 80, Answer: done(100, 2)},
		{Action: Post, Key: "p", HoldKey: "h", Answer: done(20, 3)}, {Action: Post, Key: "q", HoldKey: "h", Answer: done(-60, 4)},
	}, "no order explains"},
	{"a hold posted in part", []Op{
		paidIn, {Action: Hold, Key: "h", Minor: 80, Answer: done(100, 2)}, {Action: Read, Answer: held(done(100, 2), 80)},
		{Action: Post, Key: "p", HoldKey: "h", Minor: 30, Answer: done(70, 3)}, {Action: Read, Answer: done(70, 3)},
	}, ""},
	{"positions against real time, two players", []Op{
		{Action: Deposit, Key: "d", Player: "plr_a", Minor: 1, Answer: done(1, 5)}, {Action: Deposit, Key: "e", Player: "plr_b", Minor: 1, Answer: done(1, 4)},
	}, "was answered before"},
	{"one position for two players", []Op{
		{Action: Deposit, Key: "d", Player: "plr_a", Minor: 1, Answer: done(1, 5), Call: 1, Return: 9},
		{Action: Deposit, Key: "e", Player: "plr_b", Minor: 1, Answer: done(1, 5), Call: 2, Return: 8},
	}, "two transfers at position"},
	{"lookup misses what was answered", []Op{paidIn, {Action: Lookup, Key: "d", Answer: Answer{}}}, "no order explains"},
	{"lookup finds what was answered", []Op{paidIn, {Action: Lookup, Key: "d", Answer: Answer{Found: true, Position: stream.Position{Seq: 1}}}}, ""},
}

// TestAnyChangedAnswerIsNoticed changes one answer of a sound history at a time: no changed balance,
// outcome or replay mark may pass.
func TestAnyChangedAnswerIsNoticed(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*Answer){
		"balance":  func(a *Answer) { a.Posted++ },
		"replayed": func(a *Answer) { a.Replayed = !a.Replayed },
		"outcome": func(a *Answer) {
			if a.Code == "" {
				a.Code = "insufficient_funds"
			} else {
				a.Code = ""
			}
		},
	}
	rng := rand.New(rand.NewPCG(3, 1))
	history := sound(rng, 3, 90)
	for name, change := range changes {
		for i := range history {
			o := &history[i]
			if !isStored(o) || (name == "replayed" && unanswered(history, o.Key)) {
				continue // beside a call that nobody answered either is right
			}
			changed := slices.Clone(history)
			change(&changed[i].Answer)
			v, err := Check(t.Context(), changed, checkLimit)
			if err != nil {
				t.Fatal(err)
			}
			if v.Sound() {
				t.Errorf("%s of %s changed and nobody noticed", name, o)
			}
		}
	}
}

func unanswered(history []Op, key string) bool {
	return slices.ContainsFunc(history, func(o Op) bool { return o.Key == key && o.Answer.Unknown })
}

// TestManyTriesOfAFewOperationsAreDecided has every operation asked again and again without an answer, and all of them
// open at once: more combinations of tries than there is time for, but few of operations.
func TestManyTriesOfAFewOperationsAreDecided(t *testing.T) {
	t.Parallel()
	const keys, tries = 10, 6
	for posted, want := range map[int64]string{keys: "", keys + 1: "no order explains"} {
		var ops []Op
		for i := range keys {
			o := Op{Action: Deposit, Key: fmt.Sprintf("d%d", i), Minor: 1, Call: int64(i + 1), Answer: silent}
			for range tries {
				ops = append(ops, o)
				o.Call += 100
			}
			o.Call, o.Return, o.Answer = 900, 1000, again(done(int64(i+1), int64(i+1)))
			ops = append(ops, o, Op{Action: Read, Answer: silent}, Op{Action: Lookup, Key: o.Key, Answer: silent})
		}
		ops = append(ops, Op{Action: Read, Call: 1001, Return: 1002, Answer: done(posted, keys)})
		v, err := Check(t.Context(), build(ops), checkLimit)
		if err != nil {
			t.Fatalf("posted %d: %v", posted, err)
		}
		if v.Sound() != (want == "") || !strings.Contains(v.Violation, want) || v.Operations != len(ops) {
			t.Errorf("posted %d: verdict %+v, want a violation with %q", posted, v, want)
		}
	}
}

// TestOutOfTimeIsNoPass asks for an order of forty operations that nobody answered before a balance that
// none of their combinations explains: more tries than there is time for.
func TestOutOfTimeIsNoPass(t *testing.T) {
	t.Parallel()
	var ops []Op
	for i := range 40 {
		ops = append(ops, Op{Action: Deposit, Key: fmt.Sprintf("d%d", i), Minor: 1 << i, Answer: silent})
	}
	ops = append(ops, Op{Action: Read, Answer: done(-1, 0)})
	if _, err := Check(t.Context(), build(ops), 20*time.Millisecond); !errors.Is(err, ErrUndecided) {
		t.Errorf("got %v, want ErrUndecided", err)
	}
}
