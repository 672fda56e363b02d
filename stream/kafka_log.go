package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"matchday/errs"
)

// Headers of a record beside those of a log stream.
const (
	headerPlace = "Matchday-Place" // of the record in its message, from 0
	headerEnd   = "Matchday-End"   // on the last record of a message: endFull, or endBare if it stands for none
	headerType  = "content-type"

	endFull = "full"
	endBare = "bare"
)

const contentType = "application/cloudevents+json; charset=UTF-8"

// typePosition is the CloudEvent of a message without records: it says that the log moved on.
const typePosition = "matchday.log.position"

// kafkaLog is a shard's topic as its one publisher in this process sees it. Kafka has no "append if the
// topic still ends here". It has producers with a name: who takes a name fences whoever had it, and ends
// what that one left open. So a session is a producer with the shard's name; its fences count what it has
// published, and a session that somebody else ended publishes nothing any more.
type kafkaLog struct {
	t     *kafkaTransport
	shard int
	topic string

	mu     sync.Mutex
	client *kgo.Client // nil: no session
	at     Tail        // as published
	next   uint64      // fence of the next message
	end    int64       // committed end of the topic after it
	id     kadm.TopicID
	queued []*kafkaMessage
}

// kafkaMessage is one message on its way.
type kafkaMessage struct {
	message Message
	records []*kgo.Record
	done    bool
	err     error
}

// errNoSession means that the topic's end has to be read again first.
var errNoSession = errors.New("the session of the topic is over")

// close ends the session. The caller may hold the transport's lock.
func (l *kafkaLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(errNoSession)
}

// drop ends the session, and what was queued with it. The caller holds the lock.
func (l *kafkaLog) drop(cause error) {
	if l.client != nil {
		l.client.Close()
	}
	l.client = nil
	for _, m := range l.queued {
		m.done, m.err = true, cause
	}
	l.queued = nil
}

// Tail implements Transport. While the topic ends where the session left it, or messages are on their way,
// the session goes on: whoever only looks ends nobody's.
func (t *kafkaTransport) Tail(ctx context.Context, shard int) (Tail, error) {
	l := t.shardLog(shard)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil && (len(l.queued) > 0 || l.stands(ctx)) {
		return l.at, nil // without what is on its way
	}
	l.drop(errNoSession)
	t.forgetTopic(l.topic)
	if err := l.begin(ctx); err != nil {
		l.drop(err)
		return Tail{}, err
	}
	return l.at, nil
}

// stands reports whether the topic ends where the session left it. A commit is answered a moment before
// its mark is in the topic. One that was made again is another topic, wherever it ends.
func (l *kafkaLog) stands(ctx context.Context) bool {
	for range 40 {
		end, err := l.t.end(ctx, l.topic)
		if err != nil || end > l.end {
			return false
		}
		if end == l.end {
			id, err := l.t.topicID(ctx, l.topic)
			return err == nil && id == l.id
		}
		if !pause(ctx, 50*time.Millisecond) {
			return false
		}
	}
	return false
}

// begin takes the shard's producer name, which ends everybody else's session and what it left open, and
// then reads where the topic ends.
func (l *kafkaLog) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	t := l.t
	if err := t.ensure(ctx, l.topic, t.config.MaxBytes, t.config.MaxAge); err != nil {
		return err
	}
	client, err := kgo.NewClient(append(t.options[:len(t.options):len(t.options)],
		kgo.TransactionalID(l.topic), kgo.TransactionTimeout(kafkaTxTimeout))...)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", l.topic, err)
	}
	l.client = client
	if _, _, err := client.ProducerID(ctx); err != nil {
		return t.unavailable(err, "take the name of "+l.topic)
	}
	if l.id, err = t.topicID(ctx, l.topic); err != nil { // before the end is read
		return err
	}
	last, end, err := t.lastMessage(ctx, l.topic)
	if err != nil {
		return err
	}
	l.next = t.sessions.Add(1) << 32
	l.at, l.end = Tail{Last: last.Last, Fence: l.next, Source: last.Source}, end
	return nil
}

// kafkaTxTimeout is when Kafka itself ends what a dead process left open, if nobody takes its place.
const kafkaTxTimeout = 20 * time.Second

