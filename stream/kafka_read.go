package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	kafkaNear  = 4096            // a place in a topic need not be found more exactly: the rest is skipped
	kafkaQuiet = 5 * time.Second // without a record, after which a reader looks whether there should be one
)

// errTopicMoved means that a topic does not continue where a reader is.
var errTopicMoved = errors.New("the topic does not go on where it was read")

// reader is a connection that reads a topic from an offset on, marks of commits included.
func (t *kafkaTransport) reader(topic string, offset int64) (*kgo.Client, error) {
	at := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(offset)}}
	client, err := kgo.NewClient(append(t.options[:len(t.options):len(t.options)],
		kgo.ConsumePartitions(at), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.KeepRetryableFetchErrors())...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	return client, nil
}

// scan hands over what a topic has from an offset up to, but without, another, until fn returns false.
func (t *kafkaTransport) scan(ctx context.Context, topic string, from, to int64, fn func(*kgo.Record) bool) error {
	if from >= to {
		return nil
	}
	client, err := t.reader(topic, from)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		records, err := poll(ctx, client, requestTimeout)
		if err != nil {
			return t.unavailable(err, "read "+topic)
		}
		if len(records) == 0 {
			return t.unavailable(errTopicMoved, "read "+topic)
		}
		for _, r := range records {
			if r.Offset >= to || !r.Attrs.IsControl() && !fn(r) || r.Offset == to-1 {
				return nil
			}
		}
	}
}

// poll returns the next records, none if there are none for so long.
func poll(ctx context.Context, client *kgo.Client, most time.Duration) ([]*kgo.Record, error) {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	fetches := client.PollFetches(limited)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return nil, e.Err
		}
	}
	return fetches.Records(), nil
}

// lastMessage returns the headers of the newest whole message and the committed end of the topic. It
// looks at the end first and then further and further back.
func (t *kafkaTransport) lastMessage(ctx context.Context, topic string) (Message, int64, error) {
	start, end, err := t.bounds(ctx, topic)
	if err != nil {
		return Message{}, 0, err
	}
	var found Message
	for width, from := int64(2), end; found.Last == 0 && from > start; width *= 8 {
		from = max(end-width, start)
		err := t.scan(ctx, topic, from, end, func(r *kgo.Record) bool {
			if m, place := parseRecord(r); place.ends {
				found = m
			}
			return true
		})
		if err != nil {
			return Message{}, 0, err
		}
	}
	return found, end, nil
}

// seek returns an offset at or a little before the first record after the log position.
func (t *kafkaTransport) seek(ctx context.Context, topic string, after int64) (int64, error) {
	low, high, err := t.bounds(ctx, topic)
	if err != nil || after < 0 {
		return high, err
	}
	for width := int64(kafkaNear); high-low > kafkaNear; width *= 4 {
		middle := max(high-width, low+(high-low)/2) // most readers are near the end
		beyond := true
		err := t.scan(ctx, topic, middle, high, func(r *kgo.Record) bool {
			m, place := parseRecord(r)
			if !place.ours {
				return true
			}
			beyond = m.Last > after
			return false
		})
		if err != nil {
			return 0, err
		}
		if beyond {
			high = middle
		} else {
			low = middle
		}
	}
	return low, nil
}

// Consume implements Transport.
func (t *kafkaTransport) Consume(ctx context.Context, shard int, after int64, fn func(Message) error) error {
	topic := t.logTopic(shard)
	find, cancel := context.WithTimeout(ctx, seekTimeout)
	next, err := t.seek(find, topic, after)
	cancel()
	if err != nil {
		return err
	}
	client, err := t.reader(topic, next)
	if err != nil {
		return err
	}
	defer client.Close()
	parts := assembly{shard: shard}
	for {
		records, err := poll(ctx, client, kafkaQuiet)
		if err != nil {
			return t.unavailable(err, "read "+topic)
		}
		if len(records) == 0 {
			if end, err := t.end(ctx, topic); err != nil || end != next {
				return t.unavailable(errors.Join(err, errTopicMoved), "read "+topic)
			}
		}
		for _, r := range records {
			next = r.Offset + 1
			m, whole := parts.add(r)
			if !whole || m.Last <= after {
				continue
			}
			if err := fn(m); err != nil {
				return err
			}
		}
	}
}

// assembly puts messages together from their records.
type assembly struct {
	shard int
	first int64 // of the message at hand
	next  int   // place of the record that must come; 0 begins a message
	body  bytes.Buffer
}

// add returns a message when its last record has come. What lacks its beginning, because the topic
// dropped it, is left out: whoever reads sees the gap and reads the log instead.
func (a *assembly) add(r *kgo.Record) (Message, bool) {
	if r.Attrs.IsControl() {
		return Message{}, false
	}
	m, place := parseRecord(r)
	if !place.ours {
		return Message{}, false
	}
	if place.number == 0 {
		a.first, a.next = m.First, 0
		a.body.Reset()
		a.body.WriteByte('[')
	}
	if place.number != a.next || m.First != a.first {
		a.next = -1
		return Message{}, false
	}
	a.next++
	if !place.bare {
		if place.number > 0 {
			a.body.WriteByte(',')
		}
		a.body.Write(r.Value)
	}
	if !place.ends {
		return Message{}, false
	}
	a.body.WriteByte(']')
	a.next = -1
	m.Shard, m.Body = a.shard, bytes.Clone(a.body.Bytes())
	return m, true
}

// place is where a record is in its message.
type place struct {
	ours   bool // we have written it
	number int
	ends   bool
	bare   bool
}

// parseRecord reads the headers of a record, but for the shard.
func parseRecord(r *kgo.Record) (Message, place) {
	var m Message
	p := place{number: -1}
	var bad error
	number := func(text []byte) int64 {
		n, err := strconv.ParseInt(string(text), 10, 64)
		bad = errors.Join(bad, err)
		return n
	}
	for _, h := range r.Headers {
		switch h.Key {
		case headerFirst:
			m.First = number(h.Value)
		case headerLast:
			m.Last = number(h.Value)
		case headerCommitted:
			m.At = time.UnixMicro(number(h.Value)).UTC()
		case headerPlace:
			p.number = int(number(h.Value))
		case headerSource:
			m.Source = string(h.Value)
		case headerEnd:
			p.ends, p.bare = true, string(h.Value) == endBare
		}
	}
	if bad != nil || m.First < 1 || m.Last < m.First || p.number < 0 {
		return Message{}, place{}
	}
	p.ours = true
	return m, p
}
