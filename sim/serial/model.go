package serial

import (
	"slices"

	"matchday/errs"
	"matchday/stream"
)

// account is the model: the ledger of one player in which operations happen one after another. It is
// never changed; each step makes another.
type account struct {
	posted, held int64
	last         stream.Position // of the newest transfer, or of a read that has seen the log up to here
	keys         []keyState      // by number of the key
}

// keyState is what the model knows of a key.
type keyState struct {
	action   Action // 0: never answered
	minor    int64
	holdKey  int // number of the key of the hold it is about, or -1
	code     errs.Code
	posted   int64
	position stream.Position
	open     int64 // of a hold: what it reserves; 0 once it has ended
}

// step is an operation prepared for the model: keys as numbers, and what is known of the key from other
// answers.
type step struct {
	op      *Op
	key     int  // number of its key, or -1
	holdKey int  // number of the hold's key, or -1
	fresh   bool // another call of this key was the first to be answered: this one, if unknown, did nothing
	known   *Answer
}

// apply returns the account after the step, or false if a ledger in this state would not have given
// that answer.
func (a *account) apply(s *step) (*account, bool) {
	switch s.op.Action {
	case Read:
		return a.read(&s.op.Answer)
	case Lookup:
		return a.lookup(s)
	}
	if k := &a.keys[s.key]; k.action != 0 {
		return a, a.replayed(k, s)
	}
	if s.op.Answer.Unknown {
		return a.applyUnknown(s)
	}
	next, code := a.transfer(s)
	answer := &s.op.Answer
	if code != answer.Code || answer.Replayed {
		return nil, false
	}
	if !stored(code) {
		return a, true
	}
	return a.settle(next, s.key, code, answer)
}

// applyUnknown applies a step that nobody answered. If the key was answered later, this is how; if it
// never was, nothing is known but what the model says.
func (a *account) applyUnknown(s *step) (*account, bool) {
	if s.fresh {
		return a, true // it can only have come after the answered one: at the end of time it changes nothing
	}
	next, code := a.transfer(s)
	if !stored(code) {
		return a, true
	}
	if s.known != nil {
		if code != s.known.Code {
			return nil, false
		}
		return a.settle(next, s.key, code, s.known)
	}
	next.keys[s.key].code, next.keys[s.key].posted = code, next.posted
	return next, true
}

// stored reports whether an answer is part of the log and final under its key.
func stored(code errs.Code) bool {
	return code == "" || code == errs.CodeInsufficientFunds || code == errs.CodeLimitReached
}

// settle checks a stored answer against the account after it and notes it under the key.
func (a *account) settle(next *account, key int, code errs.Code, answer *Answer) (*account, bool) {
	if !after(a.last, answer.Position) || (answer.HasPosted && answer.Posted != next.posted) {
		return nil, false
	}
	k := &next.keys[key]
	k.code, k.posted, k.position = code, next.posted, answer.Position
	next.last = answer.Position
	return next, true
}

// after reports whether a transfer at the position may follow what the account has seen. A player whose
// bucket moved goes on in another shard's log.
func after(last, position stream.Position) bool {
	return last.Shard != position.Shard || position.Seq > last.Seq
}

// replayed reports whether the answer is the one that the key has.
func (a *account) replayed(k *keyState, s *step) bool {
	answer := &s.op.Answer
	if answer.Unknown {
		return true
	}
	if k.action != s.op.Action || k.minor != s.op.Minor || k.holdKey != s.holdKey {
		return answer.Code == errs.CodeConflict
	}
	return answer.Replayed && sameAnswer(k, answer)
}

// sameAnswer reports whether an answer repeats the first one. Of a key that moved to another shard with
// its player the position is the copy's.
func sameAnswer(k *keyState, answer *Answer) bool {
	moved := k.position.Shard != answer.Position.Shard
	known := k.position != (stream.Position{})
	return answer.Code == k.code && (!answer.HasPosted || answer.Posted == k.posted) &&
		(!known || moved || answer.Position == k.position)
}

// read reports whether the balance is that of the account.
func (a *account) read(answer *Answer) (*account, bool) {
	if answer.Unknown {
		return a, true
	}
	if answer.Posted != a.posted || answer.Held != a.held {
		return nil, false
	}
	if a.last.Shard == answer.Position.Shard && answer.Position.Seq < a.last.Seq {
		return nil, false
	}
	next := *a
	next.last = answer.Position
	return &next, true
}

// lookup reports whether the key is known as the answer says.
func (a *account) lookup(s *step) (*account, bool) {
	answer := &s.op.Answer
	if answer.Unknown {
		return a, true
	}
	k := &a.keys[s.key]
	if answer.Found != (k.action != 0) {
		return nil, false
	}
	return a, !answer.Found || sameAnswer(k, answer)
}

// transfer applies what the step asks for and returns a copy of the account with the key in it, and the
// code of the answer.
func (a *account) transfer(s *step) (*account, errs.Code) {
	next := &account{posted: a.posted, held: a.held, last: a.last, keys: slices.Clone(a.keys)}
	k := &next.keys[s.key]
	*k = keyState{action: s.op.Action, minor: s.op.Minor, holdKey: s.holdKey}
	minor := s.op.Minor
	switch s.op.Action {
	case Deposit:
		next.posted += minor
	case Debit, Hold:
		if a.posted-a.held < minor {
			return next, errs.CodeInsufficientFunds
		}
		if s.op.Action == Debit {
			next.posted -= minor
		} else {
			next.held += minor
			k.open = minor
		}
	case Post, Release:
		return next.end(s)
	}
	return next, ""
}

// end ends the hold that the step is about.
func (a *account) end(s *step) (*account, errs.Code) {
	h := &a.keys[s.holdKey]
	if h.action != Hold || h.code != "" {
		return a, errs.CodeNotFound
	}
	if h.open == 0 {
		return a, errs.CodeConflict
	}
	minor := s.op.Minor
	if minor == 0 {
		minor = h.open
	}
	if s.op.Action == Post && minor > h.open {
		return a, errs.CodeInvalid
	}
	a.held -= h.open
	h.open = 0
	if s.op.Action == Post {
		a.posted -= minor
	}
	return a, ""
}

// same reports whether two accounts are in the same state.
func (a *account) same(b *account) bool {
	return a == b || (a.posted == b.posted && a.held == b.held && a.last == b.last && slices.Equal(a.keys, b.keys))
}
