package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// browser starts a real Chromium. Without one the test fails: pages that nobody has looked at in a
// browser are not tested.
func browser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("these tests need Chromium; make test installs it (apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(60*time.Second))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestShots takes pictures of the pages for people to look at: MATCHDAY_SHOTS=DIR go test -run Shots ./web
// MATCHDAY_SHOTS_OF=staff takes only those of pages whose name begins so.
func TestShots(t *testing.T) {
	dir := os.Getenv("MATCHDAY_SHOTS")
	if dir == "" {
		t.Skip("set MATCHDAY_SHOTS to a folder to take pictures of the pages")
	}
	s, w := newStage(t)
	s.next = copying()
	mux := http.NewServeMux()
	mux.Handle("/", w.Handler())
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx := browser(t)
	const fill = `for (const i of [5, 10]) document.querySelectorAll('.price:not([disabled])')[i].click();
		if (innerWidth < 900) document.querySelector('.tabbar [data-slip-open]').click();
		const stake = document.querySelector('.stake-in'); stake.value = '25'; stake.dispatchEvent(new Event('input', {bubbles: true}));`
	pages := []struct{ name, path, cookie, value, script string }{
		{"home", "/", "", "", ""}, {"home-in", "/", sessionCookie, token, fill}, {"event", "/events/ev1", sessionCookie, token, ""},
		{"bets", "/bets", sessionCookie, token, ""}, {"bets-bad", "/bets?sport=chess&min_stake=lots&from=2026-11-01", sessionCookie, token, ""},
		{"bets-filtered", "/bets?event=ev2&status=open&sport=American+football", sessionCookie, token, ""},
		{"bet", "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1d", sessionCookie, token, ""}, {"summary", "/bets/summary", sessionCookie, token, ""},
		{"account", "/account", sessionCookie, token, ""}, {"sign-up", "/sign-up", "", "", ""},
		{"sign-in", "/sign-in", "", "", ""}, {"results", "/?show=results", "", "", ""}, {"staff", "/staff", staffCookie, staffToken, ""},
		{"staff-player", theirs, staffCookie, staffToken, ""}, {"staff-bets", theirs + "/bets", staffCookie, staffToken, ""},
		{"staff-bet", theirs + "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1d", staffCookie, staffToken, ""}, {"staff-summary", theirs + "/bets/summary", staffCookie, staffToken, ""},
		{"staff-players", "/staff/players", staffCookie, staffToken, ""}, {"staff-missing", "/staff/players/US-NJ/none", staffCookie, staffToken, ""},
		{"staff-event", "/staff/events/ev1", staffCookie, staffToken, ""},
	}
	for _, p := range pages {
		if !strings.HasPrefix(p.name, os.Getenv("MATCHDAY_SHOTS_OF")) {
			continue
		}
		for _, v := range screens {
			png, err := shoot(ctx, server.URL+p.path, p.cookie, p.value, v.width, v.height, v.phone, v.scheme, p.script)
			if err != nil {
				t.Fatalf("%s %s: %v", p.name, v.name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, p.name+"-"+v.name+".png"), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// screens are what people look at the pages with.
var screens = []struct {
	name          string
	width, height int64
	phone         bool
	scheme        string
}{
	{"desktop", 1280, 900, false, "light"}, {"tablet", 820, 1180, true, "light"}, {"phone", 390, 844, true, "light"}, {"phone-small", 360, 780, true, "light"},
	{"desktop-dark", 1280, 900, false, "dark"}, {"phone-dark", 390, 844, true, "dark"},
}

// shoot opens a page, runs a script in it and returns its picture.
func shoot(ctx context.Context, url, cookie, value string, width, height int64, phone bool, scheme, script string) ([]byte, error) {
	prepare := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
			return err
		}
		media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media}); err != nil {
			return err
		}
		if cookie == "" {
			return nil
		}
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: cookie, Value: value, URL: url})
		return err
	})
	view := chromedp.EmulateViewport(width, height)
	if phone {
		view = chromedp.EmulateViewport(width, height, chromedp.EmulateMobile)
	}
	if err := chromedp.Do(ctx, prepare, view, chromedp.Navigate(url), chromedp.Evaluate[chromedp.Void](script+";localStorage.clear()"),
		chromedp.Sleep(350*time.Millisecond)); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
