package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"matchday/errs"
	"matchday/stream"
)

// conformance is what every transport keeps. Each case has streams of its own.
var conformance = []struct {
	name string
	run  func(w *world)
}{
	{"records come once and in order", carriesTheLog},
	{"shards are apart", keepsShardsApart},
	{"a stream begins empty and is read from any position", isReadFromAnyPosition},
	{"the fence refuses who does not know the end", fences},
	{"after the first that fails all others fail", failsTogether},
	{"two relays publish every batch once", letsOneRelayThrough},
	{"a relay goes on inside a batch", goesOnInsideABatch},
	{"a relay may be behind its sinks", mayBeBehind},
	{"a relay ahead of its log stops", stopsAhead},
	{"a stream that lost its end is mended", losesItsEnd},
	{"a slow reader loses nothing", waitsForASlowReader},
	{"whoever reads hears of the end", endsReading},
	{"the largest passes and what is larger is refused", hasASize},
	{"commands come once and several at a time", handsCommandsOver},
	{"a lost queue is made again", makesAQueueAgain},
}

// TestTransports runs what every transport keeps on each. Those of one transport are on the same servers.
func TestTransports(t *testing.T) {
	t.Parallel()
	for _, one := range transports {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			servers := one.start(t)
			for _, c := range conformance {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(servers.world(t))
				})
			}
			for _, f := range servers.faults {
				t.Run("no sink notices: "+f.name, func(t *testing.T) {
					t.Parallel()
					mends(servers.world(t), f)
				})
			}
		})
	}
}

// heavy skips what takes long under the race detector.
func (w *world) heavy() {
	w.t.Helper()
	if testing.Short() {
		w.t.Skip("skipped in short mode: thousands of records, or waits until clients notice")
	}
}

func carriesTheLog(w *world) {
	db := openDB(w.t, w.dir)
	w.commit(3, 0, 1, 500)
	w.start(w.relay().Run)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
	w.commit(1, 0, 0, 7)
	w.caughtUp(s, db)
	w.onStream()
	w.unbroken()
}

// place is a message that only has a place in the log.
func place(shard int, first, last int64) stream.Message {
	return stream.Message{Shard: shard, First: first, Last: last, At: time.UnixMicro(1).UTC(), Source: fmt.Sprint("0-1-", last), Body: []byte("[]")}
}

// publishes publishes one message after another and returns the stream's end.
func (w *world) publishes(over stream.Transport, list ...stream.Message) stream.Tail {
	w.t.Helper()
	ctx := within(w.t, 2*time.Minute)
	shard := list[0].Shard
	for _, m := range list {
		if err := over.Publish(ctx, m, w.tail(over, shard).Fence)(ctx); err != nil {
			w.t.Fatalf("Publish %d..%d: %v", m.First, m.Last, err)
		}
	}
	end := w.tail(over, shard)
	if last := list[len(list)-1]; end.Last != last.Last || end.Source != last.Source {
		w.t.Fatalf("Tail = %+v after %d..%d", end, last.First, last.Last)
	}
	return end
}

// refused fails unless a publication is.
func (w *world) refused(what string, stored stream.Stored) {
	w.t.Helper()
	if stored(within(w.t, 2*time.Minute)) == nil {
		w.t.Errorf("%s: want a refusal", what)
	}
}

// holds checks which places a shard's stream holds after a position.
func (w *world) holds(shard int, after int64, want ...string) {
	w.t.Helper()
	if got := places(w.read(shard, after, len(want))); !slices.Equal(got, want) {
		w.t.Errorf("the stream of shard %d holds %v after %d, want %v", shard, got, after, want)
	}
}

func keepsShardsApart(w *world) {
	over := w.transport()
	w.publishes(over, place(0, 1, 4), place(0, 5, 5))
	w.publishes(over, place(1, 1, 2), place(1, 3, 9))
	w.holds(0, 0, "1-4", "5-5")
	w.holds(1, 0, "1-2", "3-9")
	list := w.read(1, 2, 1)
	if len(list) == 0 {
		return // told
	}
	if got, want := list[0], place(1, 3, 9); got.Shard != 1 || !got.At.Equal(want.At) || got.Source != want.Source || string(got.Body) != "[]" {
		w.t.Errorf("read %+v, want %+v", got, want)
	}
}

