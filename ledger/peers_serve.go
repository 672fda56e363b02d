package ledger

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/gob"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"matchday/errs"
	"matchday/internal/certs"
)

// Operations that the owner of a shard does for other processes.
const (
	opCommit  = "commit"
	opBarrier = "barrier"
	opStatus  = "status"
)

// operation does its part on one shard of this process. It must answer errNotHere, and have done
// nothing, when the shard is not written here; it never forwards, so calls cannot go in circles.
type operation func(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error)

// operations by the last part of their path.
var operations = map[string]operation{
	opCommit: func(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error) {
		var call commitCall
		if err := decode(&call); err != nil {
			return nil, err
		}
		return s.commitHere(ctx, shard, call)
	},
	opBarrier: func(ctx context.Context, s *Service, shard int, _ func(any) error) (any, error) {
		return &barrierAnswer{Done: true}, s.barrierHere(ctx, shard)
	},
	opLimits: limitsForPeer, opMetadata: metadataForPeer, opDryRun: dryRunForPeer, opGroup: groupForPeer, opGroupTry: groupTryForPeer,
	opStatus: statusForPeer, opMove: moveForPeer, opPlaced: placedForPeer,
}

// commitHere commits what another process sent, if the shard is written here.
func (s *Service) commitHere(ctx context.Context, shard int, call commitCall) (*commitAnswer, error) {
	if len(call.Transfers) > callRows {
		return nil, errs.New(errs.CodeTooLarge, "%d transfers in one call, at most %d", len(call.Transfers), callRows)
	}
	results := make([]Result, len(call.Transfers))
	written := make([]Result, len(call.Transfers))
	var entries []entry
	var origin []int
	for i := range call.Transfers {
		t := &call.Transfers[i]
		e, err := prepare(t) // whether the player's bucket is on the shard its writer knows best
		if err != nil {
			results[i].Err = err
			continue
		}
		e.out = &written[i]
		entries = append(entries, e)
		origin = append(origin, i)
	}
	jobs, refused := s.shards[shard].submitAll(call.Lane, entries)
	taken := transfersOf(jobs)
	fail(results, origin[taken:], refused)
	queued := shardJobs{jobs, origin[:taken]}
	queued.collect(ctx, written, results)
	answer := &commitAnswer{Results: make([]wireResult, len(results))}
	for i := range results {
		answer.Results[i] = toWire(&results[i])
	}
	return answer, nil
}

// peerServer takes calls of other processes for shards of this one.
type peerServer struct {
	service  *Service
	log      *slog.Logger
	secret   [sha256.Size]byte
	listener net.Listener
	server   *http.Server
	slots    chan struct{} // calls at the same time
}

const (
	callsAtOnce = 64
	maxCallTime = 30 * time.Second
)

// connectionAge is after how long a caller has to connect again, and show a certificate that is good by then.
const connectionAge = 10 * time.Minute

// connectedAt is the key of a connection's begin in the context of its calls.
type connectedAt struct{}

// listenForPeers takes the port; serve answers on it.
func listenForPeers(ctx context.Context, s *Service, log *slog.Logger, secret string, secure *certs.Source) (*peerServer, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", s.config.InternalListen)
	if err != nil {
		return nil, errs.Wrap(err, errs.CodeUnavailable, "listen for other processes on %s", s.config.InternalListen)
	}
	if secure != nil {
		l = tls.NewListener(l, secure.Server())
	}
	p := &peerServer{
		service: s, log: log, secret: sha256.Sum256([]byte("Bearer " + secret)), listener: l,
		slots: make(chan struct{}, callsAtOnce),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+peerPath+"{shard}/{op}", p.answer)
	p.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: maxCallTime + 15*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connectedAt{}, s.clock.Now())
		},
	}
	return p, nil
}

// serve answers until ctx is done, and then what it has begun.
func (p *peerServer) serve(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(p.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := p.server.Shutdown(rest); err != nil {
		_ = p.server.Close()
	}
	return nil
}

// close gives up the port, whether or not serve was called.
func (p *peerServer) close() error {
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// answer serves one call.
func (p *peerServer) answer(w http.ResponseWriter, r *http.Request) {
	given := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	if subtle.ConstantTimeCompare(given[:], p.secret[:]) != 1 {
		http.Error(w, "the secret is another one", http.StatusUnauthorized)
		return
	}
	if since, ok := r.Context().Value(connectedAt{}).(time.Time); ok && p.service.clock.Now().Sub(since) > connectionAge {
		w.Header().Set("Connection", "close")
	}
	shard, err := strconv.Atoi(r.PathValue("shard"))
	op, known := operations[r.PathValue("op")]
	if err != nil || !known || shard < 0 || shard >= len(p.service.shards) {
		http.Error(w, "no such shard or operation", http.StatusNotFound)
		return
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		p.write(w, &errs.Error{Code: errs.CodeUnavailable, Detail: "the ledger has too much to do", RetryAfter: overloadRetry, Err: ErrNotTaken}, nil)
		return
	}
	limit := maxCallTime
	if ms, err := strconv.Atoi(r.Header.Get(peerTimeout)); err == nil && ms > 0 {
		limit = min(limit, time.Duration(ms)*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	body := gob.NewDecoder(http.MaxBytesReader(w, r.Body, maxCallBytes))
	out, err := op(ctx, p.service, shard, func(v any) error {
		if err := body.Decode(v); err != nil {
			return errs.Wrap(err, errs.CodeInvalid, "the call cannot be read")
		}
		return nil
	})
	p.write(w, err, out)
}

// write sends the error, or none and then the answer.
func (p *peerServer) write(w http.ResponseWriter, err error, out any) {
	answers := gob.NewEncoder(w)
	refused := errorToWire(err)
	if refused == nil {
		refused = &wireError{}
	}
	failed := answers.Encode(refused)
	if failed == nil && err == nil {
		failed = answers.Encode(out)
	}
	if failed != nil && !errors.Is(failed, http.ErrHandlerTimeout) {
		p.log.Debug("answer to another process not sent", "error", failed)
	}
}
