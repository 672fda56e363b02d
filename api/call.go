package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/stream"
)

// call is one request on its way through a route.
type call struct {
	a         *API
	w         http.ResponseWriter
	r         *http.Request
	route     *route
	requestID string
	caller    caller
	query     url.Values
	status    int // of a success: the route's, unless the handler says otherwise
}

// serve returns the handler of one route: the one order of steps that every request takes.
func (a *API) serve(rt *route) http.Handler {
	pattern := rt.method + " " + rt.path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.deps.Clock.Now()
		ctx := r.Context()
		if !rt.endless {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, a.cfg.HandlerTimeout)
			defer cancel()
		}
		ctx, span := a.startSpan(ctx, r, pattern)
		c := &call{a: a, w: w, r: r, route: rt, status: rt.status, requestID: requestID(r)}
		w.Header()["X-Request-Id"] = []string{c.requestID}
		out, err := c.run(ctx)
		code := "ok"
		switch {
		case err != nil:
			p := writeProblem(w, c.requestID, err)
			c.status, code = p.Status, p.Code
		case !rt.end.answered:
			c.answer(out)
		}
		a.finish(ctx, c, pattern, code, a.deps.Clock.Now().Sub(began), err)
		endSpan(span, c, code)
	})
}

// run does the work of a request up to its answer. A panic is an internal error: one request fails,
// the process lives.
func (c *call) run(ctx context.Context) (out any, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("panic: %v\n%s", caught, debug.Stack())
		}
	}()
	if c.route.limited {
		if err := c.a.signIns.allow(c.r, c.a.deps.Clock.Now()); err != nil {
			return nil, err
		}
	}
	if c.caller, err = c.a.authorise(ctx, c.r, c.route); err != nil {
		return nil, err
	}
	if c.query, err = c.route.parseQuery(c.r.URL.RawQuery); err != nil {
		return nil, err
	}
	if c.route.end.in != nil {
		if err := checkContentType(c.r, c.route.end.contentType); err != nil {
			return nil, err
		}
	}
	return c.route.end.run(ctx, c)
}

// serverBuffer is how much of an answer net/http keeps until the handler returns. It states the length of such an answer
// itself, beside the map of headers. That map is copied for each answer, and a ninth entry makes it three times as dear.
const serverBuffer = 2048

// answer writes a success.
func (c *call) answer(out any) {
	h := c.w.Header()
	h["Cache-Control"] = noStore
	if c.route.end.out == nil {
		c.status = http.StatusNoContent
		c.w.WriteHeader(c.status)
		return
	}
	held := buffers.Get().(*[]byte)
	defer func() {
		if cap(*held) <= keepBytes {
			buffers.Put(held)
		}
	}()
	sink := appender((*held)[:0])
	if err := json.MarshalWrite(&sink, out, json.DefaultOptionsV2()); err != nil {
		*held = sink
		c.status = writeProblem(c.w, c.requestID, fmt.Errorf("encode answer: %w", err)).Status
		c.a.log.Error("answer not encodable", "request_id", c.requestID, "error", err)
		return
	}
	*held = sink
	h["Content-Type"] = jsonType
	if len(sink) > serverBuffer {
		h["Content-Length"] = []string{strconv.Itoa(len(sink))}
	}
	c.w.WriteHeader(c.status)
	_, _ = c.w.Write(sink) // the caller has gone: nobody is left to tell
}

// appender is a byte slice as a writer.
type appender []byte

// Write implements io.Writer.
func (b *appender) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// finish counts and logs a request that has been answered. Internal errors are logged here, once,
// with what the caller does not get to see.
func (a *API) finish(ctx context.Context, c *call, pattern, code string, took time.Duration, err error) {
	a.metrics.observe(pattern, code, c.caller.label(), took)
	if c.route.who == whoPlayer && c.route.method == http.MethodGet && code == "ok" {
		a.rates.count(rateReads, 1, a.deps.Clock.Now())
	}
	level := slog.LevelDebug
	if code == string(errs.CodeInternal) {
		level = slog.LevelError
	}
	if !a.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("request_id", c.requestID), slog.String("route", pattern), slog.Int("status", c.status),
		slog.String("code", code), slog.Duration("took", took), slog.String("jurisdiction", c.caller.label())}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	a.log.LogAttrs(ctx, level, "request", attrs...)
}

// startSpan begins a span under the caller's trace; without a tracer it does nothing.
func (a *API) startSpan(ctx context.Context, r *http.Request, pattern string) (context.Context, trace.Span) {
	if a.tracer == nil {
		return ctx, nil
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	return a.tracer.Start(ctx, pattern, trace.WithSpanKind(trace.SpanKindServer))
}

func endSpan(span trace.Span, c *call, code string) {
	if span == nil || !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.Int("http.response.status_code", c.status), attribute.String("matchday.code", code),
		attribute.String("matchday.jurisdiction", c.caller.label()), attribute.String("matchday.request_id", c.requestID))
	if c.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, code)
	}
	span.End()
}

