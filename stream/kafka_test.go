package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"matchday/errs"
	"matchday/stream"
)

// kafkaWorld is a world whose streams are on brokers inside this process.
type kafkaWorld struct {
	*world
	brokers []string
	admin   *kadm.Client
}

func setupKafka(t *testing.T) *kafkaWorld {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatalf("start brokers: %v", err)
	}
	t.Cleanup(cluster.Close)
	k := &kafkaWorld{world: bare(t), brokers: cluster.ListenAddrs()}
	client, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	k.admin = kadm.NewClient(client)
	k.over = k.open()
	return k
}

// open returns a transport of its own, as another process has one.
func (k *kafkaWorld) open() stream.Transport {
	k.t.Helper()
	s, err := stream.Open(k.t.Context(), stream.Config{
		Transport: stream.TransportKafka, EmbeddedConfig: stream.EmbeddedConfig{Dir: k.dir},
		Kafka: stream.KafkaConfig{Brokers: k.brokers, TLS: "off"},
	}, k.deps.Log)
	if err != nil {
		k.t.Fatalf("Open: %v", err)
	}
	k.t.Cleanup(func() { _ = s.Close() })
	return s.Transport()
}

const kafkaTopic = "matchday.ledger.0"

// relayOver is a relay of another process.
func (k *kafkaWorld) relayOver(t stream.Transport) *stream.Relay {
	k.t.Helper()
	r, err := stream.NewRelay(k.log, 0, t, k.deps)
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

func TestKafkaCarriesTheLog(t *testing.T) {
	t.Parallel()
	k := setupKafka(t)
	db := openDB(t, k.dir)
	k.commit(3, 0, 1, 500)
	k.start(k.relay().Run)
	s := k.sink(db, nil)
	k.start(s.Run)
	k.caughtUp(s, db)
	k.commit(1, 0, 0, 7)
	k.onStream()
	k.caughtUp(s, db)
	k.unbroken()
}

func TestKafkaHasOneMessageForEachRecordUnderItsPlayer(t *testing.T) {
	t.Parallel()
	k := setupKafka(t)
	k.commit(3, 0)
	k.start(k.relay().Run)
	k.onStream()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.ConsumeTopics(kafkaTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var got []string
	ctx := within(t, 2*time.Minute)
	for len(got) < 3 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			var event struct{ Type, Subject, Player string }
			if err := json.Unmarshal(r.Value, &event); err != nil {
				t.Fatalf("record %s is no event: %v", r.Value, err)
			}
			if string(r.Key) != event.Player || event.Player != "plr_1" || event.Type != stream.TypeBetPlaced {
				t.Errorf("key %s, event %+v: want the player of a placed bet as key", r.Key, event)
			}
			got = append(got, event.Subject)
		}
	}
	if text := fmt.Sprint(got); text != "[bet_1 bet_2 bet_3]" {
		t.Errorf("subjects %s, want each record once and in order", text)
	}
}

// kafkaFaults harm a topic; each leaves the log as it was.
var kafkaFaults = []struct {
	name string
	harm func(context.Context, *kafkaWorld) error
}{
	{"topic deleted", func(ctx context.Context, k *kafkaWorld) error {
		_, err := k.admin.DeleteTopic(ctx, kafkaTopic)
		return err
	}},
	{"oldest records dropped", func(ctx context.Context, k *kafkaWorld) error { return k.dropBefore(ctx, 2) }}, // inside a message
	{"all records dropped", func(ctx context.Context, k *kafkaWorld) error {
		ends, err := k.admin.ListEndOffsets(ctx, kafkaTopic)
		if err != nil {
			return err
		}
		last, _ := ends.Lookup(kafkaTopic, 0)
		return k.dropBefore(ctx, last.Offset)
	}},
}

func (k *kafkaWorld) dropBefore(ctx context.Context, offset int64) error {
	var before kadm.Offsets
	before.AddOffset(kafkaTopic, 0, offset, -1)
	_, err := k.admin.DeleteRecords(ctx, before)
	return err
}

func TestNoSinkNoticesWhatHappensToATopic(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: waits until clients notice what was done to their topic")
	}
	for _, fault := range kafkaFaults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			k := setupKafka(t)
			db := openDB(t, k.dir)
			k.start(k.relay().Run)
			s := k.sink(db, nil)
			stop := k.start(s.Run)
			for range 5 {
				k.commit(3)
				k.caughtUp(s, db)
			}
			k.onStream()
			if err := fault.harm(t.Context(), k); err != nil {
				t.Fatalf("harm: %v", err)
			}
			k.commit(2, 1)
			k.caughtUp(s, db)
			k.onStream()
			if err := stop(); err != nil {
				t.Fatalf("sink: %v", err)
			}
			k.commit(4)
			fresh := openDB(t, t.TempDir())
			s = k.sink(fresh, nil)
			k.start(s.Run)
			k.caughtUp(s, fresh)
			k.onStream()
		})
	}
}

