package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"matchday/errs"
	"matchday/internal/certs"
)

// KafkaConfig names a Kafka cluster. Secrets are in files. What decides whether an acknowledged record
// can be lost is no setting: all replicas in sync acknowledge, and producers are idempotent.
type KafkaConfig struct {
	Brokers  []string `yaml:"brokers"`  // host:9092, several: the process finds the others
	Replicas int      `yaml:"replicas"` // copies of each topic; 0 is 3
	Prefix   string   `yaml:"prefix"`   // first part of the names of topics; "" is matchday

	User         string `yaml:"user"`          // "" is no sign-in
	PasswordFile string `yaml:"password_file"` // file with the password
	Mechanism    string `yaml:"mechanism"`     // scram-sha-512 (default), scram-sha-256 or plain

	TLS      string `yaml:"tls"`       // verify (default) or off, which is clear text
	CAFile   string `yaml:"ca_file"`   // who vouches for the brokers; "" is the machine's list
	CertFile string `yaml:"cert_file"` // what this process shows of itself, with key_file
	KeyFile  string `yaml:"key_file"`  // the private key of cert_file
}

// How a process signs in to brokers.
const (
	mechanismPlain = "plain"
	mechanism256   = "scram-sha-256"
	mechanism512   = "scram-sha-512"
)

// WithDefaults returns the configuration with everything filled in that was left out.
func (c KafkaConfig) WithDefaults() KafkaConfig {
	c.Replicas = cmp.Or(c.Replicas, 3)
	c.Prefix = cmp.Or(c.Prefix, "matchday")
	c.TLS = cmp.Or(c.TLS, tlsVerify)
	if c.User != "" {
		c.Mechanism = cmp.Or(c.Mechanism, mechanism512)
	}
	return c
}

// validate adds everything that cannot work.
func (c KafkaConfig) validate(check *errs.Check, field string) {
	if len(c.Brokers) == 0 || len(c.Brokers) > maxURLs {
		check.Add(field+".brokers", "must name 1 to %d brokers", maxURLs)
	}
	for i, one := range c.Brokers {
		if host, port, err := net.SplitHostPort(one); err != nil || host == "" || port == "" {
			check.Add(fmt.Sprintf("%s.brokers[%d]", field, i), "must be host:port")
		}
	}
	if c.Replicas < 0 || c.Replicas == 2 || c.Replicas > 9 {
		check.Add(field+".replicas", "must be 1 or 3 to 9: of two copies the loss of either stops the stream")
	}
	if c.Prefix != "" && !validName(c.Prefix) {
		check.Add(field+".prefix", "must be lower-case letters, digits and dashes")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		check.Add(field+".password_file", "goes together with user")
	}
	switch c.Mechanism {
	case "", mechanism256, mechanism512:
	case mechanismPlain:
		if c.TLS == tlsOff {
			check.Add(field+".mechanism", "plain sends the password in clear text unless tls is %s", tlsVerify)
		}
	default:
		check.Add(field+".mechanism", "must be %s, %s or %s", mechanism512, mechanism256, mechanismPlain)
	}
	validateTLS(check, field, c.TLS, c.CAFile, c.CertFile, c.KeyFile)
}

// Kafka is a connection to a Kafka cluster.
type Kafka struct {
	transport *kafkaTransport
	closing   sync.Once
}

// kafkaTransport is Transport over Kafka. The log of a shard is a topic with one partition, so that its
// order is total; each record is a message of its own, with the player as its key. A command queue of a
// shard is a topic too.
type kafkaTransport struct {
	config   Config
	options  []kgo.Opt
	client   *kgo.Client // sends commands and asks
	admin    *kadm.Client
	log      *slog.Logger
	sessions atomic.Uint64

	mu    sync.Mutex
	logs  map[int]*kafkaLog
	ready map[string]bool // topics that are there and keep what they acknowledge
}