func isReadFromAnyPosition(w *world) {
	over := w.transport()
	if tail := w.tail(over, 0); tail.Last != 0 || tail.Source != "" {
		w.t.Fatalf("Tail of a new stream = %+v", tail)
	}
	early := make(chan []stream.Message, 1)
	w.start(func(context.Context) error { early <- w.read(0, 0, 1); return nil })
	w.publishes(over, place(0, 1, 4), place(0, 5, 6))
	if got := places(<-early); !slices.Equal(got, []string{"1-4"}) {
		w.t.Errorf("who read while the stream was empty got %v", got)
	}
	w.holds(0, 3, "1-4", "5-6") // the one with what follows 3
	w.holds(0, 4, "5-6")
	w.publishes(over, place(0, 7, 7))
	w.holds(0, 6, "7-7")
	next, late := int64(8), make(chan []stream.Message, 1)
	w.start(func(context.Context) error { late <- w.read(0, -1, 1); return nil }) // from the end on, wherever that is
	for {
		w.publishes(over, place(0, next, next))
		next++
		select {
		case got := <-late:
			if len(got) != 1 || got[0].First < 8 {
				w.t.Errorf("who read from the end on got %v", places(got))
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func fences(w *world) {
	ctx := within(w.t, 4*time.Minute)
	old, other := w.transport(), w.open()
	begun := w.tail(old, 0)
	end := w.publishes(old, place(0, 1, 4))
	w.refused("the same publication again", old.Publish(ctx, place(0, 1, 4), begun.Fence))
	w.refused("a publication that expects another end", old.Publish(ctx, place(0, 5, 9), end.Fence+7))
	if now := w.tail(old, 0); now.Last != 4 {
		w.t.Errorf("Tail = %+v after refusals, want 4", now)
	}
	w.publishes(other, place(0, 5, 6))
	w.refused("the publication of one who was replaced", old.Publish(ctx, place(0, 5, 9), end.Fence))
	w.holds(0, 0, "1-4", "5-6")
	w.publishes(old, place(0, 7, 7)) // it looked again
	w.holds(0, 0, "1-4", "5-6", "7-7")
}

// failsTogether has one publisher send several messages without waiting while another one's message comes first: with
// the second of them on the stream, what lies between the others would be missing there for good.
func failsTogether(w *world) {
	ctx := within(w.t, 4*time.Minute)
	old, other := w.transport(), w.open()
	w.publishes(old, place(0, 1, 4))
	at := w.tail(old, 0)
	both := []stream.Stored{old.Publish(ctx, place(0, 5, 6), at.Fence), old.Publish(ctx, place(0, 7, 8), at.Fence+1)}
	for _, stored := range both {
		if err := stored(ctx); err != nil {
			w.t.Fatalf("Publish of two: %v", err)
		}
	}
	at = w.tail(old, 0)
	w.publishes(other, place(0, 9, 10))
	both = []stream.Stored{old.Publish(ctx, place(0, 9, 12), at.Fence), old.Publish(ctx, place(0, 13, 14), at.Fence+1)}
	w.refused("the first of two behind another publisher's", both[0])
	w.refused("the second of them", both[1])
	w.publishes(other, place(0, 11, 12))
	w.holds(0, 0, "1-4", "5-6", "7-8", "9-10", "11-12")
}

func letsOneRelayThrough(w *world) {
	w.start(w.relay().Run)
	w.start(w.relayOver(w.open()).Run)
	for range 40 {
		w.commit(2)
		if w.log.Head(0)%5 == 0 {
			w.onStream()
		}
	}
	w.onStream()
	w.unbroken()
}

func goesOnInsideABatch(w *world) {
	w.heavy()
	big := make([]stream.Record, 1500)
	for i := range big {
		big[i] = record(i)
		big[i].Data = json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
	}
	w.log.Append(0, w.deps.Clock.Now(), 3, big...)
	stop := w.start(w.relay().Run)
	w.onStream()
	if whole := w.positions(); len(whole) < 4 {
		w.t.Fatalf("a batch of 1.5 MB is published as %v, want several messages", whole)
	}
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}
	w.rewind(3)
	w.commit(1)
	w.start(w.relayOver(w.open()).Run)
	w.onStream()
	w.unbroken()
	db := openDB(w.t, w.dir)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
}

func mayBeBehind(w *world) {
	db := openDB(w.t, w.dir)
	w.commit(4, 0, 9)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db) // from the log: there is no relay
	w.start(w.relay().Run)
	w.onStream()
	w.commit(3)
	w.caughtUp(s, db)
	w.onStream()
	w.unbroken()
}

func stopsAhead(w *world) {
	w.publishes(w.transport(), place(0, 1, 9))
	w.commit(1)
	if err := w.relay().Run(within(w.t, 2*time.Minute)); !errors.Is(err, stream.ErrAhead) {
		w.t.Errorf("Run = %v, want ErrAhead", err)
	}
}

// rewind loses the stream and brings its first messages back, as servers do that lost what they had written last: what
// comes next gets numbers that other messages had. Nobody may publish meanwhile.
func (w *world) rewind(n int) {
	w.t.Helper()
	kept := w.read(0, 0, n)
	if err := w.servers.faults[0].harm(w.t.Context(), w); err != nil {
		w.t.Fatal(err)
	}
	w.publishes(w.open(), kept...)
}

func losesItsEnd(w *world) {
	w.heavy()
	db := openDB(w.t, w.dir)
	stop := w.start(w.relay().Run)
	s := w.sink(db, nil)
	w.start(s.Run)
	for range 6 {
		w.commit(3)
		w.onStream()
	}
	w.caughtUp(s, db)
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}
	w.rewind(2)
	w.commit(2, 1)
	w.start(w.relayOver(w.open()).Run)
	w.caughtUp(s, db)
	w.onStream()
	w.unbroken()
	w.beginsAnew()
}

// beginsAnew checks that a sink which has nothing yet comes to show the log.
func (w *world) beginsAnew() {
	w.t.Helper()
	db := openDB(w.t, w.t.TempDir())
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
}

// mends harms the stream while relay and sink run, and again while the relay is idle and the sink away.
func mends(w *world, f fault) {
	w.heavy()
	db := openDB(w.t, w.dir)
	w.start(w.relay().Run)
	s := w.sink(db, nil)
	stop := w.start(s.Run)
	for range 5 {
		w.commit(3)
		w.caughtUp(s, db)
	}
	w.onStream()
	harm := func() {
		if err := f.harm(w.t.Context(), w); err != nil {
			w.t.Fatalf("harm: %v", err)
		}
	}
	harm()
	w.commit(2, 1)
	w.caughtUp(s, db)
	w.onStream()
	if err := stop(); err != nil {
		w.t.Fatalf("sink: %v", err)
	}
	w.commit(4)
	w.onStream()
	harm()
	w.onStream()
	s = w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
	w.beginsAnew()
}

// waitsForASlowReader has a reader stand still until more is on the stream than what may be on the way to it.
func waitsForASlowReader(w *world) {
	w.heavy()
	const batches, each = 6, 1000
	w.start(w.relay().Run)
	w.commit(1)
	w.onStream()
	reached, goOn, done := make(chan struct{}), make(chan struct{}), make(chan []string, 1)
	var once sync.Once // a reading may begin again
	w.start(func(context.Context) error {
		done <- places(w.readUntil(0, 0, func(got []stream.Message) bool {
			once.Do(func() { close(reached); <-goOn })
			return got[len(got)-1].Last > batches*each
		}))
		return nil
	})
	<-reached
	text := json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
	for range batches {
		many := make([]stream.Record, each)
		for i := range many {
			many[i] = record(i)
			many[i].Data = text
		}
		w.log.Append(0, w.deps.Clock.Now(), 0, many...)
	}
	w.onStream() // nobody waits for the reader
	close(goOn)
	got := <-done
	if len(got) < 17 {
		w.t.Errorf("all of it are %d messages: too few to fill what is on the way", len(got))
	}
	follow(w.t, got)
}

// endsReading ends the connection below a reader.
func endsReading(w *world) {
	w.heavy()
	w.publishes(w.transport(), place(0, 1, 4))
	connection := w.servers.open(w)
	reached, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- connection.Transport().Consume(w.t.Context(), 0, 0, func(stream.Message) error { close(reached); return nil })
	}()
	<-reached
	if err := errors.Join(connection.Close(), connection.Close()); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	select {
	case err := <-ended:
		if err == nil {
			w.t.Error("Consume = nil, want why it ended")
		}
	case <-time.After(2 * time.Minute):
		w.t.Error("Consume goes on over a connection that is closed")
	}
}

