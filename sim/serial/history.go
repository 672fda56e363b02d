package serial

import (
	"fmt"
	"math"
	"sync"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

// Action is what an operation does.
type Action uint8

// The actions.
const (
	Deposit Action = iota + 1 // credits the player's cash
	Debit                     // takes from it, or is refused
	Hold                      // reserves part of it, or is refused
	Post                      // turns a hold into money moved, all or a part of it
	Release                   // gives a hold back
	Read                      // the balance, which must include all that was answered before
	Lookup                    // what a key was answered with, if it was
)

var actionNames = [...]string{"", "deposit", "debit", "hold", "post", "release", "read", "lookup"}

// String returns the action's name.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// Op is one operation as its caller saw it. Times are nanoseconds of one monotonic clock.
type Op struct {
	Client  int
	Player  id.Player
	Action  Action
	Key     string // of a lookup: the key that is looked up
	HoldKey string // of a post or release
	Minor   int64  // amount; of a post, 0 is all of the hold
	Call    int64
	Return  int64
	Answer  Answer
}

// Answer is what an operation was answered with.
type Answer struct {
	Unknown  bool      // nobody answered
	Code     errs.Code // "" if it was done
	Replayed bool      // the key had been answered before
	Found    bool      // lookup: the key is known
	Posted   int64     // the player's cash afterwards, if HasPosted
	Held     int64     // read: what is reserved of it
	Position stream.Position

	HasPosted bool
}

// String describes an operation in one line.
func (o *Op) String() string {
	text := fmt.Sprintf("[%s..%s] client %d: %s", at(o.Call), at(o.Return), o.Client, o.Action)
	if o.Key != "" {
		text += " " + o.Key
	}
	if o.HoldKey != "" {
		text += " of " + o.HoldKey
	}
	if o.Minor != 0 {
		text += fmt.Sprintf(" %d", o.Minor)
	}
	a := &o.Answer
	if a.Unknown {
		return text + " -> no answer"
	}
	if a.Code != "" {
		text += " -> " + string(a.Code)
	} else {
		text += " -> done"
	}
	if a.Replayed {
		text += ", replayed"
	}
	if o.Action == Lookup {
		text += fmt.Sprintf(", found %t", a.Found)
	}
	if a.HasPosted {
		text += fmt.Sprintf(", posted %d held %d", a.Posted, a.Held)
	}
	return text + fmt.Sprintf(", position %s", a.Position)
}

func at(ns int64) string {
	if ns == math.MaxInt64 {
		return "never"
	}
	return time.Duration(ns).Round(time.Microsecond).String()
}

// Recorder gathers a history from concurrent clients.
type Recorder struct {
	start time.Time

	mu  sync.Mutex
	ops []Op
}

// NewRecorder returns an empty history that starts now.
func NewRecorder() *Recorder { return &Recorder{start: time.Now()} }

// Now returns the time on the history's clock.
func (r *Recorder) Now() int64 { return int64(time.Since(r.start)) }

// Add adds an operation that has ended; its Return is now unless it has one. One without an answer
// never returns.
func (r *Recorder) Add(o Op) {
	if o.Return == 0 {
		o.Return = r.Now()
	}
	if o.Answer.Unknown {
		o.Return = math.MaxInt64
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
}

// History returns the operations so far.
func (r *Recorder) History() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Op(nil), r.ops...)
}
