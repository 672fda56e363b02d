package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kerr"

	"matchday/errs"
)

// Headers of a message on a log stream.
const (
	headerShard     = "Matchday-Shard"
	headerFirst     = "Matchday-First"
	headerLast      = "Matchday-Last"
	headerCommitted = "Matchday-Committed" // microseconds since 1970
	headerSource    = "Matchday-Source"    // absent if there is none
)

const (
	ackTimeout     = 5 * time.Second // a publication without an answer has failed
	requestTimeout = 5 * time.Second
	seekTimeout    = 3 * requestTimeout // for all questions that find a place in a stream
	duplicates     = 30 * time.Second
	pullMessages   = 16 // on the way to one consumer, each of messageBytes or little more
	pullExpiry     = 20 * time.Second
	pullHeartbeat  = 2 * time.Second
	consumerIdle   = time.Minute
)

// jetTransport is Transport over JetStream, embedded or a cluster.
type jetTransport struct {
	js       jetstream.JetStream
	config   EmbeddedConfig
	replicas int
	prefix   string   // of names; "" is none
	tags     []string // of the servers that keep the streams
	shared   bool     // other processes publish there too
	salt     atomic.Uint64

	mu   sync.Mutex
	ends map[int]Tail // of log streams, as far as it is known here
}

func newJetTransport(conn *nats.Conn, c EmbeddedConfig) (*jetTransport, error) {
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(ackTimeout), jetstream.WithDefaultTimeout(requestTimeout))
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	return &jetTransport{js: js, config: c, replicas: 1, ends: map[int]Tail{}}, nil
}

// stream returns the name of a stream.
func (t *jetTransport) stream(name string, shard int) string {
	if t.prefix != "" {
		name = t.prefix + "-" + name
	}
	return name + "-" + strconv.Itoa(shard)
}

// subject returns what is published to a stream.
func (t *jetTransport) subject(name string, shard int) string {
	return cmp.Or(t.prefix, "matchday") + "." + name + "." + strconv.Itoa(shard)
}

func (t *jetTransport) logStream(shard int) string  { return t.stream("ledger", shard) }
func (t *jetTransport) logSubject(shard int) string { return t.subject("ledger", shard) }

// placement names the servers that keep the streams; nil leaves it to the cluster.
func (t *jetTransport) placement() *jetstream.Placement {
	if len(t.tags) == 0 {
		return nil
	}
	return &jetstream.Placement{Tags: t.tags}
}

// logConfig describes the log stream of a shard.
func (t *jetTransport) logConfig(shard int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        t.logStream(shard),
		Description: "copy of the log of ledger shard " + strconv.Itoa(shard),
		Subjects:    []string{t.logSubject(shard)},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxBytes:    t.config.MaxBytes,
		MaxAge:      t.config.MaxAge,
		Storage:     jetstream.FileStorage,
		Replicas:    t.replicas,
		Placement:   t.placement(),
		Duplicates:  duplicates,
	}
}

// open finds a stream, creates it if it is missing and brings its bounds up to date. A stream that
// acknowledges before it writes is refused: its promise is not ours. A cluster that changes its leader may
// leave a question without an answer, so it is asked again sooner than a caller gives up.
func (t *jetTransport) open(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := t.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = t.js.CreateStream(ctx, want)
	}
	if err != nil {
		return nil, unavailable(err, "open stream "+want.Name)
	}
	have := s.CachedInfo().Config
	if err := keeps(have); err != nil {
		return nil, err
	}
	if have.MaxBytes != want.MaxBytes || have.MaxAge != want.MaxAge || have.Discard != want.Discard ||
		have.Replicas != want.Replicas || !samePlacement(have.Placement, want.Placement) {
		if s, err = t.js.UpdateStream(ctx, want); err != nil {
			return nil, unavailable(err, "update stream "+want.Name)
		}
	}
	return s, nil
}

// keeps refuses a stream that somebody has made in a way that loses acknowledged messages.
func keeps(have jetstream.StreamConfig) error {
	var why string
	switch {
	case have.PersistMode == jetstream.AsyncPersistMode:
		why = "persists asynchronously, which loses acknowledged messages with a server"
	case have.Storage != jetstream.FileStorage:
		why = "is in memory, which loses acknowledged messages with its servers"
	case have.NoAck:
		why = "acknowledges nothing"
	case have.Sealed:
		why = "is sealed: nothing can be added"
	default:
		return nil
	}
	return errs.New(errs.CodeInternal, "stream %s %s; delete it, and it is made and filled again", have.Name, why)
}

// samePlacement reports whether a stream may stay where it is.
func samePlacement(have, want *jetstream.Placement) bool {
	if have == nil || want == nil {
		return have == want
	}
	return slices.Equal(have.Tags, want.Tags)
}

