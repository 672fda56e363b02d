package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"matchday/errs"
)

// How the way to a cluster is secured.
const (
	tlsVerify = "verify"
	tlsOff    = "off"
)

// NATSConfig names a NATS JetStream cluster. Secrets are in files.
type NATSConfig struct {
	URLs     []string `yaml:"urls"`     // nats://host:4222, all nodes: the process goes on with those that are left
	Replicas int      `yaml:"replicas"` // copies of each stream, 1, 3 or 5; 0 is 3
	Prefix   string   `yaml:"prefix"`   // of stream names and subjects, for several sets of books on one account
	Tags     []string `yaml:"tags"`     // only servers with all these tags keep the streams, for example sync:always

	CredentialsFile string `yaml:"credentials_file"` // a .creds file; or
	User            string `yaml:"user"`             // with password_file, another way to sign in
	PasswordFile    string `yaml:"password_file"`    // file with the password

	TLS      string `yaml:"tls"`       // verify (default) or off, which is clear text
	CAFile   string `yaml:"ca_file"`   // who vouches for the servers; "" is the machine's list
	CertFile string `yaml:"cert_file"` // what this process shows of itself, with key_file
	KeyFile  string `yaml:"key_file"`  // the private key of cert_file
}

// Bounds of a NATSConfig.
const (
	maxURLs     = 32
	maxTags     = 16
	maxPassword = 4 << 10
)

// WithDefaults returns the configuration with everything filled in that was left out.
func (c NATSConfig) WithDefaults() NATSConfig {
	c.Replicas = cmp.Or(c.Replicas, 3)
	c.TLS = cmp.Or(c.TLS, tlsVerify)
	return c
}

// validate adds everything that cannot work.
func (c NATSConfig) validate(check *errs.Check, field string) {
	if len(c.URLs) == 0 || len(c.URLs) > maxURLs {
		check.Add(field+".urls", "must name 1 to %d servers", maxURLs)
	}
	for i, one := range c.URLs {
		u, err := url.Parse(one)
		if err != nil || (u.Scheme != "nats" && u.Scheme != "tls") || u.Hostname() == "" {
			check.Add(fmt.Sprintf("%s.urls[%d]", field, i), "must be nats://host:port")
		} else if u.User != nil {
			check.Add(fmt.Sprintf("%s.urls[%d]", field, i), "must hold no password: use credentials_file or password_file")
		}
	}
	switch c.Replicas {
	case 0, 1, 3, 5:
	default:
		check.Add(field+".replicas", "must be 1, 3 or 5: an even number outlives no more nodes than the odd one below")
	}
	if c.Prefix != "" && !validName(c.Prefix) {
		check.Add(field+".prefix", "must be lower-case letters, digits and dashes")
	}
	if len(c.Tags) > maxTags {
		check.Add(field+".tags", "must be at most %d", maxTags)
	}
	if c.CredentialsFile != "" && (c.User != "" || c.PasswordFile != "") {
		check.Add(field+".credentials_file", "excludes user and password_file")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		check.Add(field+".password_file", "goes together with user")
	}
	validateTLS(check, field, c.TLS, c.CAFile, c.CertFile, c.KeyFile)
}

// validateTLS adds what cannot work of the settings that secure a connection.
func validateTLS(check *errs.Check, field, mode, ca, cert, key string) {
	if (cert == "") != (key == "") {
		check.Add(field+".key_file", "goes together with cert_file")
	}
	switch mode {
	case "", tlsVerify:
	case tlsOff:
		if ca != "" || cert != "" {
			check.Add(field+".tls", "is off, which leaves ca_file and cert_file without effect")
		}
	default:
		check.Add(field+".tls", "must be %s or %s", tlsVerify, tlsOff)
	}
}

// External is a connection to a JetStream cluster. It follows the cluster: whichever nodes are left are
// used, and nothing is kept in memory for nodes that are away.
type External struct {
	conn      *nats.Conn
	transport *jetTransport
	closing   sync.Once
}

