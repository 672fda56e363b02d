package stream_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"matchday/internal/certs"
	"matchday/internal/certs/certtest"
	"matchday/stream"
)

// guarded is brokers that want TLS, a certificate and a sign-in, and check rights.
type guarded struct {
	*kafkaWorld
	cluster   *kfake.Cluster
	authority *certtest.Authority
	files     certs.Files // what this process shows
	password  string      // a file
}

// documentedRights are what docs/streams.md says that the account needs.
func documentedRights() []kfake.ACL {
	var out []kfake.ACL
	allow := func(kind kmsg.ACLResourceType, operations ...kmsg.ACLOperation) {
		for _, one := range operations {
			out = append(out, kfake.ACL{Resource: kind, Name: "matchday.", Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: one, Allow: true})
		}
	}
	allow(kmsg.ACLResourceTypeTopic, kmsg.ACLOperationCreate, kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe,
		kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationDelete)
	allow(kmsg.ACLResourceTypeGroup, kmsg.ACLOperationRead)
	allow(kmsg.ACLResourceTypeTransactionalId, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe)
	return out
}

const secret = "s3cret"

func setupGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{kafkaWorld: &kafkaWorld{world: bare(t)}, authority: certtest.NewAuthority(t), password: filepath.Join(t.TempDir(), "password")}
	g.files = g.authority.Issue(t, t.TempDir(), nil)
	write(t, g.password, []byte(secret+"\n"))
	source, err := certs.Open(g.authority.Issue(t, t.TempDir(), nil), g.deps.Log)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.TLS(source.Server()), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("SCRAM-SHA-256", "admin", secret),
		kfake.User("PLAIN", "plain", secret, documentedRights()...),
		kfake.User("SCRAM-SHA-256", "short", secret, documentedRights()...),
		kfake.User("SCRAM-SHA-512", "matchday", secret, documentedRights()...),
		kfake.User("SCRAM-SHA-512", "nobody", secret))
	if err != nil {
		t.Fatalf("start brokers: %v", err)
	}
	t.Cleanup(cluster.Close)
	g.cluster = cluster
	g.brokers = cluster.ListenAddrs()
	own, err := certs.Open(g.files, g.deps.Log)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(g.brokers...), kgo.Dialer(own.Dial),
		kgo.SASL(scram.Auth{User: "admin", Pass: secret}.AsSha256Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	g.admin = kadm.NewClient(client)
	return g
}

// with opens a transport of the account matchday, with something changed.
func (g *guarded) with(change func(*stream.KafkaConfig)) (stream.Streams, error) {
	c := stream.Config{Transport: stream.TransportKafka, EmbeddedConfig: stream.EmbeddedConfig{Dir: g.dir}, Kafka: stream.KafkaConfig{
		Brokers: g.brokers, User: "matchday", PasswordFile: g.password, CAFile: g.files.CA, CertFile: g.files.Cert, KeyFile: g.files.Key}}
	change(&c.Kafka)
	return stream.Open(within(g.t, 2*time.Minute), c, g.deps.Log)
}

func (g *guarded) must(change func(*stream.KafkaConfig)) stream.Transport {
	g.t.Helper()
	s, err := g.with(change)
	if err != nil {
		g.t.Fatalf("Open: %v", err)
	}
	g.t.Cleanup(func() { _ = s.Close() })
	return s.Transport()
}

func TestKafkaTakesEverySignInWithTheDocumentedRights(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: derives keys from passwords, slow under the race detector")
	}
	for mechanism, account := range map[string]string{"plain": "plain", "scram-sha-256": "short", "": "matchday"} {
		t.Run(account, func(t *testing.T) {
			t.Parallel()
			g := setupGuarded(t)
			g.over = g.must(func(c *stream.KafkaConfig) { c.Mechanism, c.User = mechanism, account })
			db := openDB(t, g.dir)
			g.start(g.relay().Run)
			s := g.sink(db, nil)
			g.start(s.Run)
			g.commit(3, 0, 1, 50)
			g.onStream()
			g.caughtUp(s, db)
			g.unbroken()
			g.worksOnCommands()
		})
	}
}

// worksOnCommands sends more commands than a topic keeps when they are done, and does them.
func (g *guarded) worksOnCommands() {
	g.t.Helper()
	c, done := g.commands(), make(chan string, 1000)
	g.start(func(ctx context.Context) error {
		return c.Run(ctx, 0, func(_ context.Context, payload []byte) error { done <- string(payload); return nil })
	})
	for n := range 300 {
		if err := c.Send(g.t.Context(), 0, "id-"+string(rune('a'+n)), []byte("command")); err != nil {
			g.t.Fatalf("Send: %v", err)
		}
	}
	for range 300 {
		receive(g.t, done)
	}
}

