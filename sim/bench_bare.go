package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
)

// bareAnswer is about as long as what the ledger answers to a debit.
const bareAnswer = `{"state":"committed","position":"1-123456","at":"2026-01-02T15:04:05.678901Z","postings":[]}`

// measureBare sends debits at the rate of the options to a handler that reads them and answers, nothing
// else. It is the yardstick of debits over HTTP: what generator, network and machine take by themselves.
func measureBare(ctx context.Context, o BenchOptions, r *BenchReport) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: requestTimeout, Handler: http.HandlerFunc(answerBare)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	d := newDebits(o, listener.Addr().String(), "", "bare-")
	err = errors.Join(d.play(ctx, o.length()), server.Close())
	if closed := <-ended; !errors.Is(closed, http.ErrServerClosed) {
		err = errors.Join(err, closed)
	}
	r.add("bare_p99_ms", d.latency.percentiles().P99)
	r.add("bare_p50_ms", d.latency.percentiles().P50)
	return err
}

func answerBare(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, "the body ends early", http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, bareAnswer) // the caller has gone: nobody is left to tell
}