// unavailable gives what the server or the way to it did the code that asks for another attempt. None helps what is
// too large.
func unavailable(err error, op string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, kerr.MessageTooLarge):
		return errs.Wrap(err, errs.CodeTooLarge, "%s: more than the servers take at once", op)
	}
	return errs.Wrap(err, errs.CodeUnavailable, "%s", op)
}

// Tail implements Transport.
func (t *jetTransport) Tail(ctx context.Context, shard int) (Tail, error) {
	s, err := t.open(ctx, t.logConfig(shard))
	if err != nil {
		return Tail{}, err
	}
	tail := Tail{Fence: s.CachedInfo().State.LastSeq}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	raw, err := s.GetLastMsgForSubject(ctx, t.logSubject(shard))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
	case err != nil:
		return Tail{}, unavailable(err, "read the last message of "+t.logStream(shard))
	default:
		m, err := parseHeaders(raw.Header)
		if err != nil {
			return Tail{}, fmt.Errorf("last message of %s: %w", t.logStream(shard), err)
		}
		tail.Last, tail.Source = m.Last, m.Source
	}
	t.endsAt(shard, tail)
	return tail, nil
}

// endsAt notes where a log stream ends.
func (t *jetTransport) endsAt(shard int, end Tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends[shard] = end
}

// follows reports whether a message goes right behind what is known to be stored.
func (t *jetTransport) follows(m Message, fence uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.ends[m.Shard]
	return end.Fence == fence && end.Last == m.First-1
}

// messageID names the message that ends at a position and was published to a stream that ended at the fence.
func (t *jetTransport) messageID(shard int, last int64, fence uint64) string {
	id := fmt.Sprintf("%d-%d-%d", shard, last, fence)
	if salt := t.salt.Load(); salt > 0 {
		id += "-" + strconv.FormatUint(salt, 10)
	}
	return id
}

// Publish implements Transport. The fence is the guarantee against a second writer and against a
// message that is sent twice; the message id is a second net. It names the fence too, because the
// server remembers ids of messages that were deleted since, and would drop them when they are
// published again. In a cluster that lost its end even the fence may be one that was used before: an
// answer that calls the message a duplicate is a failure, and the next attempt has another id.
//
// A message behind others that are still on their way has a fence that counts them as stored. Had another
// publisher's message come instead, the fence would be right and the log had a hole. So the embedded server is told
// the id of the message before as well. A cluster must not be: a copy that refuses a message for that reason stops
// (server 2.15). There a message is sent when the one before it is stored.
func (t *jetTransport) Publish(_ context.Context, m Message, fence uint64) Stored {
	if !t.shared || t.follows(m, fence) {
		return t.send(m, fence)
	}
	return func(ctx context.Context) error {
		if !t.follows(m, fence) {
			return errs.New(errs.CodeConflict, "publish %s: what comes before it is not stored", t.messageID(m.Shard, m.Last, fence))
		}
		return t.send(m, fence)(ctx)
	}
}

// send sends a message.
func (t *jetTransport) send(m Message, fence uint64) Stored {
	msg := nats.NewMsg(t.logSubject(m.Shard))
	msg.Data = m.Body
	writeHeaders(msg.Header, m)
	name := t.messageID(m.Shard, m.Last, fence)
	options := []jetstream.PublishOpt{jetstream.WithMsgID(name), jetstream.WithExpectLastSequence(fence), jetstream.WithRetryAttempts(0)}
	if !t.shared && !t.follows(m, fence) {
		options = append(options, jetstream.WithExpectLastMsgID(t.messageID(m.Shard, m.First-1, fence-1)))
	}
	future, err := t.js.PublishMsgAsync(msg, options...)
	if err != nil {
		return func(context.Context) error { return unavailable(err, "publish "+name) }
	}
	return func(ctx context.Context) error {
		select {
		case ack := <-future.Ok():
			if ack.Duplicate {
				t.salt.Add(1)
				return errs.New(errs.CodeConflict, "publish %s: taken for a duplicate of %d", name, ack.Sequence)
			}
			if ack.Sequence != fence+1 {
				return errs.New(errs.CodeConflict, "publish %s: stored as %d", name, ack.Sequence)
			}
			if t.shared {
				t.endsAt(m.Shard, Tail{Last: m.Last, Fence: fence + 1, Source: m.Source})
			}
			return nil
		case err := <-future.Err():
			return unavailable(err, "publish "+name)
		case <-ctx.Done():
			return unavailable(ctx.Err(), "publish "+name)
		}
	}
}

