package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/sim/serial"
)

// WriterConfig is the file that a writer process is started with.
type WriterConfig struct {
	Listen string        `yaml:"listen"` // "" is a free port on loopback
	Ledger ledger.Config `yaml:"ledger"`
	Bets   *BetsConfig   `yaml:"bets"` // nil: the ledger alone
}

// readyLine begins the line that a writer prints when it takes operations.
const readyLine = "writing at "

// maxOpBytes bounds a request.
const maxOpBytes = 64 << 10

// reply is the answer to one operation over loopback.
type reply struct {
	Answer   serial.Answer
	NotTaken bool
}

// RunWriter is a writer process: it opens the ledger of the file, prints where it listens, and takes
// operations until ctx is done.
func RunWriter(ctx context.Context, file string, out io.Writer) error {
	text, err := os.ReadFile(file) // #nosec: written by our parent
	if err != nil {
		return fmt.Errorf("writer: %w", err)
	}
	var c WriterConfig
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&c); err != nil {
		return fmt.Errorf("writer: %s: %w", file, err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if c.Bets != nil {
		return runBets(ctx, c, log, out)
	}
	service, err := ledger.Open(ctx, c.Ledger, ledger.Deps{Clock: clock.System{}, Log: log, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return fmt.Errorf("writer: %w", err)
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(run) }()
	err = serve(ctx, c.Listen, handler(books{service}), ended, out)
	stop()
	if err == nil { // asked to end: the ledger's own end is what counts
		err = <-ended
	}
	return errors.Join(err, service.Close())
}

// serve answers requests until ctx is done, also when what is behind them has ended by itself.
func serve(ctx context.Context, listen string, h http.Handler, ended chan error, out io.Writer) error {
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("writer: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintln(out, readyLine+listener.Addr().String())
	select {
	case <-ctx.Done():
	case err = <-ended: // fenced: it goes on refusing, so that clients learn it from answers
		ended <- err
		<-ctx.Done()
	case err = <-failed:
	}
	return errors.Join(err, server.Close())
}

// handler takes one operation a request, starts moves of buckets, and tells how far they are.
func handler(b books) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /{$}", operations(b))
	mux.HandleFunc("POST "+movesPath, func(w http.ResponseWriter, r *http.Request) {
		var m ledger.MoveRequest
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOpBytes)).Decode(&m)
		if err == nil {
			_, err = b.service.StartMove(r.Context(), m)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET "+movesPath, func(w http.ResponseWriter, r *http.Request) {
		list, err := b.service.Moves(r.Context(), "", ledger.MaxMoves)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(list) // who asked asks again
	})
	return mux
}

const movesPath = "/moves"

func operations(b books) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o serial.Op
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOpBytes)).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var answer reply
		answer.Answer, answer.NotTaken = b.do(r.Context(), &o)
		_ = json.NewEncoder(w).Encode(&answer) // a client that is gone asks again
	})
}

// remote is a ledger in a writer process.
type remote struct {
	addr   func() string // where it listens now
	client *http.Client
}

func newRemote(addr func() string) remote {
	return remote{addr: addr, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (r remote) do(ctx context.Context, o *serial.Op) (serial.Answer, bool) {
	unknown := serial.Answer{Unknown: true}
	addr := r.addr()
	if addr == "" {
		return unknown, true
	}
	body, err := json.Marshal(o)
	if err != nil {
		return unknown, true
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/", bytes.NewReader(body))
	if err != nil {
		return unknown, true
	}
	response, err := r.client.Do(request)
	if err != nil {
		return unknown, false
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	var answer reply
	if err := json.NewDecoder(io.LimitReader(response.Body, maxOpBytes)).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return unknown, false
	}
	return answer.Answer, answer.NotTaken
}