func TestKafkaSaysWhyItRefuses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: derives keys from passwords, slow under the race detector")
	}
	g := setupGuarded(t)
	other := certtest.NewAuthority(t)
	foreign := other.Issue(t, t.TempDir(), nil)
	tests := []struct {
		name, want string
		change     func(*stream.KafkaConfig)
	}{
		{"no password file", "read password", func(c *stream.KafkaConfig) { c.PasswordFile = filepath.Join(g.dir, "none") }},
		{"wrong authority", "not vouched for by " + other.File, func(c *stream.KafkaConfig) { c.CAFile = other.File }},
		{"the machine's authorities", "set ca_file", func(c *stream.KafkaConfig) { c.CAFile = "" }},
		{"a key as authority", "holds no certificate", func(c *stream.KafkaConfig) { c.CAFile = g.files.Key }},
		{"no certificate", "set cert_file and key_file", func(c *stream.KafkaConfig) { c.CertFile, c.KeyFile = "", "" }},
		{"a certificate of another authority", "refuse the certificate in " + foreign.Cert,
			func(c *stream.KafkaConfig) { c.CertFile, c.KeyFile = foreign.Cert, foreign.Key }},
	}
	for _, tt := range tests {
		s, err := g.with(tt.change)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open = %v, want %q in it", tt.name, err, tt.want)
		}
	}
}

// TestKafkaSaysThatThePasswordIsWrong has the brokers answer as Kafka does: those here only hang up. The suite
// with a real broker gives a wrong password.
func TestKafkaSaysThatThePasswordIsWrong(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: derives keys from passwords, slow under the race detector")
	}
	g := setupGuarded(t)
	g.cluster.ControlKey(kmsg.SASLAuthenticate.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		g.cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return answer, nil, true
	})
	for mechanism, user := range map[string]string{"scram-sha-512": "matchday", "scram-sha-256": "short", "plain": "plain"} {
		s, err := g.with(func(c *stream.KafkaConfig) { c.Mechanism, c.User = mechanism, user })
		if err == nil {
			_ = s.Close()
		}
		if want := "do not take user " + user + " with the password in " + g.password + " by " + mechanism; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want %q in it", err, want)
		}
	}
}

func TestKafkaSaysWhichRightsAreMissing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: derives keys from passwords, slow under the race detector")
	}
	g := setupGuarded(t)
	poor := g.must(func(c *stream.KafkaConfig) { c.User = "nobody" })
	if _, err := poor.Tail(within(t, 2*time.Minute), 0); err == nil || !strings.Contains(err.Error(), "account nobody needs Create") {
		t.Errorf("Tail without any right = %v, want those on topics named", err)
	}
	rich := g.must(func(*stream.KafkaConfig) {})
	if _, err := rich.Tail(within(t, 2*time.Minute), 0); err != nil { // makes the topic
		t.Fatal(err)
	}
	if err := rich.Enqueue(within(t, 2*time.Minute), "payouts", 0, "one", []byte("one")); err != nil {
		t.Fatal(err)
	}
	topics := kadm.NewACLs().Allow("User:nobody").AllowHosts().ResourcePatternType(kadm.ACLPatternPrefixed).Topics("matchday.").
		Operations(kadm.OpCreate, kadm.OpRead, kadm.OpWrite, kadm.OpDescribe, kadm.OpDescribeConfigs)
	if _, err := g.admin.CreateACLs(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	if _, err := poor.Tail(within(t, 2*time.Minute), 0); err == nil || !strings.Contains(err.Error(), "on transactional ids that begin with matchday.") {
		t.Errorf("Tail without the right to a name = %v, want that named", err)
	}
	err := poor.Work(within(t, 2*time.Minute), "payouts", 0, func([]byte) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "on groups that begin with matchday.") {
		t.Errorf("Work without the right to a group = %v, want that named", err)
	}
}

func TestKafkaPasswordsAreReplacedWhileItRuns(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: derives keys from passwords, slow under the race detector")
	}
	g := setupGuarded(t)
	g.over = g.must(func(*stream.KafkaConfig) {})
	g.start(g.relay().Run)
	g.commit(3)
	g.onStream()
	next := kadm.UpsertSCRAM{User: "matchday", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "another"}
	if _, err := g.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{next}); err != nil {
		t.Fatal(err)
	}
	write(t, g.password, []byte("another"))
	g.commit(2)
	db := openDB(t, g.dir)
	s := g.sink(db, nil)
	g.start(s.Run)
	g.onStream()
	g.caughtUp(s, db)
	g.unbroken() // whatever is read goes over a connection of its own
}