// requestID returns the caller's X-Request-Id if it is a plain short word, else a fresh one.
func requestID(r *http.Request) string {
	if given := r.Header.Get("X-Request-Id"); given != "" && len(given) <= 64 && plainKey(given) {
		return given
	}
	var raw [12]byte
	_, _ = rand.Read(raw[:]) // crypto/rand.Read never fails
	return hex.EncodeToString(raw[:])
}

// plainKey reports whether every byte is one of [A-Za-z0-9._~-].
func plainKey(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == '~', c == '-':
		default:
			return false
		}
	}
	return true
}

// parseQuery reads the query string: only parameters the route has, each once.
func (rt *route) parseQuery(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errs.New(errs.CodeInvalid, "the query string is not well-formed")
	}
	var check errs.Check
	for name, given := range values {
		i := slices.IndexFunc(rt.params, func(p param) bool { return p.name == name })
		switch {
		case i < 0:
			check.Add("query."+clip(name, 40), "is not a parameter here")
		case len(given) > 1:
			check.Add("query."+name, "is given twice")
		case rt.params[i].enum != nil && given[0] != "" && !slices.Contains(rt.params[i].enum, given[0]):
			check.Add("query."+name, "is not one of %v", rt.params[i].enum)
		}
	}
	return values, check.Err()
}

// decodeBody reads the JSON body into v, which keeps nothing of the buffer.
func (c *call) decodeBody(v any) error {
	body, done, err := c.readBody()
	if err != nil {
		return err
	}
	defer done()
	return decode(body, v)
}

func (c *call) readBody() ([]byte, func(), error) { return readBody(c.w, c.r, c.route.maxBody) }

// setPosition tells the caller at which position the write became visible.
func (c *call) setPosition(p stream.Position) string {
	text := p.String()
	c.w.Header()["Matchday-Position"] = []string{text}
	return text
}

// setHistory tells the caller which bet history answered, also that it has no answer; nothing where none was asked.
func (c *call) setHistory(f history.Freshness) {
	if f.History == "" {
		return
	}
	c.w.Header()["Matchday-History"] = []string{string(f.History)}
}

// readPosition returns the position that a read asks for, or nil.
func (c *call) readPosition() (*stream.Position, error) {
	text := c.r.Header.Get("Matchday-Position")
	if text == "" {
		return nil, nil
	}
	p, err := stream.ParsePosition(text)
	if err != nil || p.Shard >= c.a.deps.Ledger.Shards() {
		return nil, &errs.Error{Code: errs.CodeInvalid, Detail: "the position is not one of ours",
			Fields: []errs.Field{{Location: "header.Matchday-Position", Message: "is not a position such as 0-42"}}}
	}
	return &p, nil
}

// positionWait bounds how long a read waits for its position before it says unavailable: longer
// would only hide that a part is down.
const positionWait = 2 * time.Second

// idempotencyKey returns the caller's key, which every mutation of money must have.
func (c *call) idempotencyKey() (string, error) {
	values := c.r.Header.Values("Idempotency-Key")
	var check errs.Check
	if len(values) != 1 {
		check.Add("header.Idempotency-Key", "is required, once")
		return "", check.Err()
	}
	checkKey(&check, "header.Idempotency-Key", values[0])
	return values[0], check.Err()
}

// checkKey notes if key is not 1 to 64 characters of [A-Za-z0-9._~-].
func checkKey(check *errs.Check, location, key string) {
	if key == "" || len(key) > 64 || !plainKey(key) {
		check.Add(location, "needs 1 to 64 characters of A-Z a-z 0-9 . _ ~ -")
	}
}

// limit returns the page size that the query asks for.
func (c *call) limit() (int, error) {
	text := c.query.Get("limit")
	if text == "" {
		return 50, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 200 {
		return 0, invalidField("query.limit", "is not a number from 1 to 200")
	}
	return n, nil
}

// jurisdiction returns where the caller reads: a player's own, else the query's, which must be one
// of the staff account's or of the service's key if there is one. Naming another one than one's own is forbidden, not
// ignored: a silent answer from elsewhere would be worse.
func (c *call) jurisdiction() (id.Jurisdiction, error) {
	asked := id.Jurisdiction(c.query.Get("jurisdiction"))
	s := c.caller.session
	switch {
	case s.Player != "":
		if asked != "" && asked != s.Jurisdiction {
			return "", errs.New(errs.CodeForbidden, "this session belongs to another jurisdiction")
		}
		return s.Jurisdiction, nil
	case asked == "" && s.IsStaff() && len(s.Jurisdictions) > 0:
		return s.Jurisdictions[0], nil
	case asked == "":
		return "", invalidField("query.jurisdiction", "is required without a session")
	}
	if _, err := c.a.deps.Jurisdictions.Find(asked); err != nil {
		return "", invalidField("query.jurisdiction", "is not served here")
	}
	switch {
	case s.IsStaff():
		return asked, c.mayActIn(asked)
	case c.caller.service != nil:
		return asked, c.reaches(asked)
	}
	return asked, nil
}

// invalidField is the error of one wrong field.
func invalidField(location, format string, args ...any) error {
	var check errs.Check
	check.Add(location, format, args...)
	return check.Err()
}
