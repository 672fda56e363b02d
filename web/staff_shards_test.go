package web

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// The shards of a process that applies the first one's log to the bet history, as the API answers.
const (
	twoShards = `{"items":[` +
		`{"shard":0,"position":100,"epoch":3,"queued_interactive":0,"queued_bulk":0,"committed":7,"transfers_last_minute":7,"last_commit":null,"stream_position":100,"state":"writing","owner":"one","engine":"east","bytes":0,"buckets":512},` +
		`{"shard":1,"position":90,"epoch":2,"queued_interactive":0,"queued_bulk":0,"committed":0,"transfers_last_minute":0,"last_commit":null,"stream_position":null,"state":"elsewhere","owner":"two","engine":"east","bytes":0,"buckets":512}]}`
	twoLags   = `{"items":[{"shard":0,"position":100,"head":100,"lag_seconds":0,"here":true},{"shard":1,"position":88,"head":90,"lag_seconds":1.5,"here":false}]}`
	barredLag = `{"items":[{"shard":0,"position":100,"head":100,"lag_seconds":0,"here":true},{"shard":1,"position":88,"head":90,"lag_seconds":1.5,"here":false,"trouble":"another has it"}]}`
	fillLag   = `{"items":[{"shard":0,"position":100,"head":100,"lag_seconds":0,"here":true},{"shard":1,"position":20,"head":9020,"lag_seconds":86400,"here":true,"catching_up":{"remaining":9000,"rate":10,"added":1,"left_seconds":1000}}]}`
	lostLag   = `{"items":[{"shard":0,"position":100,"head":100,"lag_seconds":0,"here":true},{"shard":1,"position":20,"head":9020,"lag_seconds":86400,"here":true,"catching_up":{"remaining":9000,"rate":10,"added":10,"left_seconds":0}}]}`
)

// TestStaffSeeWhoAppliesTheHistory opens the pages that show the shards, before answers as several processes give them.
func TestStaffSeeWhoAppliesTheHistory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: starts a browser")
	}
	var lags atomic.Pointer[string]
	_, w := newStage(t)
	mux := http.NewServeMux()
	mux.Handle("/", w.Handler())
	answer := func(path string, body func() string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body())
		})
	}
	answer("/v1/operator/shards", func() string { return twoShards })
	answer("/v1/operator/lag", func() string { return *lags.Load() })
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx := browser(t)
	signIn := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: staffCookie, Value: staffToken, URL: server.URL})
		return err
	})
	if err := chromedp.Do(ctx, signIn); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, lags, first, second string }{
		{"/staff/shards", twoLags, "applied here", "applied by another process"},
		{"/staff/shards", barredLag, "applied here", "not applied here: another has it"},
		{"/staff", twoLags, "", "applied by another process"}, // which has room for what is out of the ordinary
		{"/staff", barredLag, "", "not applied here: another has it"},
		{"/staff/shards", fillLag, "applied here", "17 min left at 10 a second"},
		{"/staff", fillLag, "", "17 min left at 10 a second"},
		{"/staff/shards", lostLag, "applied here", "no end known yet"},
	} {
		lags.Store(&tt.lags)
		if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+tt.path)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(20 * time.Millisecond) {
			texts, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll('#shards tr')].map((row) => row.textContent)`))
			if err != nil {
				t.Fatal(err)
			}
			if len(texts) == 2 && strings.Contains(texts[0], tt.first) && strings.Contains(texts[1], tt.second) && !strings.Contains(texts[0], "another") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s shows the shards as %q, want %q and %q", tt.path, texts, tt.first, tt.second)
			}
		}
	}
}