// Consume implements Transport. The place in the stream is looked up from the log position each
// time: a stream that was deleted, emptied or cut and filled again hands out its own numbers anew.
func (t *jetTransport) Consume(ctx context.Context, shard int, after int64, fn func(Message) error) error {
	s, consumer, err := t.reader(ctx, shard, after)
	if err != nil {
		return err
	}
	defer t.forget(ctx, s, consumer)
	return each(ctx, consumer, pullMessages, func(msg jetstream.Msg) error {
		m, err := parseHeaders(msg.Headers())
		if err != nil {
			return fmt.Errorf("message on %s: %w", t.logStream(shard), err)
		}
		if m.Last <= after {
			return nil
		}
		m.Body = msg.Data()
		return fn(m)
	})
}

// reader makes a consumer that begins right after the log position.
func (t *jetTransport) reader(ctx context.Context, shard int, after int64) (jetstream.Stream, jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	s, err := t.js.Stream(ctx, t.logStream(shard))
	if err != nil {
		return nil, nil, unavailable(err, "consume "+t.logStream(shard))
	}
	start, err := seek(ctx, s, t.logSubject(shard), after)
	if err != nil {
		return nil, nil, err
	}
	consumer, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       start,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: consumerIdle,
	})
	if err != nil {
		return nil, nil, unavailable(err, "consume "+t.logStream(shard))
	}
	return s, consumer, nil
}

// forget deletes a consumer that nobody reads any more, also when ctx is done.
func (t *jetTransport) forget(ctx context.Context, s jetstream.Stream, c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.DeleteConsumer(ctx, c.CachedInfo().Name) // it goes by itself after consumerIdle
}

// each hands over a consumer's messages until something fails. It asks for a bounded number at a
// time and for more when it has handed them over: however slow fn is, nothing piles up and nothing
// is dropped on the way.
func each(ctx context.Context, c jetstream.Consumer, most int, fn func(jetstream.Msg) error) error {
	for {
		if err := pull(ctx, c, most, fn); err != nil {
			return err
		}
	}
}

// pull hands over the messages of one request.
func pull(ctx context.Context, c jetstream.Consumer, most int, fn func(jetstream.Msg) error) error {
	ctx, cancel := context.WithTimeout(ctx, pullExpiry)
	defer cancel()
	batch, err := c.Fetch(most, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(pullHeartbeat))
	if err != nil {
		return unavailable(err, "pull messages")
	}
	for msg := range batch.Messages() {
		if err := fn(msg); err != nil {
			return err
		}
	}
	if err := batch.Error(); !errors.Is(err, context.DeadlineExceeded) {
		return unavailable(err, "pull messages")
	}
	return nil
}

// seek returns the stream sequence of the first message that ends after the log position, by
// bisection: within a stream, log positions only increase. A negative position is the stream's end.
func seek(ctx context.Context, s jetstream.Stream, subject string, after int64) (uint64, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return 0, unavailable(err, "stream information")
	}
	low, high := max(info.State.FirstSeq, 1), info.State.LastSeq+1 // the answer is in low..high
	if after < 0 {
		return high, nil
	}
	for low < high {
		middle := low + (high-low)/2
		raw, err := s.GetMsg(ctx, middle, jetstream.WithGetMsgSubject(subject)) // or the next one after a hole
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			high = middle
			continue
		}
		if err != nil {
			return 0, unavailable(err, "seek in the stream")
		}
		m, err := parseHeaders(raw.Header)
		if err != nil {
			return 0, fmt.Errorf("message %d: %w", raw.Sequence, err)
		}
		if m.Last > after {
			high = middle
		} else {
			low = raw.Sequence + 1
		}
	}
	return low, nil
}

// writeHeaders writes what parseHeaders reads.
func writeHeaders(h nats.Header, m Message) {
	h.Set(headerShard, strconv.Itoa(m.Shard))
	h.Set(headerFirst, strconv.FormatInt(m.First, 10))
	h.Set(headerLast, strconv.FormatInt(m.Last, 10))
	h.Set(headerCommitted, strconv.FormatInt(m.At.UnixMicro(), 10))
	if m.Source != "" {
		h.Set(headerSource, m.Source)
	}
}

// parseHeaders reads the place of a message in its log.
func parseHeaders(h nats.Header) (Message, error) {
	shard, err1 := strconv.ParseUint(h.Get(headerShard), 10, 16)
	first, err2 := strconv.ParseUint(h.Get(headerFirst), 10, 63)
	last, err3 := strconv.ParseUint(h.Get(headerLast), 10, 63)
	at, err4 := strconv.ParseInt(h.Get(headerCommitted), 10, 64)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return Message{}, fmt.Errorf("headers: %w", err)
	}
	if first < 1 || last < first {
		return Message{}, fmt.Errorf("headers: sequences %d..%d", first, last)
	}
	return Message{
		Shard: int(shard), First: int64(first), Last: int64(last), At: time.UnixMicro(at).UTC(), Source: h.Get(headerSource),
	}, nil
}
