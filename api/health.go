package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"matchday/errs"
	"matchday/ledger"
)

// health answers the machines that watch a process.
type health struct {
	log      *slog.Logger
	gatherer prometheus.Gatherer
	ready    func(ctx context.Context) error
	books    *ledger.Service
	closing  <-chan struct{} // closed when the process ends; nil if nobody tells
}

// Health serves what machines watch of a process that answers nobody else: /healthz, /readyz and /metrics. Of d it
// needs Log and Ledger; Gatherer and Ready may be nil as for New.
func Health(d Deps) http.Handler {
	mux := http.NewServeMux()
	health{log: d.Log, gatherer: d.Gatherer, ready: d.Ready, books: d.Ledger}.build(mux)
	return mux
}

// build adds the paths.
func (h health) build(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", h.serveReady)
	if h.gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(h.gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	}
}

// serveReady answers 200 if every part is ready, else 503; why is in the log, not in the answer. As long
// as some shard can be written the process is ready, because the others would serve no better from
// elsewhere; those that cannot are named. Whether the process lives is another question: /healthz.
func (h health) serveReady(w http.ResponseWriter, r *http.Request) {
	select {
	case <-h.closing:
		plain(w, http.StatusServiceUnavailable, "stopping")
		return
	default:
	}
	if h.ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), positionWait)
		defer cancel()
		if err := h.ready(ctx); err != nil {
			h.log.WarnContext(ctx, "not ready", "error", err)
			plain(w, http.StatusServiceUnavailable, "not ready")
			return
		}
	}
	status, lines := readiness(h.books.Status())
	plain(w, status, lines)
}

// readiness is what the shards mean for requests: the first line is for machines, the others name the
// shards that cannot be written.
func readiness(shards []ledger.ShardStatus) (status int, text string) {
	var down []string
	for i := range shards {
		if shards[i].Trouble != "" {
			down = append(down, "shard "+strconv.Itoa(shards[i].Shard)+" cannot be written")
		}
	}
	if len(down) > 0 && len(down) == len(shards) {
		return http.StatusServiceUnavailable, "no shard can be written"
	}
	return http.StatusOK, strings.Join(append([]string{"ready"}, down...), "\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// serveUnknown answers what no route matches: 405 if the path exists for another method, else 404.
func (a *API) serveUnknown(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reqID := requestID(r)
		w.Header().Set("X-Request-Id", reqID)
		var allowed []string
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost, http.MethodPut} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "" && pattern != "/v1/" {
				allowed = append(allowed, method)
			}
		}
		var err error = errs.New(errs.CodeNotFound, "there is no such path")
		if len(allowed) > 0 && !slices.Contains(allowed, r.Method) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			err = &statusError{http.StatusMethodNotAllowed, errs.New(errs.CodeInvalid, "this path has the methods %s", strings.Join(allowed, ", "))}
		}
		p := writeProblem(w, reqID, err)
		a.metrics.observe("unknown", p.Code, "none", 0)
	})
}
