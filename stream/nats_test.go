package stream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"matchday/errs"
	"matchday/internal/natsnode"
	"matchday/stream"
)

// certificate writes one that vouches for itself, for the loopback address, and returns its files.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "matchday test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return cert, key
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNATSIsReachedWithAPasswordOverTLS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: starts a stream server")
	}
	w := bare(t)
	cert, key := certificate(t, w.dir)
	password := filepath.Join(w.dir, "password")
	write(t, password, []byte("s3cret\n"))
	nodes, err := natsnode.Start(t.Context(), natsnode.Options{Dir: filepath.Join(w.dir, "nodes"), Nodes: 1,
		User: "matchday", Password: "s3cret", CertFile: cert, KeyFile: key, CAFile: cert})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nodes.Close() })
	config := func(change func(*stream.NATSConfig)) stream.Config {
		c := stream.Config{Transport: stream.TransportNATS, EmbeddedConfig: stream.EmbeddedConfig{Dir: w.dir, MaxBytes: 64 << 20},
			NATS: stream.NATSConfig{URLs: nodes.URLs(), Replicas: 1, User: "matchday", PasswordFile: password, CAFile: cert, Prefix: "books-a"}}
		change(&c.NATS)
		return c
	}
	wrong := filepath.Join(w.dir, "wrong")
	write(t, wrong, []byte("guess"))
	refused := map[string]func(*stream.NATSConfig){
		"wrong password":    func(c *stream.NATSConfig) { c.PasswordFile = wrong },
		"no password file":  func(c *stream.NATSConfig) { c.PasswordFile = filepath.Join(w.dir, "none") },
		"clear text":        func(c *stream.NATSConfig) { c.TLS, c.CAFile = "off", "" },
		"three copies":      func(c *stream.NATSConfig) { c.Replicas = 3 },
		"no such authority": func(c *stream.NATSConfig) { c.CAFile = key },
	}
	for name, change := range refused {
		if s, err := stream.Open(within(t, 3*time.Second), config(change), w.deps.Log); err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", name)
		}
	}
	s, err := stream.Open(t.Context(), config(func(*stream.NATSConfig) {}), w.deps.Log)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.over = s.Transport()
	db := openDB(t, w.dir)
	w.start(w.relay().Run)
	sink := w.sink(db, nil)
	w.start(sink.Run)
	w.commit(3, 4)
	w.caughtUp(sink, db)
	w.onStream()
	js, conn, err := nodes.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := js.Stream(t.Context(), "books-a-ledger-0"); err != nil {
		t.Errorf("stream of the prefix: %v", err)
	}
	refuses(t, w, js)
}

// refuses checks that a stream that somebody else made must not lose acknowledged messages.
func refuses(t *testing.T, w *world, js jetstream.JetStream) {
	t.Helper()
	for shard, c := range map[int]jetstream.StreamConfig{
		5: {Storage: jetstream.MemoryStorage},
		6: {NoAck: true},
		7: {PersistMode: jetstream.AsyncPersistMode},
	} {
		n := string(rune('0' + shard))
		c.Name, c.Subjects = "books-a-ledger-"+n, []string{"books-a.ledger." + n}
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := w.over.Tail(t.Context(), shard); !errs.Is(err, errs.CodeInternal) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("stream %s: Tail = %v, want a refusal that says what to do", c.Name, err)
		}
	}
}

func TestServersWithSmallMessagesAreRefused(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped in short mode: starts a stream server")
	}
	dir := t.TempDir()
	nodes, err := natsnode.Start(t.Context(), natsnode.Options{Dir: dir, Nodes: 1, MaxPayload: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nodes.Close() })
	_, err = stream.Open(t.Context(), stream.Config{Transport: stream.TransportNATS, EmbeddedConfig: stream.EmbeddedConfig{Dir: dir},
		NATS: stream.NATSConfig{URLs: nodes.URLs(), Replicas: 1, TLS: "off"}}, bare(t).deps.Log)
	if !errs.Is(err, errs.CodeInvalid) || !strings.Contains(err.Error(), "max_payload") {
		t.Errorf("Open = %v, want a refusal that names max_payload", err)
	}
}

func TestStreamConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	good := stream.Config{Transport: stream.TransportNATS, EmbeddedConfig: stream.EmbeddedConfig{Dir: "x"},
		NATS: stream.NATSConfig{URLs: []string{"nats://a:4222"}}}
	if err := good.Validate(); err != nil {
		t.Errorf("Validate of a good one: %v", err)
	}
	if !good.IsShared() || (stream.Config{}).IsShared() {
		t.Error("a cluster is shared, the embedded server is not")
	}
	bad := map[string]func(*stream.Config){
		"transport":        func(c *stream.Config) { c.Transport = "carrier pigeon" },
		"nats.urls":        func(c *stream.Config) { c.NATS.URLs = nil },
		"nats.urls[0]":     func(c *stream.Config) { c.NATS.URLs = []string{"nats://me:secret@a:4222"} },
		"nats.replicas":    func(c *stream.Config) { c.NATS.Replicas = 2 },
		"nats.prefix":      func(c *stream.Config) { c.NATS.Prefix = "a.b" },
		"credentials_file": func(c *stream.Config) { c.NATS.CredentialsFile, c.NATS.User = "x", "y" },
		"password_file":    func(c *stream.Config) { c.NATS.User = "y" },
		"key_file":         func(c *stream.Config) { c.NATS.CertFile = "y" },
		"nats.tls":         func(c *stream.Config) { c.NATS.TLS = "preferred" },
		"max_age":          func(c *stream.Config) { c.MaxAge = -1 },
	}
	for field, change := range bad {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field[strings.LastIndex(field, ".")+1:]) {
			t.Errorf("%s: Validate = %v, want it named", field, err)
		}
	}
	unused := stream.Config{EmbeddedConfig: stream.EmbeddedConfig{Dir: "x"}, NATS: good.NATS}
	if err := unused.Validate(); err == nil {
		t.Error("nats.urls without transport nats: want a refusal, or they would be forgotten silently")
	}
}

func TestClearTextToOtherMachinesIsNoticed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		c    stream.Config
		want bool
	}{
		{"embedded", stream.Config{}, false},
		{"nats elsewhere", stream.Config{Transport: "nats", NATS: stream.NATSConfig{TLS: "off", URLs: []string{"nats://127.0.0.1:1", "nats://b:1"}}}, true},
		{"nats elsewhere with TLS", stream.Config{Transport: "nats", NATS: stream.NATSConfig{URLs: []string{"nats://b:1"}}}, false},
		{"nats here", stream.Config{Transport: "nats", NATS: stream.NATSConfig{TLS: "off", URLs: []string{"nats://localhost:1"}}}, false},
		{"kafka elsewhere", stream.Config{Transport: "kafka", Kafka: stream.KafkaConfig{TLS: "off", Brokers: []string{"b:1"}}}, true},
		{"kafka here", stream.Config{Transport: "kafka", Kafka: stream.KafkaConfig{TLS: "off", Brokers: []string{"[::1]:1"}}}, false},
	}
	for _, tt := range tests {
		if got := tt.c.InClearText(); got != tt.want {
			t.Errorf("%s: InClearText() = %t, want %t", tt.name, got, tt.want)
		}
	}
}