func TestTwoRelaysOnKafkaPublishEveryBatchOnce(t *testing.T) {
	t.Parallel()
	k := setupKafka(t)
	k.start(k.relay().Run)
	k.start(k.relayOver(k.open()).Run)
	for range 10 {
		k.commit(2)
		k.onStream()
	}
	k.unbroken()
}

func TestKafkaFencesWhoWasReplaced(t *testing.T) {
	t.Parallel()
	k := setupKafka(t)
	ctx := within(t, 2*time.Minute)
	message := func(first, last int64) stream.Message {
		return stream.Message{First: first, Last: last, At: time.UnixMicro(1), Source: "0-1-17", Body: []byte("[]")}
	}
	old, other := k.over, k.open()
	tail, err := old.Tail(ctx, 0)
	if err != nil || tail.Last != 0 {
		t.Fatalf("Tail of a new topic = %+v, %v", tail, err)
	}
	if err := old.Publish(ctx, message(1, 4), tail.Fence)(ctx); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	if err := old.Publish(ctx, message(1, 4), tail.Fence)(ctx); err == nil {
		t.Error("the same publication again: want a refusal")
	}
	if again, err := old.Tail(ctx, 0); err != nil || again != (stream.Tail{Last: 4, Fence: tail.Fence + 1, Source: "0-1-17"}) {
		t.Errorf("Tail = %+v, %v: want the session to go on", again, err)
	}
	theirs, err := other.Tail(ctx, 0)
	if err != nil || theirs.Last != 4 || theirs.Source != "0-1-17" {
		t.Fatalf("Tail of the one who takes over = %+v, %v", theirs, err)
	}
	if err := other.Publish(ctx, message(5, 6), theirs.Fence)(ctx); err != nil {
		t.Fatalf("Publish of the one who takes over: %v", err)
	}
	if err := old.Publish(ctx, message(5, 9), tail.Fence+1)(ctx); err == nil {
		t.Error("publication of the one who was replaced: want a refusal")
	}
	left := other.Publish(ctx, message(7, 8), theirs.Fence+1) // and never waited for: its publisher is gone
	if now, err := other.Tail(ctx, 0); err != nil || now.Last != 6 {
		t.Errorf("Tail = %+v, %v, want 6 without what is on its way", now, err)
	}
	if err := other.Publish(ctx, message(7, 9), theirs.Fence+1)(ctx); err == nil {
		t.Error("publication beside one that is on its way: want a refusal")
	}
	if err := left(ctx); err == nil {
		t.Error("publication of a session that is over: want a refusal")
	}
	theirs, err = other.Tail(ctx, 0)
	if err != nil || theirs.Last != 6 {
		t.Fatalf("Tail = %+v, %v, want 6 in a session of its own", theirs, err)
	}
	if err := other.Publish(ctx, message(7, 7), theirs.Fence)(ctx); err != nil {
		t.Errorf("Publish in the next session: %v", err)
	}
	if now, err := other.Tail(ctx, 0); err != nil || now.Last != 7 || now.Fence != theirs.Fence+1 {
		t.Errorf("Tail = %+v, %v, want 7: nothing of the one who was replaced", now, err)
	}
}

func TestKafkaGoesOnInsideABatch(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: thousands of records, slow under the race detector")
	}
	k := setupKafka(t)
	big := make([]stream.Record, 1500)
	for i := range big {
		big[i] = record(i)
		big[i].Data = json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
	}
	k.log.Append(0, k.deps.Clock.Now(), 3, big...)
	stop := k.start(k.relay().Run)
	k.onStream()
	if whole := k.positions(); len(whole) < 4 {
		t.Fatalf("a batch of 1.5 MB is published as %v, want several messages", whole)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	k.commit(1)
	k.start(k.relayOver(k.open()).Run)
	k.onStream()
	k.unbroken()
	db := openDB(t, k.dir)
	s := k.sink(db, nil)
	k.start(s.Run)
	k.caughtUp(s, db)
}

