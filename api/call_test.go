package api

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"matchday/errs"
	"matchday/id"
)

// bare is an API that no other request reaches, for routes that a test makes up.
func bare(t *testing.T, log *slog.Logger) *API {
	t.Helper()
	a := newServer(t).api
	if log != nil {
		a.log = log
	}
	return a
}

// serveOne serves one request through a made-up public route.
func serveOne(a *API, fn func(ctx context.Context, c *call) (Amount, error), headers ...string) *httptest.ResponseRecorder {
	rt := &route{method: "GET", path: "/v1/made-up", who: whoPublic, status: http.StatusOK, end: reading(fn)}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v1/made-up", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.serve(rt).ServeHTTP(w, r)
	return w
}

func TestAPanicIsOneFailedRequestAndOneLogLine(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	a := bare(t, slog.New(slog.NewTextHandler(&logged, nil)))
	var none map[string]int
	w := serveOne(a, func(context.Context, *call) (Amount, error) {
		none["secret"] = 1
		return Amount{}, nil
	}, "X-Request-Id", "find-me")
	if body := w.Body.String(); w.Code != http.StatusInternalServerError || strings.Contains(body, "map") || !strings.Contains(body, `"code":"internal"`) {
		t.Errorf("%d %s, want an internal problem without detail", w.Code, body)
	}
	if got := logged.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, "request_id=find-me") || !strings.Contains(got, "nil map") {
		t.Errorf("logged %q, want one error with the request id and the cause", got)
	}
}

func TestARequestHasATimeLimit(t *testing.T) {
	t.Parallel()
	a := bare(t, nil)
	a.cfg.HandlerTimeout = 10 * time.Millisecond
	w := serveOne(a, func(ctx context.Context, _ *call) (Amount, error) {
		<-ctx.Done()
		return Amount{}, ctx.Err()
	})
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"code":"unavailable"`) {
		t.Errorf("%d %s, want unavailable", w.Code, w.Body)
	}
}

func TestLogsCarryNoPersonalData(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	a := bare(t, slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/sessions",
		strings.NewReader(`{"email":"somebody@example.com","password":"a very secret one","jurisdiction":"US-NJ"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", "find-me")
	for _, rt := range a.routes {
		if rt.id == "sign-in" {
			a.serve(rt).ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	a.finish(context.Background(), &call{route: a.routes[0], requestID: "find-me"}, "POST /v1/sessions", "ok", 0, nil)
	got := logged.String()
	if !strings.Contains(got, "find-me") {
		t.Fatalf("logged %q, want the request", got)
	}
	for _, private := range []string{"somebody", "secret"} {
		if strings.Contains(got, private) {
			t.Errorf("logged %q, with %q", got, private)
		}
	}
}

func TestRequestsAreSpansOfTheCallersTrace(t *testing.T) {
	t.Parallel()
	a := bare(t, nil)
	spans := tracetest.NewSpanRecorder()
	a.tracer = trace.NewTracerProvider(trace.WithSpanProcessor(spans)).Tracer("test")
	serveOne(a, func(context.Context, *call) (Amount, error) { return Amount{}, errs.New(errs.CodeConflict, "no") },
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Name() != "GET /v1/made-up" || ended[0].SpanContext().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Fatalf("spans %v, want one of the caller's trace", ended)
	}
	codes := map[string]string{}
	for _, kv := range ended[0].Attributes() {
		codes[string(kv.Key)] = kv.Value.String()
	}
	if codes["matchday.code"] != "conflict" || codes["http.response.status_code"] != "409" {
		t.Errorf("attributes %v, want the code and status", codes)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	tests := []struct {
		name string
		ok   bool
		cfg  Config
	}{
		{"nothing set", true, Config{}},
		{"no limit of sign-ins", true, Config{SignInsPerMinute: -1}},
		{"a key", true, Config{Keys: []ServiceKey{{Name: "casino", SHA256: sum, Jurisdictions: []id.Jurisdiction{nj}}}}},
		{"an origin", true, Config{Origins: []string{"https://app.example.com:8443"}}},
		{"a negative bound", false, Config{LiveQueue: -1}},
		{"a negative time", false, Config{HandlerTimeout: -1}},
		{"a key in the open", false, Config{Keys: []ServiceKey{{Name: "casino", SHA256: "the key itself"}}}},
		{"a key without name", false, Config{Keys: []ServiceKey{{SHA256: sum}}}},
		{"credit without limits", false, Config{Keys: []ServiceKey{{Name: "casino", SHA256: sum, CreditLines: true}}}},
		{"limits and credit", true, Config{Keys: []ServiceKey{{Name: "casino", SHA256: sum, Limits: true, CreditLines: true}}}},
		{"a name twice", false, Config{Keys: []ServiceKey{{Name: "a", SHA256: sum}, {Name: "a", SHA256: strings.Repeat("cd", 32)}}}},
		{"a key twice", false, Config{Keys: []ServiceKey{{Name: "a", SHA256: sum}, {Name: "b", SHA256: strings.ToUpper(sum)}}}},
		{"an origin with a path", false, Config{Origins: []string{"https://app.example.com/x"}}},
		{"an origin without scheme", false, Config{Origins: []string{"app.example.com"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := tt.cfg.Validate(); (err == nil) != tt.ok {
				t.Errorf("Validate() = %v, want ok: %t", err, tt.ok)
			}
		})
	}
	if _, err := New(Config{}, Deps{}); err == nil || !strings.Contains(err.Error(), "Deps.Ledger") {
		t.Errorf("New without dependencies = %v, want what is missing", err)
	}
}

// FuzzQuery: whatever the query string is, it is accepted as declared or refused as invalid.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=5", "limit=5&limit=6", "a=%zz", "status=open;x", "cursor=%00", "=", "&&", "status"} {
		f.Add(seed)
	}
	rt := &route{params: []param{paramLimit, paramCursor, paramStatus}}
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := rt.parseQuery(raw)
		if err != nil {
			if !errs.Is(err, errs.CodeInvalid) {
				t.Fatalf("parseQuery(%q) = %v, want code invalid", raw, err)
			}
			return
		}
		for name, given := range values {
			if len(given) != 1 || name != "limit" && name != "cursor" && name != "status" {
				t.Fatalf("parseQuery(%q) lets %q = %q pass", raw, name, given)
			}
		}
	})
}
