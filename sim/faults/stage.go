package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/goccy/go-yaml"

	"matchday/internal/mariadb"
	"matchday/ledger"
	"matchday/sim/serial"
)

// shards is how many shards the books have.
const shards = 2

// stage is what one fault happens on: books, writer processes, and a load.
type stage struct {
	Options
	dir   string
	books string // folder of the ledger
	yaml  string // of the ledger section; "" is SQLite in books
	extra string // further sections of a writer's file

	shared      bool                     // several writer processes share the shards
	directoryOn *mariadb.Server          // which has the directory too; nil: it is a file in books
	addrs       atomic.Pointer[[]string] // where clients send now
	turn        atomic.Int64
	writers     []*process
	undo        []func() error // in reverse order at the end
	load        *load

	struck, healed int64 // on the history's clock
	note           string
}

// settings is the ledger section of the configuration.
func (s *stage) settings() string {
	if s.yaml != "" {
		return s.yaml
	}
	return fmt.Sprintf("dir: %q\nshards: %d\n", s.books, shards)
}

// config is the same for this process.
func (s *stage) config() ledger.Config {
	var c ledger.Config
	if err := yaml.Unmarshal([]byte(s.settings()), &c); err != nil {
		return ledger.Config{} // refused by Open: a folder is required
	}
	if s.shared {
		c.InternalListen = "127.0.0.1:0"
	}
	return c
}

// begin starts a writer and the load, and returns when it has run for a while.
func (s *stage) begin(ctx context.Context) (*process, error) {
	p, err := s.write(ctx)
	if err != nil {
		return nil, err
	}
	s.send(p.addr)
	s.beginLoad(ctx, newRemote(s.next))
	return p, s.settle(ctx)
}

// beginShared starts two writer processes that share the shards, and the load on both; it returns when
// each writes a shard and the load has run for a while.
func (s *stage) beginShared(ctx context.Context) ([]*process, error) {
	s.shared = true
	for range 2 {
		if _, err := s.write(ctx); err != nil {
			return nil, err
		}
	}
	return s.loadBoth(ctx)
}

// loadBoth begins the load on the two writer processes, and returns them as beginShared does.
func (s *stage) loadBoth(ctx context.Context) ([]*process, error) {
	s.send(s.writers[0].addr, s.writers[1].addr)
	s.beginLoad(ctx, newRemote(s.next))
	err := s.await(ctx, "both processes to write a shard", func() bool { return s.owners(ctx) == 2 })
	return s.writers, errors.Join(err, s.settle(ctx))
}

// send lets clients send to these addresses in turn.
func (s *stage) send(addrs ...string) { s.addrs.Store(&addrs) }

// next is where the next operation goes.
func (s *stage) next() string {
	addrs := s.addrs.Load()
	if addrs == nil {
		return ""
	}
	return (*addrs)[int(s.turn.Add(1))%len(*addrs)]
}

func (s *stage) beginLoad(ctx context.Context, t target) {
	s.load = newLoad(t, s.Players, s.Seed)
	s.load.begin(ctx, s.Clients)
}

// write starts a writer process on the books.
func (s *stage) write(ctx context.Context) (*process, error) {
	file := filepath.Join(s.dir, fmt.Sprintf("writer-%d.yaml", len(s.writers)))
	text := "ledger:\n  " + strings.ReplaceAll(strings.TrimSpace(s.settings()), "\n", "\n  ") + "\n"
	if s.shared {
		text += "  internal_listen: 127.0.0.1:0\n"
	}
	text += s.extra
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := start(ctx, s.Writer, file)
	if err != nil {
		return nil, err
	}
	s.writers = append(s.writers, p)
	return p, nil
}

// settle lets the load run until it has had answers for the length of one side of a fault.
func (s *stage) settle(ctx context.Context) error {
	from := s.load.history.Now()
	pause(ctx, s.length())
	return s.await(ctx, "answers", func() bool { return answered(s.load.history.History(), from) == nil })
}

// await waits for what must come.
func (s *stage) await(ctx context.Context, what string, done func() bool) error {
	return s.awaitMoving(ctx, what, func(context.Context) (int64, bool) { return 0, done() })
}

// awaitMoving waits for what must come, as long as what it looks at moves on: how long a machine takes is no fault.
func (s *stage) awaitMoving(ctx context.Context, what string, look func(ctx context.Context) (at int64, done bool)) error {
	err := whileMoving(ctx, resolveLimit, look)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // somebody ended the run
		return fmt.Errorf("%s: %w", what, err)
	default:
		return fmt.Errorf("%s: nothing moved for %s: %w", what, resolveLimit, err)
	}
}

// whileMoving looks again and again until look says that it is done, and gives up when what it looks at has not moved on
// for the limit. The context of a look ends then.
func whileMoving(ctx context.Context, limit time.Duration, look func(ctx context.Context) (at int64, done bool)) error {
	var most int64
	for moved := time.Now(); ; pause(ctx, 20*time.Millisecond) {
		left, cancel := context.WithDeadline(ctx, moved.Add(limit))
		at, done := look(left)
		ended := left.Err()
		cancel()
		switch {
		case done:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case at > most:
			most, moved = at, time.Now()
		case ended != nil:
			return ended
		}
	}
}

// strike notes that the fault is there; recovery counts from here unless heal follows.
func (s *stage) strike() { s.struck = s.load.history.Now(); s.healed = s.struck }

// heal notes that the cause of the fault is gone.
func (s *stage) heal() { s.healed = s.load.history.Now() }

// onEnd adds what must be undone when the stage is cleared.
func (s *stage) onEnd(f func() error) { s.undo = append(s.undo, f) }

// stopWriters ends every writer that still runs; one that was told to is given its time.
func (s *stage) stopWriters() error {
	var list []error
	for _, p := range s.writers {
		list = append(list, p.stop())
	}
	s.writers = nil
	return errors.Join(list...)
}

// close clears the stage, whatever happened on it.
func (s *stage) close() error {
	var list []error
	if s.load != nil && s.load.end != nil {
		s.load.end()
		s.load.wg.Wait()
	}
	for _, p := range s.writers {
		list = append(list, p.kill())
	}
	for _, f := range slices.Backward(s.undo) {
		list = append(list, f())
	}
	return errors.Join(list...)
}

// answered returns nil if each shard has answered an operation that was asked after the time.
func answered(history []serial.Op, from int64) error {
	_, _, err := recovery(history, from, from)
	return err
}

// recovery returns how long after healed every shard had committed a transfer that was asked for after
// struck, and the longest time in which one of them committed nothing.
func recovery(history []serial.Op, struck, healed int64) (recoverS, awayS float64, err error) {
	answers := make([][]int64, shards)
	back := make([]int64, shards)
	for i := range back {
		back[i] = math.MaxInt64
	}
	for i := range history {
		o := &history[i]
		if o.Answer.Unknown || o.Answer.Position.Seq == 0 || o.Answer.Replayed || !isTransfer(o) {
			continue
		}
		n := o.Answer.Position.Shard
		answers[n] = append(answers[n], o.Return)
		if o.Call > struck && o.Return >= healed {
			back[n] = min(back[n], o.Return)
		}
	}
	var recovered, away int64
	for n := range shards {
		if back[n] == math.MaxInt64 {
			return 0, 0, fmt.Errorf("shard %d committed nothing after the fault", n)
		}
		recovered = max(recovered, back[n]-healed)
		slices.Sort(answers[n])
		for i := 1; i < len(answers[n]); i++ {
			away = max(away, answers[n][i]-answers[n][i-1])
		}
	}
	return time.Duration(recovered).Seconds(), time.Duration(away).Seconds(), nil
}