// OpenKafka connects to the cluster.
//
// Errors: unavailable if no broker answers within half a minute, at once if one refuses the sign-in or shows a
// certificate that ca_file does not vouch for.
func OpenKafka(ctx context.Context, c Config, log *slog.Logger) (*Kafka, error) {
	if log == nil {
		return nil, errors.New("stream: a log is required")
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open kafka streams: %w", err)
	}
	c = c.WithDefaults()
	options, err := c.Kafka.options(log)
	if err != nil {
		return nil, fmt.Errorf("open kafka streams: %w", err)
	}
	t := &kafkaTransport{config: c, options: options, log: log, logs: map[int]*kafkaLog{}, ready: map[string]bool{}}
	if t.client, err = kgo.NewClient(options...); err != nil {
		return nil, fmt.Errorf("open kafka streams: %w", err)
	}
	t.admin = kadm.NewClient(t.client)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := t.reach(ctx); err != nil {
		t.client.Close()
		return nil, c.Kafka.unavailable(err, "connect to the brokers "+strings.Join(c.Kafka.Brokers, ", "))
	}
	log.Info("streams are on a Kafka cluster: a record is acknowledged by all replicas in sync; Kafka flushes to disk later",
		"brokers", len(t.client.DiscoveredBrokers()), "replicas", c.Kafka.Replicas, "min_insync_replicas", c.Kafka.insync(),
		"max_bytes", c.MaxBytes, "max_age", c.MaxAge)
	return &Kafka{transport: t}, nil
}

// reach waits until a broker answers. Its error is the last that has a reason of its own: that the time is
// over says less.
func (t *kafkaTransport) reach(ctx context.Context) error {
	var last error
	for wait := (backoff{}); ; {
		err := t.client.Ping(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if t.config.Kafka.isRefused(err) || !wait.wait(ctx) {
			return last
		}
	}
}

// Transport implements Streams.
func (k *Kafka) Transport() Transport { return k.transport }

// Close implements Streams.
func (k *Kafka) Close() error {
	k.closing.Do(func() {
		k.transport.mu.Lock()
		defer k.transport.mu.Unlock()
		for _, l := range k.transport.logs {
			l.close()
		}
		k.transport.client.Close()
	})
	return nil
}

// insync is how many copies must have a record before it is acknowledged: most of them.
func (c KafkaConfig) insync() int { return c.Replicas/2 + 1 }

// kafkaBatchBytes bounds what goes to a partition at once; the largest single record is a command.
const kafkaBatchBytes = MaxCommandBytes + 64<<10

// options are those of every connection.
func (c KafkaConfig) options(log *slog.Logger) ([]kgo.Opt, error) {
	out := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("matchday"),
		kgo.RequiredAcks(kgo.AllISRAcks()), // and idempotent, as the library is by default
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(kafkaBatchBytes),
		kgo.RetryTimeout(ackTimeout), kgo.ProduceRequestTimeout(ackTimeout), // no time-out of delivery: it counts from a record's time stamp
		kgo.UnknownTopicRetries(2), kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.FetchMaxWait(time.Second), kgo.FetchMaxBytes(8 << 20), kgo.FetchMaxPartitionBytes(4 << 20),
	}
	if c.User != "" {
		if _, err := readSecret(c.PasswordFile); err != nil {
			return nil, err
		}
		out = append(out, kgo.SASL(c.signIn()))
	}
	if c.TLS == tlsOff {
		return out, nil
	}
	secure, err := certs.Open(certs.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}, log)
	if err != nil {
		return nil, err
	}
	return append(out, kgo.Dialer(secure.Dial)), nil
}

// signIn reads the password each time: it may have been replaced.
func (c KafkaConfig) signIn() sasl.Mechanism {
	switch c.Mechanism {
	case mechanismPlain:
		return saslplain.Plain(func(context.Context) (saslplain.Auth, error) {
			password, err := readSecret(c.PasswordFile)
			return saslplain.Auth{User: c.User, Pass: password}, err
		})
	case mechanism256:
		return scram.Sha256(c.scram)
	}
	return scram.Sha512(c.scram)
}

func (c KafkaConfig) scram(context.Context) (scram.Auth, error) {
	password, err := readSecret(c.PasswordFile)
	return scram.Auth{User: c.User, Pass: password}, err
}

func (t *kafkaTransport) logTopic(shard int) string {
	return t.config.Kafka.Prefix + ".ledger." + strconv.Itoa(shard)
}

func (t *kafkaTransport) queueTopic(queue string, shard int) string {
	return t.config.Kafka.Prefix + ".commands." + queue + "." + strconv.Itoa(shard)
}

// shardLog returns what this process knows of a shard's topic.
func (t *kafkaTransport) shardLog(shard int) *kafkaLog {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.logs[shard]
	if l == nil {
		l = &kafkaLog{t: t, shard: shard, topic: t.logTopic(shard)}
		t.logs[shard] = l
	}
	return l
}
