package stream

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"matchday/errs"
)

// queueAge is how long Kafka keeps a command that nobody works on: longer than any outage, and the sender
// sends again what it does not see done.
const queueAge = 14 * 24 * time.Hour

// topicSettings are what a topic is made with.
func (t *kafkaTransport) topicSettings(bytes int64, age time.Duration) map[string]*string {
	forever := func(n int64) string {
		if n == 0 {
			return "-1"
		}
		return strconv.FormatInt(n, 10)
	}
	out := map[string]*string{}
	for key, value := range map[string]string{
		"cleanup.policy":                 "delete",
		"min.insync.replicas":            strconv.Itoa(t.config.Kafka.insync()),
		"unclean.leader.election.enable": "false",
		"max.message.bytes":              strconv.Itoa(2 * kafkaBatchBytes),
		"retention.bytes":                forever(bytes),
		"retention.ms":                   forever(age.Milliseconds()),
	} {
		out[key] = &value
	}
	return out
}

// topicRule is a setting of a topic that could lose what was acknowledged, or refuse what must be taken.
type topicRule struct {
	key string
	ok  func(value string, c KafkaConfig) bool
	why string
}

var topicRules = []topicRule{
	{"cleanup.policy", func(v string, _ KafkaConfig) bool { return v == "delete" },
		"must be delete: compaction keeps the last record of each player only"},
	{"min.insync.replicas", func(v string, c KafkaConfig) bool { n, err := strconv.Atoi(v); return err == nil && n >= c.insync() },
		"must be most of the replicas: fewer acknowledge records that the next leader may not have"},
	{"unclean.leader.election.enable", func(v string, _ KafkaConfig) bool { return v == "false" },
		"must be false: a replica that lacks acknowledged records could lead"},
	{"max.message.bytes", func(v string, _ KafkaConfig) bool {
		n, err := strconv.Atoi(v)
		return err == nil && n >= kafkaBatchBytes
	},
		"must be at least " + strconv.Itoa(kafkaBatchBytes) + ": payout commands are that large"},
}

// ensure makes a topic if it is missing, and refuses one that could lose what it acknowledged, once.
func (t *kafkaTransport) ensure(ctx context.Context, topic string, bytes int64, age time.Duration) error {
	t.mu.Lock()
	ready := t.ready[topic]
	t.mu.Unlock()
	if ready {
		return nil
	}
	details, err := t.admin.ListTopics(ctx, topic)
	if err != nil {
		return t.unavailable(err, "find topic "+topic)
	}
	detail, found := details[topic]
	if !found || errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
		_, err := t.admin.CreateTopic(ctx, 1, int16(t.config.Kafka.Replicas), t.topicSettings(bytes, age), topic)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return t.unavailable(err, "make topic "+topic)
		}
		if err := t.appears(ctx, topic); err != nil {
			return err
		}
	} else if detail.Err != nil {
		return t.unavailable(detail.Err, "find topic "+topic)
	} else if err := t.copies(detail); err != nil {
		return err
	}
	if err := t.keepsTopic(ctx, topic); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready[topic] = true
	return nil
}

// appears waits until a topic that was just made has a leader that we know of.
func (t *kafkaTransport) appears(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	for {
		_, _, err := t.bounds(ctx, topic)
		if err == nil || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// copies refuses a topic with another shape.
func (t *kafkaTransport) copies(detail kadm.TopicDetail) error {
	if n := len(detail.Partitions); n != 1 {
		return errs.New(errs.CodeInternal, "topic %s has %d partitions: with more than one the log has no order; "+
			"delete it, and it is made and filled again", detail.Topic, n)
	}
	if n := detail.Partitions.NumReplicas(); n < t.config.Kafka.Replicas {
		return errs.New(errs.CodeInternal, "topic %s has %d replicas, stream.kafka.replicas is %d; add them, or delete it, "+
			"and it is made and filled again", detail.Topic, n, t.config.Kafka.Replicas)
	}
	return nil
}

// keepsTopic refuses settings that could lose what was acknowledged, all at once and each with its reason.
func (t *kafkaTransport) keepsTopic(ctx context.Context, topic string) error {
	described, err := t.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return t.unavailable(err, "read settings of topic "+topic)
	}
	one, err := described.On(topic, nil)
	if err = errors.Join(err, one.Err); err != nil {
		return t.unavailable(err, "read settings of topic "+topic)
	}
	have := map[string]string{}
	for _, c := range one.Configs {
		if c.Value != nil {
			have[c.Key] = *c.Value
		}
	}
	var problems []error
	for _, rule := range topicRules {
		if value, ok := have[rule.key]; ok && !rule.ok(value, t.config.Kafka) {
			problems = append(problems, errs.New(errs.CodeInternal, "topic %s: %s=%s %s", topic, rule.key, value, rule.why))
		}
	}
	return errors.Join(problems...)
}

// forgetTopic has a topic looked for and checked again.
func (t *kafkaTransport) forgetTopic(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ready, topic)
}

// topicID returns what tells a topic from an earlier one of its name.
func (t *kafkaTransport) topicID(ctx context.Context, topic string) (kadm.TopicID, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	details, err := t.admin.ListTopics(ctx, topic)
	if err == nil {
		err = details[topic].Err
	}
	return details[topic].ID, t.unavailable(err, "find topic "+topic)
}

// bounds returns the first offset of a topic and the one after the last that is committed.
func (t *kafkaTransport) bounds(ctx context.Context, topic string) (start, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	starts, err := t.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, 0, t.unavailable(err, "find the start of "+topic)
	}
	end, err = t.end(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	first, ok := starts.Lookup(topic, 0)
	if err := first.Err; err != nil || !ok {
		return 0, 0, t.unavailable(errors.Join(err, errNoPartition), "find the start of "+topic)
	}
	return first.Offset, end, nil
}

var errNoPartition = errors.New("the partition is not there")

// end returns the offset after the last that is committed.
func (t *kafkaTransport) end(ctx context.Context, topic string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ends, err := t.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return 0, t.unavailable(err, "find the end of "+topic)
	}
	last, ok := ends.Lookup(topic, 0)
	if !ok {
		return 0, t.unavailable(errNoPartition, "find the end of "+topic)
	}
	if last.Err != nil {
		return 0, t.unavailable(last.Err, "find the end of "+topic)
	}
	return last.Offset, nil
}
