package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"matchday/errs"
	"matchday/player"
)

// badOfProfiles is what no route of profiles may take.
func badOfProfiles(path, route string) []badValue {
	return []badValue{
		{"no such kind", route, path + "/secrets", nil, "not_found", ""},
		{"seconds of words", route, path + "/cpu?seconds=ten", nil, "invalid", "query.seconds"},
		{"no time at all", route, path + "/mutex?seconds=0", nil, "invalid", "query.seconds"},
		{"too long", route, path + "/trace?seconds=61", nil, "invalid", "query.seconds"},
		{"a time of a moment", route, path + "/heap?seconds=5", nil, "invalid", "query.seconds"},
		{"a parameter of another route", route, path + "/heap?debug=1", nil, "invalid", "query.debug"},
	}
}

// TestProfilesAreForWhomTheyWereGivenTo runs alone: the process has one profiler, which other tests reach too.
func TestProfilesAreForWhomTheyWereGivenTo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes profiles for seconds: left out with -short")
	}
	var logged lockedBuffer
	s := newServer(t, func(c *Config) { c.Keys[0].Profiles = true })
	s.api.log = slog.New(slog.NewTextHandler(&logged, nil))
	trader := s.trader()
	const staffPath, servicePath = "/v1/operator/profiles", "/v1/ledger/profiles"
	s.do("GET", staffPath+"/heap", s.staff("jersey", player.RoleAdmin, nj), nil).wantCode("forbidden")
	s.do("GET", staffPath+"/heap", s.staff("operator", player.RoleOperator, nj, pa, on), nil).wantCode("forbidden")
	s.do("GET", servicePath+"/heap", testKey+" in Pennsylvania", nil).wantCode("forbidden")
	if logged.String() != "" {
		t.Errorf("a refused caller is logged as one who took a profile: %s", logged.String())
	}
	s.refusesAll(t, trader, badOfProfiles(staffPath, "operator-profile"))
	s.refusesAll(t, testKey, badOfProfiles(servicePath, "profile"))

	for _, kind := range profileKinds {
		path := staffPath + "/" + kind
		if kind != "heap" && kind != "allocs" && kind != "goroutine" {
			path += "?seconds=1"
		}
		a := s.do("GET", path, trader, nil).want(http.StatusOK)
		if got := a.header.Get("Content-Type"); got != "application/octet-stream" {
			t.Errorf("%s is %s", kind, got)
		}
		if kind == "trace" {
			if !bytes.HasPrefix(a.body, []byte("go 1.")) {
				t.Errorf("trace begins with %q", a.body[:min(16, len(a.body))])
			}
			continue
		}
		unzipped, err := gzip.NewReader(bytes.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s is no profile: %v", kind, err)
		}
		if raw, err := io.ReadAll(unzipped); err != nil || len(raw) == 0 {
			t.Errorf("%s: %d bytes, %v", kind, len(raw), err)
		}
	}
	s.do("GET", servicePath+"/goroutine", testKey, nil).want(http.StatusOK)
	for _, want := range []string{"kind=cpu watch=1s by=trader", `kind=goroutine watch=0s by="service tests"`} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, logged.String())
		}
	}
	profiling.Store(true) // as if somebody took one right now
	s.do("GET", staffPath+"/heap", trader, nil).wantCode("conflict")
	profiling.Store(false)
	s.do("GET", staffPath+"/heap", trader, nil).want(http.StatusOK)
}

// TestAProfileWhoseCallerHasGoneEnds leaves nothing switched on.
func TestAProfileWhoseCallerHasGoneEnds(t *testing.T) {
	ctx, gone := context.WithCancel(context.Background())
	gone()
	a := &API{closing: make(chan struct{})}
	for _, kind := range []string{"cpu", "trace", "mutex", "block"} {
		_, err := takeProfile(kind, func(full <-chan struct{}) error { return a.watch(ctx, maxProfileSeconds*1e9, full) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want canceled", kind, err)
		}
		if _, err := takeProfile(kind, func(<-chan struct{}) error { return nil }); err != nil {
			t.Errorf("%s after one that was broken off: %v", kind, err)
		}
	}
	close(a.closing)
	_, err := takeProfile("cpu", func(full <-chan struct{}) error { return a.watch(context.Background(), maxProfileSeconds*1e9, full) })
	if !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("while the process ends: %v, want unavailable", err)
	}
}

func TestATraceThatIsTooLongEndsWhole(t *testing.T) {
	t.Parallel()
	b := &boundedBuffer{full: make(chan struct{})}
	chunk := make([]byte, maxTraceBytes/4)
	for range 5 {
		if n, err := b.Write(chunk); n != len(chunk) || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	select {
	case <-b.full:
	default:
		t.Error("a long trace is not told to end")
	}
	if b.Len() != 5*len(chunk) {
		t.Errorf("kept %d bytes, want all %d", b.Len(), 5*len(chunk))
	}
}

// lockedBuffer is a buffer for a logger.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