// OpenNATS connects to the cluster and checks that it can keep the streams.
//
// Errors: unavailable if no server answers within half a minute; invalid if they cannot do what is asked.
func OpenNATS(ctx context.Context, c Config, log *slog.Logger) (*External, error) {
	if log == nil {
		return nil, errors.New("stream: a log is required")
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open nats streams: %w", err)
	}
	c = c.WithDefaults()
	options, err := c.NATS.options(log)
	if err != nil {
		return nil, fmt.Errorf("open nats streams: %w", err)
	}
	conn, err := dial(ctx, c.NATS, options)
	if err != nil {
		return nil, err
	}
	t, err := newJetTransport(conn, c.EmbeddedConfig)
	if err != nil {
		conn.Close()
		return nil, err
	}
	t.replicas, t.prefix, t.tags, t.shared = c.NATS.Replicas, c.NATS.Prefix, c.NATS.Tags, true
	if err := t.suits(ctx, conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open nats streams: %w", err)
	}
	log.Info("streams are on a NATS cluster: a message is acknowledged by most of its copies; whether they are flushed to "+
		"disk before is the servers' setting jetstream.sync_interval",
		"cluster", conn.ConnectedClusterName(), "server", conn.ConnectedServerName(), "server_version", conn.ConnectedServerVersion(),
		"replicas", c.NATS.Replicas, "tags", c.NATS.Tags, "max_bytes", c.MaxBytes, "max_age", c.MaxAge)
	return &External{conn: conn, transport: t}, nil
}

// options are those of the connection. What cannot be sent is refused at once and not kept for later:
// the relay knows better what the stream then needs.
func (c NATSConfig) options(log *slog.Logger) ([]nats.Option, error) {
	out := []nats.Option{
		nats.Name("matchday"), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.Timeout(requestTimeout), nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn("stream server is gone", "err", err) }),
		nats.ReconnectHandler(func(conn *nats.Conn) { log.Info("stream server found", "server", conn.ConnectedServerName()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("stream connection", "err", err) }),
	}
	switch {
	case c.CredentialsFile != "":
		out = append(out, nats.UserCredentials(c.CredentialsFile))
	case c.User != "":
		if _, err := readSecret(c.PasswordFile); err != nil {
			return nil, err
		}
		out = append(out, nats.UserInfoHandler(func() (string, string) { // read again: it may have been replaced
			password, err := readSecret(c.PasswordFile)
			if err != nil {
				log.Error("stream password cannot be read", "err", err)
			}
			return c.User, password
		}))
	}
	if c.TLS == tlsOff {
		return out, nil
	}
	out = append(out, nats.Secure())
	if c.CAFile != "" {
		out = append(out, nats.RootCAs(c.CAFile))
	}
	if c.CertFile != "" {
		out = append(out, nats.ClientCert(c.CertFile, c.KeyFile))
	}
	return out, nil
}

// readSecret reads a file with one line.
func readSecret(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || len(secret) > maxPassword {
		return "", errs.New(errs.CodeInvalid, "password file %s holds %d bytes, want 1 to %d", file, len(secret), maxPassword)
	}
	return secret, nil
}

// dial connects to whichever server answers first, for half a minute.
func dial(ctx context.Context, c NATSConfig, options []nats.Option) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for wait := (backoff{}); ; {
		conn, err := nats.Connect(strings.Join(c.URLs, ","), options...)
		if err == nil {
			return conn, nil
		}
		_, unknown := errors.AsType[*tls.CertificateVerificationError](err)
		if unknown || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrSecureConnWanted) || !wait.wait(ctx) {
			return nil, errs.Wrap(err, errs.CodeUnavailable, "connect to the stream servers %s", strings.Join(c.URLs, ", "))
		}
	}
}

// suits refuses servers that could not carry what is sent to them.
func (t *jetTransport) suits(ctx context.Context, conn *nats.Conn) error {
	const largest = MaxCommandBytes + 4<<10 // with its headers
	if most := conn.MaxPayload(); most < largest {
		return errs.New(errs.CodeInvalid, "the stream servers take messages of %d bytes (max_payload): payout commands have up to %d; set it to 8MB",
			most, largest)
	}
	_, err := t.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return errs.Wrap(err, errs.CodeInvalid, "the stream servers have no JetStream for this account")
	case err != nil:
		return unavailable(err, "ask the stream servers")
	case t.replicas > 1 && conn.ConnectedClusterName() == "":
		return errs.New(errs.CodeInvalid, "the stream server is in no cluster: it cannot keep %d copies (replicas)", t.replicas)
	}
	return nil
}

// Transport implements Streams.
func (e *External) Transport() Transport { return e.transport }

// Close implements Streams.
func (e *External) Close() error {
	e.closing.Do(e.conn.Close)
	return nil
}
