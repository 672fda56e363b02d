package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/internal/certs"
	"matchday/internal/clock"
)

// peers asks other processes to do what only the owner of a shard can.
type peers struct {
	client *http.Client
	scheme string
	secret string
	clock  clock.Clock
}

const (
	dialTimeout  = 2 * time.Second // of a connection, its handshake included
	peerPath     = "/ledger/v1/shards/"
	peerTimeout  = "Matchday-Timeout-Ms" // what is left of the caller's time
	callRows     = 1000                  // transfers of one call
	callBytes    = 4 << 20               // about; one transfer more may exceed it
	maxCallBytes = 16 << 20
	maxAnswer    = 64 << 20
)

// errUnreached is a connection that was never made: nothing was sent over it.
var errUnreached = errors.New("no connection")

// newPeers asks over TLS if there are certificates, in clear text otherwise.
func newPeers(secret string, clk clock.Clock, secure *certs.Source) *peers {
	dialer := net.Dialer{Timeout: dialTimeout}
	p := &peers{scheme: "http", secret: secret, clock: clk}
	transport := &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConnsPerHost: 64, MaxConnsPerHost: 256, IdleConnTimeout: time.Minute,
	}
	if secure != nil {
		p.scheme = "https"
		transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			conn, err := secure.Dial(ctx, network, address)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUnreached, err)
			}
			return conn, nil
		}
	}
	p.client = &http.Client{Transport: transport}
	return p
}

// peerCerts reads what secures the way between processes; nil if they are all on this machine.
func (c Config) peerCerts(log *slog.Logger) (*certs.Source, error) {
	if c.InternalCAFile == "" {
		return nil, nil
	}
	s, err := certs.Open(certs.Files{CA: c.InternalCAFile, Cert: c.InternalCertFile, Key: c.InternalKeyFile}, log)
	if err != nil {
		return nil, fmt.Errorf("certificates between processes: %w", err)
	}
	return s, nil
}

// call asks the process at the address. An error that is not the owner's own answer says whether the
// owner may have done it.
func (p *peers) call(ctx context.Context, address string, shard int, op string, in, out any) error {
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(in); err != nil {
		return fmt.Errorf("write call %s: %w", op, err)
	}
	url := p.scheme + "://" + address + peerPath + strconv.Itoa(shard) + "/" + op
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &body)
	if err != nil {
		return fmt.Errorf("call %s: %w", op, err)
	}
	request.Header.Set("Authorization", "Bearer "+p.secret)
	if deadline, ok := ctx.Deadline(); ok {
		request.Header.Set(peerTimeout, strconv.FormatInt(max(1, deadline.Sub(p.clock.Now()).Milliseconds()), 10))
	}
	response, err := p.client.Do(request)
	if err != nil {
		return lostCall(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return errs.Wrap(errNotHere, errs.CodeUnavailable, "process at %s: %s: %s", address, response.Status, strings.TrimSpace(string(text)))
	}
	answers := gob.NewDecoder(io.LimitReader(response.Body, maxAnswer))
	var refused wireError
	if err := answers.Decode(&refused); err != nil {
		return lostCall(ctx, err)
	}
	if refused.Code != "" {
		return refused.err()
	}
	if err := answers.Decode(out); err != nil {
		return lostCall(ctx, err)
	}
	return nil
}

// lostCall says what a call without an answer means: nothing if the process could not be reached at
// all; otherwise it may have been done.
func lostCall(ctx context.Context, err error) error {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" || errors.Is(err, errUnreached) {
		return errs.Wrap(errNotHere, errs.CodeUnavailable, "the shard's owner cannot be reached: %v", err)
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errOpenEnded) {
		return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "gave up waiting for the shard's owner; ask again with the same key")
	}
	return errs.Wrap(errOpenEnded, errs.CodeUnavailable, "the shard's owner did not answer: %v", err)
}

// secretFile is where the processes of one folder find the secret they show each other.
func (c Config) secretFile() string {
	if c.InternalSecretFile != "" {
		return c.InternalSecretFile
	}
	return filepath.Join(c.Dir, "internal.secret")
}

// loadSecret reads the secret, or makes it. Of several processes that make it at once one wins.
func loadSecret(path string) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw) // never fails
		own := fmt.Sprintf("%s.%d", path, os.Getpid())
		if err := os.WriteFile(own, []byte(hex.EncodeToString(raw)+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("write internal secret: %w", err)
		}
		linked := os.Link(own, path)
		if err := os.Remove(own); err != nil {
			return "", fmt.Errorf("write internal secret: %w", err)
		}
		if linked != nil && !errors.Is(linked, fs.ErrExist) {
			return "", fmt.Errorf("write internal secret: %w", linked)
		}
	}
	return readSecret(path)
}

// readSecret reads the secret, and makes none.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read internal secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < 32 {
		return "", errs.New(errs.CodeInvalid, "internal secret %s is shorter than 32 characters", path)
	}
	return secret, nil
}

// forward asks the owner of the shard. While it waits it watches whether the shard changes hands: an
// owner that hangs takes the call and never answers.
func (s *Service) forward(ctx context.Context, shard int, op string, in, out any) error {
	address := s.owners.Load().address(shard)
	if s.peers == nil || address == "" || address == s.keeper.self.address {
		return errs.Wrap(errNotHere, errs.CodeUnavailable, "nobody writes shard %d now", shard)
	}
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for {
			changed := s.place.changes.wait()
			if s.owners.Load().address(shard) != address {
				cancel(errOpenEnded)
				return
			}
			select {
			case <-changed:
			case <-watched.Done():
				return
			}
		}
	}()
	return s.peers.call(watched, address, shard, op, in, out)
}

// commitThere commits the transfers at the shard's owner, as many calls as they need, and sets their
// results. After a call without an answer it goes no further, so that order is kept.
func (s *Service) commitThere(ctx context.Context, shard int, lane Lane, list []Transfer, asked []int, results []Result) {
	for len(asked) > 0 {
		call, bytes := commitCall{Lane: lane}, 0
		for _, i := range asked[:min(len(asked), callRows)] {
			if bytes > callBytes {
				break
			}
			if list[i].Record != nil {
				bytes += len(list[i].Record.Data)
			}
			bytes += 512
			call.Transfers = append(call.Transfers, list[i])
		}
		part := asked[:len(call.Transfers)]
		var answer commitAnswer
		err := s.forward(ctx, shard, opCommit, &call, &answer)
		if err == nil && len(answer.Results) != len(part) {
			err = errs.New(errs.CodeInternal, "the owner of shard %d answered %d transfers, not %d", shard, len(answer.Results), len(part))
		}
		if err != nil {
			fail(results, part, err)
			fail(results, asked[len(part):], errs.Wrap(errNotHere, errs.CodeUnavailable, "not sent after a call without an answer"))
			return
		}
		for k, i := range part {
			results[i] = answer.Results[k].result()
		}
		asked = asked[len(part):]
	}
}