func TestTopicsThatLoseRecordsAreRefused(t *testing.T) {
	t.Parallel()
	k := setupKafka(t)
	bad := map[string]string{
		"cleanup.policy": "compact", "min.insync.replicas": "1", "unclean.leader.election.enable": "true", "max.message.bytes": "1000000",
	}
	shard := 10
	for key, value := range bad {
		shard++
		topic := fmt.Sprintf("matchday.ledger.%d", shard)
		settings := map[string]*string{"min.insync.replicas": kadm.StringPtr("2"), "max.message.bytes": kadm.StringPtr("4000000")}
		settings[key] = &value
		if _, err := k.admin.CreateTopic(t.Context(), 1, 3, settings, topic); err != nil {
			t.Fatal(err)
		}
		if _, err := k.over.Tail(t.Context(), shard); !errs.Is(err, errs.CodeInternal) || !strings.Contains(err.Error(), key+"="+value) {
			t.Errorf("%s=%s: Tail = %v, want a refusal that names it", key, value, err)
		}
	}
	if _, err := k.admin.CreateTopic(t.Context(), 2, 3, nil, "matchday.ledger.20"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.over.Tail(t.Context(), 20); !errs.Is(err, errs.CodeInternal) {
		t.Errorf("two partitions: Tail = %v, want a refusal", err)
	}
	if _, err := k.admin.CreateTopic(t.Context(), 1, 1, nil, "matchday.ledger.21"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.over.Tail(t.Context(), 21); !errs.Is(err, errs.CodeInternal) {
		t.Errorf("one replica: Tail = %v, want a refusal", err)
	}
}

func TestKafkaCommandsComeAndAreDropped(t *testing.T) {
	t.Parallel()
	k := setupKafka(t)
	c, ctx := k.commands(), t.Context()
	for n := range 20 { // before anybody works, some of them twice
		for range 1 + n%2 {
			if err := c.Send(ctx, 0, fmt.Sprintf("id-%d", n), fmt.Appendf(nil, "command %d", n)); err != nil {
				t.Fatalf("Send: %v", err)
			}
		}
	}
	if err := c.Send(ctx, 0, "large", make([]byte, stream.MaxCommandBytes)); err != nil {
		t.Errorf("Send of the largest command: %v", err)
	}
	got := make(chan string, 100)
	work := func(fail func(string) bool) func() error {
		return k.start(func(ctx context.Context) error {
			return c.Run(ctx, 0, func(_ context.Context, payload []byte) error {
				name := string(payload[:min(len(payload), 12)])
				if fail(name) {
					return errors.New("not now")
				}
				got <- name
				return nil
			})
		})
	}
	stop := work(func(name string) bool { return name == "command 7" })
	done := map[string]int{}
	for len(done) < 20 { // all but the one that fails; behind it the queue goes on
		done[receive(t, got)]++
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for name, times := range done {
		if times != 1 {
			t.Errorf("%q came %d times in one run, want once", name, times)
		}
	}
	work(func(string) bool { return false })
	for name := ""; name != "command 7"; {
		name = receive(t, got)
	}
	if err := c.Send(ctx, 0, "last", []byte("last")); err != nil {
		t.Fatal(err)
	}
	for name := ""; name != "last"; {
		name = receive(t, got)
	}
}

func TestKafkaConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	good := stream.Config{Transport: stream.TransportKafka, EmbeddedConfig: stream.EmbeddedConfig{Dir: "x"},
		Kafka: stream.KafkaConfig{Brokers: []string{"a:9092"}}}
	if err := good.Validate(); err != nil {
		t.Errorf("Validate of a good one: %v", err)
	}
	bad := map[string]func(*stream.KafkaConfig){
		"brokers":       func(c *stream.KafkaConfig) { c.Brokers = nil },
		"brokers[0]":    func(c *stream.KafkaConfig) { c.Brokers = []string{"a"} },
		"replicas":      func(c *stream.KafkaConfig) { c.Replicas = 2 },
		"prefix":        func(c *stream.KafkaConfig) { c.Prefix = "a.b" },
		"password_file": func(c *stream.KafkaConfig) { c.User = "y" },
		"mechanism":     func(c *stream.KafkaConfig) { c.Mechanism = "md5" },
		"clear text":    func(c *stream.KafkaConfig) { c.Mechanism, c.TLS = "plain", "off" },
		"key_file":      func(c *stream.KafkaConfig) { c.CertFile = "y" },
	}
	for field, change := range bad {
		c := good
		change(&c.Kafka)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: Validate = %v, want it named", field, err)
		}
	}
}

func TestKafkaIsReadFromFarBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: thousands of records, slow under the race detector")
	}
	k := setupKafka(t)
	k.start(k.relay().Run)
	for range 6 {
		many := make([]stream.Record, 3000)
		for i := range many {
			many[i] = record(i)
		}
		k.log.Append(0, k.deps.Clock.Now(), 0, many...)
	}
	k.onStream()
	enough := errors.New("enough")
	for _, after := range []int64{0, 1, 2999, 3000, 9001, 17_999} {
		first := int64(0)
		err := k.over.Consume(within(t, 2*time.Minute), 0, after, func(m stream.Message) error {
			if b, err := stream.Decode(m); err != nil || len(b.Records) != int(m.Last-m.First+1) {
				t.Errorf("message %d..%d has %d records, %v", m.First, m.Last, len(b.Records), err)
			}
			first = m.First
			return enough
		})
		if !errors.Is(err, enough) || first > after+1 || first < after-3000 {
			t.Errorf("Consume after %d begins with %d, %v", after, first, err)
		}
	}
}