func hasASize(w *world) {
	w.heavy()
	largest := record(1)
	largest.Data = json.RawMessage(`"` + strings.Repeat("x", stream.MaxRecordBytes-2) + `"`)
	w.log.Append(0, w.deps.Clock.Now(), 0, slices.Repeat([]stream.Record{largest}, 40)...)
	stop := w.start(w.relay().Run)
	db := openDB(w.t, w.dir)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
	w.onStream()
	w.unbroken()
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}

	const beyond = 9 << 20 // what servers take at once, whatever they are
	ctx, over := within(w.t, 2*time.Minute), w.transport()
	huge := largest
	huge.Data = json.RawMessage(`"` + strings.Repeat("x", beyond) + `"`)
	at := w.tail(over, 0)
	m := place(0, at.Last+1, at.Last+1)
	m.Body = stream.Encode(stream.Batch{First: m.First, Last: m.Last, Records: []stream.Record{huge}})
	if err := over.Publish(ctx, m, at.Fence)(ctx); !errs.Is(err, errs.CodeTooLarge) {
		w.t.Errorf("Publish of 9 MiB = %v, want too_large", err)
	}
	if err := over.Enqueue(ctx, "payouts", 0, "huge", make([]byte, beyond)); !errs.Is(err, errs.CodeTooLarge) {
		w.t.Errorf("Enqueue of 9 MiB = %v, want too_large", err)
	}
	w.publishes(over, place(0, at.Last+1, at.Last+1)) // nothing of it is left behind
	if err := w.commands().Send(ctx, 0, "a", make([]byte, stream.MaxCommandBytes+1)); !errs.Is(err, errs.CodeTooLarge) {
		w.t.Errorf("Send of a large command = %v, want too_large", err)
	}
}

