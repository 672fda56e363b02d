package certs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"matchday/internal/certs"
	"matchday/internal/certs/certtest"
)

func open(t *testing.T, f certs.Files) *certs.Source {
	t.Helper()
	s, err := certs.Open(f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// echo answers one byte to each connection that the source lets in.
func echo(t *testing.T, s *certs.Source) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.Server())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Write([]byte("1")) // shakes hands first
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}

// reach returns why a client has no byte from the address.
func reach(t *testing.T, dial func() (net.Conn, error)) error {
	t.Helper()
	conn, err := dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, err = io.ReadFull(conn, make([]byte, 1)) // with TLS 1.3 a client learns here that it is refused
	return err
}

func TestOnlyWhomTheAuthorityVouchesFor(t *testing.T) {
	t.Parallel()
	ours, other := certtest.NewAuthority(t), certtest.NewAuthority(t)
	address := echo(t, open(t, ours.Issue(t, t.TempDir(), nil)))
	foreign := other.Issue(t, t.TempDir(), nil)
	foreign.CA = ours.File
	tests := []struct {
		name, want string // want is part of the error, "" is none
		files      certs.Files
	}{
		{"a peer", "", ours.Issue(t, t.TempDir(), nil)},
		{"no certificate", "certificate required", certs.Files{CA: ours.File}},
		{"of another authority", "unknown certificate authority", foreign},
		{"expired", "expired", ours.Issue(t, t.TempDir(), certtest.Expired)},
		{"for servers only", "bad certificate", ours.Issue(t, t.TempDir(), func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})},
		{"trusts another authority", "unknown authority", other.Issue(t, t.TempDir(), nil)},
	}
	for _, tt := range tests {
		s := open(t, tt.files)
		err := reach(t, func() (net.Conn, error) { return s.Dial(t.Context(), "tcp", address) })
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	if got, _ := io.ReadAll(conn); bytes.Contains(got, []byte("1")) {
		t.Error("clear text: let in")
	}
}

func TestServersMustBeWhomTheyAreCalled(t *testing.T) {
	t.Parallel()
	ours := certtest.NewAuthority(t)
	client := open(t, ours.Issue(t, t.TempDir(), nil))
	for name, change := range map[string]func(*x509.Certificate){"expired": certtest.Expired, "another host": certtest.OtherHost} {
		address := echo(t, open(t, ours.Issue(t, t.TempDir(), change)))
		err := reach(t, func() (net.Conn, error) { return client.Dial(t.Context(), "tcp", address) })
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
			t.Errorf("%s: %v, want a refused certificate", name, err)
		}
	}
}

func TestFilesAreReadAgainAtEachConnection(t *testing.T) {
	t.Parallel()
	before, after := certtest.NewAuthority(t), certtest.NewAuthority(t)
	dir, clientDir := t.TempDir(), t.TempDir()
	files := before.Issue(t, dir, nil)
	server := open(t, files)
	address := echo(t, server)
	client := open(t, before.Issue(t, clientDir, nil))
	try := func() error {
		return reach(t, func() (net.Conn, error) { return client.Dial(t.Context(), "tcp", address) })
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	both := read(t, before.File) // both are trusted while certificates are replaced one by one
	both = append(both, read(t, after.File)...)
	put(t, before.File, both)
	after.Issue(t, dir, nil)
	if err := try(); err != nil {
		t.Errorf("server with the new certificate: %v", err)
	}
	after.Issue(t, clientDir, nil)
	if err := try(); err != nil {
		t.Errorf("client with the new certificate: %v", err)
	}
	put(t, before.File, read(t, after.File)) // and then only the new authority
	if err := try(); err != nil {
		t.Errorf("the new authority alone: %v", err)
	}
	before.Issue(t, clientDir, nil)
	if err := try(); err == nil {
		t.Error("a certificate of the authority that was dropped: let in")
	}
	after.Issue(t, clientDir, nil)
	put(t, files.Key, []byte("half a k"))
	if err := try(); err != nil {
		t.Errorf("a file that cannot be used must leave what was there: %v", err)
	}
	if left := time.Until(server.Expires()); left < 20*time.Hour || left > 25*time.Hour {
		t.Errorf("Expires() in %s, want a day", left)
	}
}

func TestFilesWithoutWhatTheyShouldHoldAreRefused(t *testing.T) {
	t.Parallel()
	good := certtest.NewAuthority(t).Issue(t, t.TempDir(), nil)
	other := certtest.NewAuthority(t).Issue(t, t.TempDir(), nil)
	for name, f := range map[string]certs.Files{
		"no such file":         {CA: good.CA + ".none"},
		"a key as authority":   {CA: good.Key},
		"a key of another":     {CA: good.CA, Cert: good.Cert, Key: other.Key},
		"no such certificate":  {CA: good.CA, Cert: good.Cert + ".none", Key: good.Key},
		"a certificate as key": {CA: good.CA, Cert: good.Cert, Key: good.Cert},
	} {
		if _, err := certs.Open(f, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if s := open(t, certs.Files{}); !s.Expires().IsZero() {
		t.Error("without a certificate there is none to run out")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(text)
}

func put(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
