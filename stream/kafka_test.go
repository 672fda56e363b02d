package stream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
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
	brokers := startFakes(t)
	k := &kafkaWorld{world: onBrokers(brokers, 3).worldOf(t, ""), brokers: brokers}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	k.admin = kadm.NewClient(client)
	return k
}

const kafkaTopic = "matchday.ledger.0"

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

// TestKafkaSessionsThatAreLeftAreOver: messages that wait go together when the first is waited for, so what a publisher
// has left behind must not go with those of the next.
func TestKafkaSessionsThatAreLeftAreOver(t *testing.T) {
	t.Parallel()
	k := setupKafka(t)
	ctx := within(t, 2*time.Minute)
	at := k.publishes(k.over, place(0, 1, 6))
	left := k.over.Publish(ctx, place(0, 7, 8), at.Fence) // and never waited for: its publisher is gone
	if now := k.tail(k.over, 0); now.Last != 6 {
		t.Errorf("Tail = %+v, want 6 without what is on its way", now)
	}
	k.refused("a publication beside one that is on its way", k.over.Publish(ctx, place(0, 7, 9), at.Fence))
	k.refused("a publication of a session that is over", left)
	k.publishes(k.over, place(0, 7, 7))
	k.holds(0, 0, "1-6", "7-7")
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
