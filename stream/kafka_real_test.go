package stream_test

import (
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

	"matchday/internal/certs/certtest"
	"matchday/stream"
)

// libsVariable names the folder with Apache Kafka's own libraries; scripts/kafka.sh fills it.
const libsVariable = "MATCHDAY_KAFKA_LIBS"

// broker is a real Kafka broker, a process of its own.
type broker struct {
	t      *testing.T
	libs   string
	file   string
	addr   string // for itself and the other brokers, and for clients in clear text, who may do everything
	secure string // for clients over TLS, with a certificate and a password
	cmd    *exec.Cmd
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

// brokerSettings are those of one broker of a cluster that is also one of its controllers.
const brokerSettings = `process.roles=broker,controller
node.id=%[1]d
controller.quorum.voters=%[2]s
listeners=INTERNAL://%[3]s,CLIENT://%[4]s,CONTROLLER://%[5]s
advertised.listeners=INTERNAL://%[3]s,CLIENT://%[4]s
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
listener.security.protocol.map=INTERNAL:PLAINTEXT,CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.client.ssl.client.auth=required
listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location=%[6]s/keystore.pem
listener.name.client.ssl.truststore.type=PEM
listener.name.client.ssl.truststore.location=%[7]s
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_plain="s3cret";
log.dirs=%[6]s/log
offsets.topic.replication.factor=%[8]d
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=%[8]d
transaction.state.log.min.isr=%[9]d
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
`

// startBrokers makes a cluster of n and waits until each answers.
func startBrokers(t *testing.T, n int, authority *certtest.Authority) []*broker {
	t.Helper()
	libs := os.Getenv(libsVariable)
	if libs == "" {
		t.Skipf("skipped: %s is not set; `make test-clients` sets it", libsVariable)
	}
	var all []*broker
	var voters, controllers []string
	for i := range n {
		all = append(all, &broker{t: t, libs: libs, addr: freeAddr(t), secure: freeAddr(t)})
		controllers = append(controllers, freeAddr(t))
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, controllers[i]))
	}
	for i, b := range all {
		dir := t.TempDir()
		files := authority.Issue(t, dir, nil)
		write(t, filepath.Join(dir, "keystore.pem"), append(read(t, files.Key), read(t, files.Cert)...))
		b.file = filepath.Join(dir, "server.properties")
		write(t, b.file, fmt.Appendf(nil, brokerSettings, i+1, strings.Join(voters, ","), b.addr, b.secure, controllers[i], dir, files.CA, n, n/2+1))
		format := b.java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", b.file,
			"--add-scram", "SCRAM-SHA-512=[name=matchday,password=s3cret]")
		if out, err := format.CombinedOutput(); err != nil {
			t.Fatalf("format: %v\n%s", err, out)
		}
		b.launch()
		t.Cleanup(b.kill)
	}
	for _, b := range all {
		b.await()
	}
	return all
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (b *broker) java(args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{"-Xmx256m", "-cp", filepath.Join(b.libs, "*")}, args...)...)
}

// launch starts the broker on its folder.
func (b *broker) launch() {
	b.t.Helper()
	b.cmd = b.java("kafka.Kafka", b.file)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
}

// start starts the broker and waits until it answers.
func (b *broker) start() {
	b.t.Helper()
	b.launch()
	b.await()
}

