package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"matchday/errs"
)

// Files names what secures connections, all PEM.
type Files struct {
	CA   string // who vouches for the other side; "" is the machine's list
	Cert string // what this process shows of itself, with the certificates between it and the authority; "" is nothing
	Key  string // of Cert
}

// Source is the content of such files, as it is now. It is safe for concurrent use.
type Source struct {
	files Files
	log   *slog.Logger

	mu   sync.Mutex
	held held // as last read whole
}

// held is what the files hold.
type held struct {
	roots *x509.CertPool // nil is the machine's list
	own   []tls.Certificate
}

// Open reads the files for the first time.
//
// Errors: invalid if a file holds something else; those of reading it.
func Open(f Files, log *slog.Logger) (*Source, error) {
	now, err := f.read()
	if err != nil {
		return nil, err
	}
	return &Source{files: f, log: log, held: now}, nil
}

func (f Files) read() (held, error) {
	var out held
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return out, fmt.Errorf("read ca_file: %w", err)
		}
		out.roots = x509.NewCertPool()
		if !out.roots.AppendCertsFromPEM(text) {
			return out, errs.New(errs.CodeInvalid, "ca_file %s holds no certificate", f.CA)
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return out, fmt.Errorf("read cert_file %s and key_file %s: %w", f.Cert, f.Key, err)
		}
		out.own = []tls.Certificate{pair}
	}
	return out, nil
}

// current reads the files again.
func (s *Source) current() held {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.files.read()
	if err != nil {
		s.log.Warn("certificates cannot be read: those of before stay in force", "err", err)
		return s.held
	}
	s.held = now
	return now
}

// dialTimeout bounds a connection's begin, its handshake included.
const dialTimeout = 10 * time.Second

// Dial connects to an address whose host the other side's certificate must name.
func (s *Source) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	now := s.current()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout},
		Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: now.roots, Certificates: now.own}}
	return d.DialContext(ctx, network, address)
}

// Server is what a listener needs that takes nobody without a certificate of the authority. Sessions are not
// resumed: each connection is checked by what the files hold then.
func (s *Source) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := s.current()
			return &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, Certificates: now.own,
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: now.roots}, nil
		},
	}
}

// Expires is when the process's own certificate runs out; zero if it has none.
func (s *Source) Expires() time.Time {
	if own := s.current().own; len(own) > 0 {
		return own[0].Leaf.NotAfter
	}
	return time.Time{}
}