// Publish implements Transport. Messages that wait go together: all or none are seen.
func (t *kafkaTransport) Publish(_ context.Context, m Message, fence uint64) Stored {
	name := fmt.Sprintf("publish %d-%d-%d", m.Shard, m.First, m.Last)
	records, err := t.split(m)
	if err != nil {
		return func(context.Context) error { return fmt.Errorf("%s: %w", name, err) }
	}
	l := t.shardLog(m.Shard)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil || fence != l.next {
		if len(l.queued) > 0 { // left by a publisher that is gone: the next Tail begins again
			l.drop(errNoSession)
		}
		return func(context.Context) error { return errs.Wrap(errNoSession, errs.CodeConflict, "%s", name) }
	}
	queued := &kafkaMessage{message: m, records: records}
	l.queued = append(l.queued, queued)
	l.next++
	return func(ctx context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !queued.done {
			l.commit(ctx)
		}
		return t.unavailable(queued.err, name)
	}
}

// commit publishes all that is queued. After any failure the session is over: whether it was published is
// read from the topic. The caller holds the lock.
func (l *kafkaLog) commit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, kafkaTxTimeout)
	defer cancel()
	last, err := l.send(ctx)
	if err != nil {
		l.drop(err)
		return
	}
	newest := l.queued[len(l.queued)-1].message
	l.at, l.end = Tail{Last: newest.Last, Fence: l.next, Source: newest.Source}, last+2 // the commit's mark follows
	for _, m := range l.queued {
		m.done = true
	}
	l.queued = nil
}

// send returns the offset of the last record.
func (l *kafkaLog) send(ctx context.Context) (int64, error) {
	if err := l.client.BeginTransaction(); err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var first error
	var last int64
	for _, m := range l.queued {
		for _, r := range m.records {
			l.client.Produce(ctx, r, func(r *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil && first == nil {
					first = err
				}
				last = max(last, r.Offset)
			})
		}
	}
	err := l.client.Flush(ctx)
	mu.Lock()
	err = errors.Join(err, first)
	mu.Unlock()
	if err != nil {
		return 0, err
	}
	return last, l.client.EndTransaction(ctx, kgo.TryCommit)
}

// split makes one record of each event, in order; a message without events is one that only says so.
func (t *kafkaTransport) split(m Message) ([]*kgo.Record, error) {
	var out []*kgo.Record
	shared := []kgo.RecordHeader{
		{Key: headerType, Value: []byte(contentType)},
		{Key: headerFirst, Value: strconv.AppendInt(nil, m.First, 10)},
		{Key: headerLast, Value: strconv.AppendInt(nil, m.Last, 10)},
		{Key: headerCommitted, Value: strconv.AppendInt(nil, m.At.UnixMicro(), 10)},
	}
	add := func(key, value []byte) {
		headers := append(shared[:len(shared):len(shared)], kgo.RecordHeader{Key: headerPlace, Value: strconv.AppendInt(nil, int64(len(out)), 10)})
		out = append(out, &kgo.Record{Topic: t.logTopic(m.Shard), Partition: 0, Key: key, Value: value, Headers: headers, Timestamp: m.At})
	}
	if err := events(m.Body, func(raw []byte, r *Record) { add([]byte(r.Player), raw) }); err != nil {
		return nil, fmt.Errorf("split message: %w", err)
	}
	end := endFull
	if len(out) == 0 {
		end = endBare
		add(nil, []byte(fmt.Sprintf(`{"specversion":"1.0","id":"%d-%d","source":"/matchday/ledger/%d","type":"%s","time":"%s"}`,
			m.Shard, m.Last, m.Shard, typePosition, m.At.UTC().Format(time.RFC3339Nano))))
	}
	tail := out[len(out)-1]
	tail.Headers = append(tail.Headers, kgo.RecordHeader{Key: headerEnd, Value: []byte(end)})
	if m.Source != "" {
		tail.Headers = append(tail.Headers, kgo.RecordHeader{Key: headerSource, Value: []byte(m.Source)})
	}
	return out, nil
}

// events steps through the events of a message's body.
func events(body []byte, each func(raw []byte, r *Record)) error {
	s := scanner{b: body}
	if !s.token('[') {
		return errSyntax
	}
	for more := !s.token(']'); more; {
		s.space()
		start := s.i
		r, err := s.event()
		if err != nil {
			return err
		}
		each(body[start:s.i], &r)
		if more = s.token(','); !more && !s.token(']') {
			return errSyntax
		}
	}
	if !s.ended() {
		return errSyntax
	}
	return nil
}
