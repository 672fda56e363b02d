package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const (
	kafkaIDs   = 4096 // ids remembered to drop a command that was sent twice
	kafkaSweep = 256  // commands handled before the topic drops them
)

// Enqueue implements Transport. The id is the record's key: who works on the queue drops the second of two.
func (t *kafkaTransport) Enqueue(ctx context.Context, queue string, shard int, id string, payload []byte) error {
	topic := t.queueTopic(queue, shard)
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	if err := t.ensure(ctx, topic, 0, queueAge); err != nil {
		return err
	}
	r := &kgo.Record{Topic: topic, Partition: 0, Key: []byte(id), Value: payload}
	if err := t.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.forgetTopic(topic)
		t.client.PurgeTopicsFromProducing(topic) // it may have been made again, which makes it another one
		return t.unavailable(err, "enqueue command "+id)
	}
	return nil
}

// Work implements Transport. Where the queue is done up to is kept in Kafka, as a consumer group's offset.
func (t *kafkaTransport) Work(ctx context.Context, queue string, shard int, fn func([]byte) error) error {
	topic := t.queueTopic(queue, shard)
	t.forgetTopic(topic)
	if err := t.ensure(ctx, topic, 0, queueAge); err != nil {
		return err
	}
	w := &kafkaWorker{t: t, topic: topic, group: topic, fn: fn, seen: map[string]time.Time{}, open: map[int64]bool{}}
	start, err := w.begin(ctx)
	if err != nil {
		return err
	}
	client, err := t.reader(topic, start)
	if err != nil {
		return err
	}
	defer client.Close()
	handling, ctx := errgroup.WithContext(ctx)
	handling.SetLimit(queueAtOnce + 1) // and the one that reads
	handling.Go(func() error { return w.read(ctx, client, start, handling) })
	return handling.Wait()
}

// kafkaWorker works on one queue.
type kafkaWorker struct {
	t     *kafkaTransport
	topic string
	group string
	fn    func([]byte) error

	mu      sync.Mutex
	seen    map[string]time.Time // when a command's id was sent first
	ids     []string             // the same, oldest first
	open    map[int64]bool       // offsets that were read and are not done
	next    int64                // offset after the last that was read
	kept    int64                // all before it is done, and Kafka knows
	dropped int64                // all before it is gone
}

// begin returns where to go on: what the group has done, unless the topic was made again since.
func (w *kafkaWorker) begin(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	start, end, err := w.t.bounds(ctx, w.topic)
	if err != nil {
		return 0, err
	}
	offsets, err := w.t.admin.FetchOffsetsForTopics(ctx, w.group, w.topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nobody has worked on it yet
		return 0, w.t.unavailable(err, "find the place in "+w.topic)
	}
	from := start
	if at, ok := offsets.Lookup(w.topic, 0); ok && at.Err == nil && at.At >= start && at.At <= end {
		from = at.At
	}
	w.next, w.kept, w.dropped = from, from, start
	return from, nil
}

// read hands over what comes to a few handlers.
func (w *kafkaWorker) read(ctx context.Context, client *kgo.Client, next int64, handling *errgroup.Group) error {
	for {
		records, err := poll(ctx, client, kafkaQuiet)
		if err != nil {
			return w.t.unavailable(err, "read "+w.topic)
		}
		if len(records) == 0 {
			if end, err := w.t.end(ctx, w.topic); err != nil || end != next {
				return w.t.unavailable(errTopicMoved, "read "+w.topic)
			}
		}
		for _, r := range records {
			next = r.Offset + 1
			if !w.take(r) {
				continue
			}
			handling.Go(func() error { return w.handle(ctx, r) })
		}
	}
}

// take notes a record and reports whether it is a command that was not seen before.
func (w *kafkaWorker) take(r *kgo.Record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = r.Offset + 1
	if r.Attrs.IsControl() {
		return false
	}
	id := string(r.Key)
	if first, ok := w.seen[id]; ok && r.Timestamp.Sub(first) < duplicates {
		return false
	}
	w.seen[id] = r.Timestamp
	if w.ids = append(w.ids, id); len(w.ids) > kafkaIDs {
		delete(w.seen, w.ids[0])
		w.ids = w.ids[1:]
	}
	w.open[r.Offset] = true
	return true
}

// handle calls fn until it has done the command.
func (w *kafkaWorker) handle(ctx context.Context, r *kgo.Record) error {
	for wait := backoffFirst; ; wait = min(2*wait, redeliverMost) {
		if w.fn(r.Value) == nil {
			return w.done(ctx, r.Offset)
		}
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// done notes that a command is done, and tells Kafka how far the queue is.
func (w *kafkaWorker) done(ctx context.Context, offset int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, offset)
	upTo := w.next
	for o := range w.open {
		upTo = min(upTo, o)
	}
	if upTo <= w.kept {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var place kadm.Offsets
	place.AddOffset(w.topic, 0, upTo, -1)
	if err := w.t.admin.CommitAllOffsets(ctx, w.group, place); err != nil {
		return w.t.unavailable(err, "keep the place in "+w.topic)
	}
	w.kept = upTo
	if upTo-w.dropped < kafkaSweep {
		return nil
	}
	if _, err := w.t.admin.DeleteRecords(ctx, place); err != nil {
		w.t.log.Warn("commands that are done stay in their topic for a while", "topic", w.topic, "err", err)
	}
	w.dropped = upTo
	return nil
}