// await waits until the broker answers.
func (b *broker) await() {
	b.t.Helper()
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

// administer returns a client that may do everything.
func (k *kafkaWorld) administer(all []*broker) {
	k.t.Helper()
	var addrs []string
	for _, b := range all {
		addrs = append(addrs, b.addr)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(client.Close)
	k.admin = kadm.NewClient(client)
}

// TestARealBrokerComesBack kills the only broker while records flow. What they have in common with other transports is
// in TestTransports and TestAMillionRecordsInOneBatch.
func TestARealBrokerComesBack(t *testing.T) {
	b := startBrokers(t, 1, certtest.NewAuthority(t))[0]
	w := onBrokers([]string{b.addr}, 1).world(t)
	db := openDB(t, w.dir)
	w.start(w.relay().Run)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.commit(3, 0, 1, 2000)
	w.onStream()
	w.caughtUp(s, db)
	for range 2 {
		b.kill()
		w.commit(5, 6)
		w.caughtUp(s, db) // from the log
		b.start()
		w.onStream()
		w.unbroken()
	}
}

// TestThreeRealBrokersGoOnWithTwo kills one of three brokers after another, the leader first, while records flow over
// TLS, with a certificate, a password and the documented rights.
func TestThreeRealBrokersGoOnWithTwo(t *testing.T) {
	authority := certtest.NewAuthority(t)
	all := startBrokers(t, 3, authority)
	k := &kafkaWorld{world: bare(t)}
	k.administer(all)
	files, password := authority.Issue(t, t.TempDir(), nil), filepath.Join(k.dir, "password")
	write(t, password, []byte("s3cret"))
	c := stream.KafkaConfig{User: "matchday", PasswordFile: password, CAFile: files.CA, CertFile: files.Cert, KeyFile: files.Key}
	for _, b := range all {
		c.Brokers = append(c.Brokers, b.secure)
	}
	k.realRefusals(c)
	k.over = k.openWith(c)
	k.mayDoWhatIsDocumented()
	db := openDB(t, k.dir)
	relay := k.relay()
	k.start(relay.Run)
	s := k.sink(db, nil)
	k.start(s.Run)
	k.commit(3)
	k.relayed(relay)
	stop := k.load()
	for round := range 2 {
		victim := all[(k.leader()+round)%3] // who leads, and then somebody who follows
		victim.kill()
		k.relayed(relay)
		victim.start()
		k.relayed(relay)
		k.inSync()
	}
	stop()
	k.caughtUp(s, db)
	k.onStream()
	k.unbroken()
	all[k.leader()].kill() // and the queues go on with two as well
	handsCommandsOver(k.world)
	plain := c
	plain.User, plain.Mechanism = "plain", "plain"
	if _, err := k.openWith(plain).Tail(within(t, 2*time.Minute), 0); err == nil || !strings.Contains(err.Error(), "account plain needs") {
		t.Errorf("Tail of an account without rights = %v, want them named", err)
	}
}

// openWith returns a transport of its own.
func (k *kafkaWorld) openWith(c stream.KafkaConfig) stream.Transport {
	k.t.Helper()
	s, err := k.try(c)
	if err != nil {
		k.t.Fatalf("Open: %v", err)
	}
	k.t.Cleanup(func() { _ = s.Close() })
	return s.Transport()
}

func (k *kafkaWorld) try(c stream.KafkaConfig) (stream.Streams, error) {
	return stream.Open(within(k.t, 2*time.Minute), stream.Config{Transport: stream.TransportKafka, EmbeddedConfig: stream.EmbeddedConfig{Dir: k.dir}, Kafka: c}, k.deps.Log)
}

// realRefusals checks that real brokers refuse what those of the other tests refuse, and that we say the same.
func (k *kafkaWorld) realRefusals(good stream.KafkaConfig) {
	k.t.Helper()
	other := certtest.NewAuthority(k.t)
	foreign := other.Issue(k.t, k.t.TempDir(), nil)
	wrong := filepath.Join(k.dir, "wrong")
	write(k.t, wrong, []byte("guess"))
	for want, change := range map[string]func(*stream.KafkaConfig){
		"do not take user matchday": func(c *stream.KafkaConfig) { c.PasswordFile = wrong },
		"do not take user plain":    func(c *stream.KafkaConfig) { c.User, c.Mechanism, c.PasswordFile = "plain", "plain", wrong },
		"know no sign-in by":        func(c *stream.KafkaConfig) { c.Mechanism = "scram-sha-256" },
		"not vouched for by":        func(c *stream.KafkaConfig) { c.CAFile = other.File },
		"set cert_file":             func(c *stream.KafkaConfig) { c.CertFile, c.KeyFile = "", "" },
		"refuse the certificate in": func(c *stream.KafkaConfig) { c.CertFile, c.KeyFile = foreign.Cert, foreign.Key },
	} {
		c := good
		change(&c)
		s, err := k.try(c)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			k.t.Errorf("Open = %v, want %q in it", err, want)
		}
	}
}

// mayDoWhatIsDocumented gives the account the rights that docs/streams.md names.
func (k *kafkaWorld) mayDoWhatIsDocumented() {
	k.t.Helper()
	who := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Allow("User:matchday").AllowHosts().ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	for _, rights := range []*kadm.ACLBuilder{
		who().Topics("matchday.").Operations(kadm.OpCreate, kadm.OpRead, kadm.OpWrite, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpDelete),
		who().Groups("matchday.").Operations(kadm.OpRead),
		who().TransactionalIDs("matchday.").Operations(kadm.OpWrite, kadm.OpDescribe),
	} {
		answers, err := k.admin.CreateACLs(k.t.Context(), rights)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, one := range answers {
			if one.Err != nil {
				k.t.Fatal(one.Err)
			}
		}
	}
}

// leader is the place in the list of brokers of the one that leads the log's topic.
func (k *kafkaWorld) leader() int {
	k.t.Helper()
	topics, err := k.admin.ListTopics(within(k.t, 2*time.Minute), kafkaTopic)
	if err != nil || topics[kafkaTopic].Err != nil || len(topics[kafkaTopic].Partitions) != 1 {
		k.t.Fatalf("topics %+v, %v", topics, err)
	}
	return int(topics[kafkaTopic].Partitions[0].Leader) - 1
}

// inSync waits until every partition of the cluster has all its copies again.
func (k *kafkaWorld) inSync() {
	k.t.Helper()
	ctx := within(k.t, 3*time.Minute)
	behind := func() bool {
		topics, err := k.admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return true
		}
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				if len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
					return true
				}
			}
		}
		return false
	}
	for tick := time.NewTicker(200 * time.Millisecond); behind(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			k.t.Fatal("copies stay behind")
		}
	}
}
