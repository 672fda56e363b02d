package stream_test

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"matchday/internal/certs/certtest"
	"matchday/internal/natsnode"
	"matchday/stream"
)

// transports are the ways to carry streams. Servers that are missing, or too much for a short run, are skipped.
var transports = []struct {
	name  string
	start func(t *testing.T) *servers
}{
	{"embedded JetStream", func(*testing.T) *servers { return embedded }},
	{"three JetStream nodes", func(t *testing.T) *servers { return onNodes(startNodes(t)) }},
	{"Kafka brokers in this process", func(t *testing.T) *servers { return onBrokers(startFakes(t), 3) }},
	{"Apache Kafka", func(t *testing.T) *servers {
		return onBrokers([]string{startBrokers(t, 1, certtest.NewAuthority(t))[0].addr}, 1)
	}},
}

// servers carry the streams of one world or of several, each with a prefix.
type servers struct {
	open   func(w *world) stream.Streams        // connects, as another process does
	lose   func(w *world, name ...string) error // a stream, by the parts of its name
	faults []fault                              // of the log stream of shard 0; the first loses all of it

	worlds atomic.Int64
}

// fault harms the streams of a world and leaves its log as it was.
type fault struct {
	name string
	harm func(ctx context.Context, w *world) error
}

// world returns a world on streams that nobody else has.
func (s *servers) world(t *testing.T) *world {
	t.Helper()
	return s.worldOf(t, fmt.Sprint("w", s.worlds.Add(1)))
}

func (s *servers) worldOf(t *testing.T, prefix string) *world {
	t.Helper()
	w := bare(t)
	w.servers, w.prefix = s, prefix
	w.over = w.open()
	return w
}

// open returns a transport of another process. Only the embedded server has none but its own.
func (w *world) open() stream.Transport {
	w.t.Helper()
	s := w.servers.open(w)
	w.t.Cleanup(func() { _ = s.Close() })
	return s.Transport()
}

// connect opens streams on servers.
func (w *world) connect(c stream.Config) stream.Streams {
	w.t.Helper()
	c.EmbeddedConfig = stream.EmbeddedConfig{Dir: w.dir, MaxBytes: 1 << 30, CommandMaxBytes: 64 << 20}
	s, err := stream.Open(w.t.Context(), c, w.deps.Log)
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	return s
}

// embedded is a server in each world, with no prefix: the world has it to itself.
var embedded = onJetStream(
	func(w *world) stream.Streams {
		if w.emb == nil {
			w.prefix = ""
			w.startServer()
		}
		return w.emb
	},
	func(w *world, fn func(jetstream.JetStream) error) error { return fn(stream.JetStreamForTest(w.emb)) })

func startNodes(t *testing.T) *natsnode.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped in short mode: starts three stream servers")
	}
	nodes, err := natsnode.Start(t.Context(), natsnode.Options{Dir: filepath.Join(t.TempDir(), "nodes")})
	if err != nil {
		t.Fatalf("start nodes: %v", err)
	}
	t.Cleanup(func() { _ = nodes.Close() })
	return nodes
}

func onNodes(nodes *natsnode.Cluster) *servers {
	return onJetStream(
		func(w *world) stream.Streams {
			return w.connect(stream.Config{Transport: stream.TransportNATS,
				NATS: stream.NATSConfig{URLs: nodes.URLs(), TLS: "off", Prefix: w.prefix}})
		},
		func(_ *world, fn func(jetstream.JetStream) error) error {
			js, conn, err := nodes.JetStream()
			if err != nil {
				return err
			}
			defer conn.Close()
			return fn(js)
		})
}

// onJetStream needs what an operator does, or an accident, to a server's streams.
func onJetStream(open func(*world) stream.Streams, administer func(*world, func(jetstream.JetStream) error) error) *servers {
	name := func(w *world, parts ...string) string {
		if w.prefix != "" {
			parts = append([]string{w.prefix}, parts...)
		}
		return strings.Join(parts, "-")
	}
	lose := func(w *world, parts ...string) error {
		return administer(w, func(js jetstream.JetStream) error { return js.DeleteStream(w.t.Context(), name(w, parts...)) })
	}
	on := func(fn func(context.Context, jetstream.Stream) error) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error {
			return administer(w, func(js jetstream.JetStream) error {
				s, err := js.Stream(ctx, name(w, "ledger", "0"))
				if err != nil {
					return err
				}
				return fn(ctx, s)
			})
		}
	}
	return &servers{open: open, lose: lose, faults: []fault{
		{"stream deleted", func(_ context.Context, w *world) error { return lose(w, "ledger", "0") }},
		{"stream emptied", on(func(ctx context.Context, s jetstream.Stream) error { return s.Purge(ctx) })},
		{"oldest messages dropped", on(func(ctx context.Context, s jetstream.Stream) error { return s.Purge(ctx, jetstream.WithPurgeKeep(1)) })},
		{"last message deleted", on(func(ctx context.Context, s jetstream.Stream) error {
			last, err := s.GetLastMsgForSubject(ctx, s.CachedInfo().Config.Subjects[0])
			if err != nil {
				return err
			}
			return s.DeleteMsg(ctx, last.Sequence)
		})},
	}}
}

func startFakes(t *testing.T) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatalf("start brokers: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func onBrokers(brokers []string, replicas int) *servers {
	topic := func(w *world, parts ...string) string {
		return strings.Join(append([]string{cmp.Or(w.prefix, "matchday")}, parts...), ".")
	}
	administer := func(fn func(*kadm.Client) error) error {
		client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
		if err != nil {
			return err
		}
		defer client.Close()
		return fn(kadm.NewClient(client))
	}
	lose := func(w *world, parts ...string) error {
		return administer(func(admin *kadm.Client) error {
			_, err := admin.DeleteTopic(w.t.Context(), topic(w, parts...))
			return err
		})
	}
	drop := func(before func(start, end int64) int64) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error {
			return administer(func(admin *kadm.Client) error {
				of := topic(w, "ledger", "0")
				starts, err := admin.ListStartOffsets(ctx, of)
				if err != nil {
					return err
				}
				ends, err := admin.ListEndOffsets(ctx, of)
				if err != nil {
					return err
				}
				start, _ := starts.Lookup(of, 0)
				end, _ := ends.Lookup(of, 0)
				var offset kadm.Offsets
				offset.AddOffset(of, 0, before(start.Offset, end.Offset), -1)
				_, err = admin.DeleteRecords(ctx, offset)
				return err
			})
		}
	}
	open := func(w *world) stream.Streams {
		return w.connect(stream.Config{Transport: stream.TransportKafka,
			Kafka: stream.KafkaConfig{Brokers: brokers, TLS: "off", Replicas: replicas, Prefix: w.prefix}})
	}
	return &servers{open: open, lose: lose, faults: []fault{
		{"topic deleted", func(_ context.Context, w *world) error { return lose(w, "ledger", "0") }},
		{"oldest records dropped", drop(func(start, _ int64) int64 { return start + 2 })}, // inside a message
		{"all records dropped", drop(func(_, end int64) int64 { return end })},
	}}
}
