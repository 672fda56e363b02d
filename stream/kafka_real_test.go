package stream_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"matchday/stream"
)

// libsVariable names the folder with Apache Kafka's own libraries; scripts/kafka.sh fills it.
const libsVariable = "MATCHDAY_KAFKA_LIBS"

// broker is a real Kafka broker, a process of its own.
type broker struct {
	t    *testing.T
	libs string
	file string
	addr string
	cmd  *exec.Cmd
}

// freeAddr is a loopback address that nobody uses.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// startBroker makes a cluster of one and waits until it answers.
func startBroker(t *testing.T) *broker {
	t.Helper()
	libs := os.Getenv(libsVariable)
	if libs == "" {
		t.Skipf("skipped: %s is not set; `make test-clients` sets it", libsVariable)
	}
	dir := t.TempDir()
	b := &broker{t: t, libs: libs, file: filepath.Join(dir, "server.properties"), addr: freeAddr(t)}
	voter := freeAddr(t)
	write(t, b.file, fmt.Appendf(nil, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
`, b.addr, voter, filepath.Join(dir, "log")))
	format := b.java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", b.file)
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	b.start()
	t.Cleanup(b.kill)
	return b
}

func (b *broker) java(args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{"-Xmx256m", "-cp", filepath.Join(b.libs, "*")}, args...)...)
}

// start starts the broker on its folder and waits until it answers.
func (b *broker) start() {
	b.t.Helper()
	b.cmd = b.java("kafka.Kafka", b.file)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	ctx := within(b.t, 3*time.Minute)
	for tick := time.NewTicker(200 * time.Millisecond); client.Ping(ctx) != nil; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.t.Fatal("the broker does not answer")
		}
	}
}

// kill ends the broker as a power cut would, but for what the kernel still writes.
func (b *broker) kill() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.cmd = nil
	}
}

func TestARealBrokerCarriesTheStreams(t *testing.T) {
	b := startBroker(t)
	k := &kafkaWorld{world: bare(t), brokers: []string{b.addr}}
	open := func() stream.Transport {
		s, err := stream.Open(t.Context(), stream.Config{
			Transport: stream.TransportKafka, EmbeddedConfig: stream.EmbeddedConfig{Dir: k.dir},
			Kafka: stream.KafkaConfig{Brokers: k.brokers, TLS: "off", Replicas: 1},
		}, k.deps.Log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s.Transport()
	}
	k.over = open()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	k.admin = kadm.NewClient(client)
	db := openDB(t, k.dir)
	stopRelay := k.start(k.relay().Run)
	s := k.sink(db, nil)
	k.start(s.Run)
	k.commit(3, 0, 1, 2000)
	k.onStream()
	k.caughtUp(s, db)

	b.kill() // while relay and sink run
	k.commit(5, 6)
	k.caughtUp(s, db) // from the log
	b.start()
	k.onStream()
	k.unbroken()

	second := k.start(k.relayOver(open()).Run) // two relays at once, as after a pause
	for range 10 {
		k.commit(2)
		k.onStream()
	}
	k.unbroken()
	if err := stopRelay(); err != nil {
		t.Fatal(err)
	}
	k.commit(4)
	k.onStream()

	if _, err := k.admin.DeleteTopic(t.Context(), kafkaTopic); err != nil {
		t.Fatal(err)
	}
	k.commit(2)
	k.caughtUp(s, db)
	k.onStream()
	k.unbroken()
	if err := second(); err != nil {
		t.Fatal(err)
	}
	commands(t, k)
}

// commands sends some, the largest among them, and sees each done once.
func commands(t *testing.T, k *kafkaWorld) {
	t.Helper()
	c := k.commands()
	want := map[string]bool{strings.Repeat("x", stream.MaxCommandBytes): true}
	for n := range 10 {
		want[fmt.Sprintf("command %d", n)] = true
	}
	n := 0
	for text := range want {
		n++
		for range 2 {
			if err := c.Send(t.Context(), 0, fmt.Sprint("id-", n), []byte(text)); err != nil {
				t.Fatalf("Send: %v", err)
			}
		}
	}
	got := make(chan string, 100)
	k.start(func(ctx context.Context) error {
		return c.Run(ctx, 0, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
	})
	for range want {
		if text := receive(t, got); !want[text] {
			t.Errorf("command of %d bytes was not sent, or came twice", len(text))
		} else {
			want[text] = false
		}
	}
}