// works runs the commands of shard 0 until stop is called.
func (w *world) works(c *stream.Commands, handle func(ctx context.Context, text string) error) (stop func() error) {
	return w.start(func(ctx context.Context) error {
		return c.Run(ctx, 0, func(ctx context.Context, payload []byte) error { return handle(ctx, string(payload)) })
	})
}

// sends sends a command as settlement does, until it is taken.
func (w *world) sends(c *stream.Commands, id, text string) {
	w.t.Helper()
	w.await("a command to be taken", func() bool {
		return c.Send(within(w.t, 20*time.Second), 0, id, []byte(text)) == nil
	})
}

func handsCommandsOver(w *world) {
	c := w.commands()
	const failing = "command 7"
	largest := strings.Repeat("x", stream.MaxCommandBytes)
	want := map[string]int{largest: 1}
	w.sends(c, "largest", largest)
	for n := range 20 { // before anybody works, some of them twice
		name := fmt.Sprint("command ", n)
		want[name] = 1
		for range 1 + n%2 {
			w.sends(c, fmt.Sprint("id-", n), name)
		}
	}
	delete(want, failing)
	got, release := make(chan string, 100), make(chan struct{})
	stop := w.works(c, func(ctx context.Context, text string) error {
		if text == failing {
			return errors.New("not now")
		}
		got <- text
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	seen := map[string]int{}
	for range 2 { // nobody returns yet: the second one is handed over beside the first
		seen[receive(w.t, got)]++
	}
	close(release)
	for len(seen) < len(want) { // behind the one that fails the queue goes on
		seen[receive(w.t, got)]++
	}
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}
	for text, times := range seen {
		if want[text] != times {
			w.t.Errorf("command %.20q came %d times, want %d", text, times, want[text])
		}
	}
	w.works(c, func(_ context.Context, text string) error { got <- text; return nil })
	for receive(w.t, got) != failing { // some that were done may come again
	}
}

func makesAQueueAgain(w *world) {
	w.heavy()
	c := w.commands()
	got := make(chan string, 100)
	w.works(c, func(_ context.Context, text string) error { got <- text; return nil })
	w.sends(c, "a", "first")
	receive(w.t, got)
	if err := w.servers.lose(w, "commands", "payouts", "0"); err != nil {
		w.t.Fatal(err)
	}
	w.await("the command after the loss", func() bool { // who lost the queue sends again what is not done
		w.sends(c, "a", "second")
		select {
		case text := <-got:
			return text == "second"
		case <-time.After(time.Second):
			return false
		}
	})
}
