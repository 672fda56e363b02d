package stream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"matchday/stream"
)

// TestSinkIsTheLogWhateverHappens plays random lists of commits, stops, starts and losses. Each
// list is named by its seed; run one again with -run.
func TestSinkIsTheLogWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, seed)
			for range 40 {
				p.step()
			}
			p.finish()
		})
	}
}

// play is a world that is being pushed around. A nil stop means that the part is not running.
type play struct {
	*world
	random    *rand.Rand
	sink      *stream.Sink
	stopSink  func() error
	stopRelay func() error
}

func newPlay(t *testing.T, seed uint64) *play {
	p := &play{world: setup(t), random: rand.New(rand.NewPCG(seed, 7))}
	p.toggleSink()
	p.toggleRelay()
	return p
}

// step does one random thing.
func (p *play) step() {
	p.t.Helper()
	switch n := p.random.IntN(20); {
	case n < 10:
		p.commit(p.random.IntN(6), p.random.IntN(3))
	case n < 13:
		p.toggleSink()
	case n < 15:
		p.toggleRelay()
	case n < 19:
		faults := embedded.faults
		fault := faults[p.random.IntN(len(faults))]
		_ = fault.harm(context.Background(), p.world) // may find no stream, or none of its messages
	default:
		p.loseFolder()
	}
}

func (p *play) toggleSink() {
	if p.stopSink == nil {
		p.sink = p.world.sink(openDB(p.t, p.dir), nil)
		p.stopSink = p.start(p.sink.Run)
		return
	}
	if err := p.stopSink(); err != nil {
		p.t.Fatalf("sink: %v", err)
	}
	p.stopSink = nil
}

func (p *play) toggleRelay() {
	if p.stopRelay == nil {
		p.stopRelay = p.start(p.relay().Run)
		return
	}
	if err := p.stopRelay(); err != nil {
		p.t.Fatalf("relay: %v", err)
	}
	p.stopRelay = nil
}

// loseFolder stops everything and removes what the server had stored.
func (p *play) loseFolder() {
	if p.stopSink != nil {
		p.toggleSink()
	}
	if p.stopRelay != nil {
		p.toggleRelay()
	}
	if err := errors.Join(p.emb.Close(), os.RemoveAll(filepath.Join(p.dir, "streams"))); err != nil {
		p.t.Fatal(err)
	}
	p.startServer()
}

// finish starts what is stopped and compares.
func (p *play) finish() {
	if p.stopSink == nil {
		p.toggleSink()
	}
	if p.stopRelay == nil {
		p.toggleRelay()
	}
	p.commit(1)
	p.caughtUp(p.sink, openDB(p.t, p.dir))
	p.onStream()
}
