package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// TestAProcessWithoutAnAPIIsWatched: what machines ask a process is answered by one that answers nobody else.
func TestAProcessWithoutAnAPIIsWatched(t *testing.T) {
	t.Parallel()
	a, err := New(Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Roles: []string{"books"}}, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-a.Ready():
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path   string
		status int
		text   string
	}{
		{"/healthz", http.StatusOK, "alive"},
		{"/readyz", http.StatusOK, "ready"},
		{"/metrics", http.StatusOK, `matchday_stream_sink_position{shard="0",sink="history"}`},
		{"/v1/ledger/balances", http.StatusNotFound, ""},
		{"/docs", http.StatusNotFound, ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.BaseURL()+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != tt.status || !strings.Contains(string(body), tt.text) {
			t.Errorf("%s: %d, %v, want %d with %q in\n%s", tt.path, response.StatusCode, err, tt.status, tt.text, body)
		}
	}
}
